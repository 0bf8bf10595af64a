"""The state of a training after an epoch, as one file: safetensors, with JSON in its header. Data only, never executed.

The file is whole or absent, and every byte of it is covered by a digest: that of the numbers stands in the header, and
the header's own, taken with zeros in its place, beside it. So the header may be trusted before any number is read, and
what is read is no larger than what this training would have written itself.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from imgtool.batch.outputs import new_file
from imgtool.errors import DataError, OutputError
from imgtool.files import open_regular
from imgtool.networks.recipe import FREEZE, OPTIMIZERS, SCHEDULES

FORMAT = 2
MAX_HEADER_BYTES = 64_000_000
MAX_THREADS = 1024  # more crash OpenMP on some machines
MAX_FLOAT = float(np.finfo(np.float64).max)
LENGTH_BYTES = 8  # the header's length, before it
_ZEROS = "0" * 64
_epochs: dict[Path, tuple[int, int]] = {}  # of each checkpoint that this process wrote or read: done, and in all
_BEGIN = b'{"__metadata__":{'  # of the header, after its length
_ABSENT = object()
_DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')
_NUMBERS_DIGEST = f'"numbers_sha256":"{_ZEROS}"'.encode()
_SUBJECTS = {"data": "training images", "validation": "validation images", "start": "first weights"}


@dataclass(frozen=True)
class Checkpoint:
    """The state from which a training continues.

    identity: what makes two trainings the same one, as JSON: recipe, augmentation, seed, digests of the images (data,
    validation; "" for none), of the network and of its first weights (start), and tensors as `describe` gives them.
    threads: of the CPU. history: a row for each epoch; those whose batch exhausted memory made smaller hold batch.
    arrays: every number that training changes: module.NAME; of the optimizer momentum.NAME, or for AdamW mean.NAME,
    square.NAME and steps.all; and with validation images best.NAME, which are the module's after the best epoch so far.
    """

    identity: dict[str, Any]
    threads: int
    history: list[dict[str, float]]
    arrays: dict[str, np.ndarray]


def describe(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return type and shape of each array by name, as JSON has them."""
    return {name: [str(array.dtype), list(array.shape)] for name, array in arrays.items()}


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole or not at all, over an older one. Raises OutputError when it cannot be written."""
    from safetensors.numpy import save as serialize

    state = {
        "format": FORMAT,
        "identity": checkpoint.identity,
        "threads": checkpoint.threads,
        "history": checkpoint.history,
    }
    metadata = {"checkpoint": json.dumps(state, allow_nan=False), "numbers_sha256": _ZEROS, "sha256": _ZEROS}
    arrays = {name: np.array(array, order="C", copy=None) for name, array in checkpoint.arrays.items()}
    data = memoryview(serialize(arrays, metadata))
    end = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
    numbers = hashlib.sha256(data[end:]).hexdigest()
    header = bytes(data[:end]).replace(_NUMBERS_DIGEST, _NUMBERS_DIGEST.replace(_ZEROS.encode(), numbers.encode()), 1)
    place = _require(_DIGEST.search(header))
    digest = hashlib.sha256(header).hexdigest().encode()
    try:
        with new_file(path, overwrite=True) as file:
            file.write(header[: place.start(1)] + digest + header[place.end(1) :])
            file.write(data[end:])
    except OutputError as error:
        error.hint = "resume" if path.exists() else ""  # from the older one
        raise
    _epochs[path] = len(checkpoint.history), checkpoint.identity["recipe"]["epochs"]


def interruption_lines() -> list[str]:
    """Return a line about each training that can be gone on with; called when the process ends early."""
    return [f"{path}: {done} of {total} epochs are done" for path, (done, total) in _epochs.items() if path.exists()]


def is_checkpoint(path: Path) -> bool:
    """Tell whether a file begins as a checkpoint does, whole or damaged: what else stands there is not ours."""
    try:
        with open_regular(path) as file:
            return file.read(LENGTH_BYTES + len(_BEGIN))[LENGTH_BYTES:] == _BEGIN
    except OSError:
        return False


def load(path: Path, identity: Mapping[str, Any], threads: int | None = None) -> Checkpoint:
    """Return a checkpoint of the training with this identity, every field checked.

    threads: those that must be its own, if given. Raises DataError for a changed or impossible file, or one of another
    training, whose message says in what that differs.
    """
    try:
        checkpoint = _load(path, identity, threads)
        _epochs[path] = len(checkpoint.history), identity["recipe"]["epochs"]
        return checkpoint
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def _load(path: Path, identity: Mapping[str, Any], threads: int | None) -> Checkpoint:
    """Read header and numbers in turn, checking each before the next."""
    with open_regular(path) as file:
        header = _read_header(file)
        metadata = _metadata(header)
        state = _state(metadata)
        wanted = {**identity, "threads": threads or state["threads"]}
        if differences := _differences({**state["identity"], "threads": state["threads"]}, wanted):
            raise DataError(f"is the checkpoint of another training: {', '.join(differences)}")
        _check_history(state["history"], identity)
        arrays = _read_arrays(file, header, str(metadata.get("numbers_sha256")), _tensors(identity))
    return Checkpoint(dict(identity), state["threads"], state["history"], arrays)


def _tensors(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return type and shape of each array that a checkpoint holds."""
    tensors: dict[str, Any] = dict(identity["tensors"])
    if identity["validation"]:
        module = "module."
        tensors |= {f"best.{name[len(module) :]}": each for name, each in tensors.items() if name.startswith(module)}
    return tensors


def _require(match: re.Match[bytes] | None) -> re.Match[bytes]:
    """Return the place of the header's digest. Raises DataError where there is none."""
    if match is None:
        raise DataError("is no checkpoint of imgtool")
    return match


def _read_header(file: BinaryIO) -> bytes:
    """Return the header with the length before it, once its digest agrees."""
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if length > MAX_HEADER_BYTES:
        raise DataError("is no checkpoint of imgtool")
    file.seek(0)
    header = file.read(LENGTH_BYTES + length)
    if len(header) != LENGTH_BYTES + length:
        raise DataError("is no checkpoint of imgtool")
    place = _require(_DIGEST.search(header))
    zeroed = header[: place.start(1)] + _ZEROS.encode() + header[place.end(1) :]
    if hashlib.sha256(zeroed).hexdigest().encode() != place[1]:
        raise DataError("is damaged: it has changed since it was written")
    return header


def _metadata(header: bytes) -> dict[str, Any]:
    """Return the texts in the header."""
    try:
        metadata = json.loads(header[LENGTH_BYTES:])["__metadata__"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise DataError("is no checkpoint of imgtool") from None
    if not isinstance(metadata, dict):
        raise DataError("is no checkpoint of imgtool")
    return metadata


def _state(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return format, identity, threads and history, each of its type."""
    try:
        state = json.loads(metadata["checkpoint"])
    except (ValueError, RecursionError, KeyError, TypeError):
        raise DataError("is no checkpoint of imgtool") from None
    kinds = {"format": int, "identity": dict, "threads": int, "history": list}
    if not isinstance(state, dict) or state.keys() != kinds.keys():
        raise DataError("is no checkpoint of imgtool")
    for name, kind in kinds.items():
        if type(state[name]) is not kind:
            raise DataError(f"is no valid checkpoint: {name} is not what it should be")
    if state["format"] != FORMAT:
        raise DataError(f"is a checkpoint of format {state['format']}, and this version reads {FORMAT}")
    if not 1 <= state["threads"] <= MAX_THREADS:
        raise DataError(f"is no valid checkpoint: threads must be from 1 to {MAX_THREADS}, got {state['threads']}")
    return state


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return in what two trainings differ, in words, those of settings with both values."""
    found = []
    for name in sorted(stored.keys() | wanted.keys()):
        there, here = stored.get(name, _ABSENT), wanted.get(name, _ABSENT)
        if there == here and type(there) is type(here):
            continue
        if name in ("recipe", "augmentation") and isinstance(there, dict) and isinstance(here, dict):
            found += _differences(there, here)
        elif _is_shown(there) and _is_shown(here):
            found.append(f"{name} {there} there, {here} here")
        else:
            found.append(f"other {_SUBJECTS.get(name, ascii(name)[1:-1])}")
    return found


def _is_shown(value: Any) -> bool:
    """Tell whether a value stands in a message: a number or a choice, no hash."""
    return isinstance(value, int | float) or value in OPTIMIZERS + SCHEDULES + FREEZE


def _check_history(history: list[Any], identity: Mapping[str, Any]) -> None:
    """Raise DataError unless there is one whole row for each epoch so far."""
    epochs = identity["recipe"]["epochs"]
    if not 1 <= len(history) <= epochs:
        raise DataError(f"is no valid checkpoint: its history has {len(history)} epochs of {epochs}")
    names = {"epoch", "loss", "error", "learning_rate", "images_per_second", "seconds"}
    if identity["validation"]:
        names |= {"validation_loss", "validation_error"}
    for number, row in enumerate(history, start=1):
        if not isinstance(row, dict) or row.keys() - {"batch"} != names or not _is_row(row, number):
            raise DataError(f"is no valid checkpoint: row {number} of its history is not what it should be")
    whole = identity["recipe"]["batch"]
    batches = [row.get("batch", whole) for row in history]
    if any(type(each) is not int for each in batches) or sorted([whole, *batches, 1], reverse=True) != [
        whole,
        *batches,
        1,
    ]:
        raise DataError("is no valid checkpoint: the batches of its history are not what they should be")


def _is_row(row: Mapping[str, Any], number: int) -> bool:
    """Tell whether a row is that of an epoch: finite numbers, none negative, errors not above 1."""
    values = {name: value for name, value in row.items() if name not in ("epoch", "batch")}
    types = {type(value) for value in values.values()}
    if type(row["epoch"]) is not int or row["epoch"] != number or types != {float}:
        return False
    return all(0 <= value <= (1 if name.endswith("error") else MAX_FLOAT) for name, value in values.items())


def _read_arrays(file: BinaryIO, header: bytes, digest: str, tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays that stand behind the header, which are as `describe` says."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as deserialize

    size = sum(np.dtype(kind).itemsize * math.prod(shape) for kind, shape in tensors.values())
    if os.fstat(file.fileno()).st_size != len(header) + size:
        raise DataError("is damaged: it is shorter or longer than it should be")
    numbers = file.read(size)
    if hashlib.sha256(numbers).hexdigest() != digest:
        raise DataError("is damaged: it has changed since it was written")
    try:
        arrays: dict[str, np.ndarray] = deserialize(header + numbers)
    except (SafetensorError, ValueError, TypeError, KeyError):
        raise DataError("is no valid checkpoint: its arrays cannot be read") from None
    if strange := sorted(arrays.keys() ^ tensors.keys()):
        state = "missing" if strange[0] in tensors else "unknown"
        raise DataError(f"is no valid checkpoint: {ascii(strange[0])[1:-1]} is {state}")
    for name, array in arrays.items():
        kind, shape = tensors[name]
        if str(array.dtype) != kind or list(array.shape) != shape:
            raise DataError(f"is no valid checkpoint: {name} is {array.dtype} {array.shape}, not {kind} {tuple(shape)}")
        if not np.isfinite(array).all():
            raise DataError(f"is no valid checkpoint: {name} holds numbers that are not finite")
        if name.startswith(("square.", "steps.")) and (array < 0).any():
            raise DataError(f"is no valid checkpoint: {name} holds numbers below 0")
    return arrays
