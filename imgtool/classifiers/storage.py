"""A fitted model as a folder of plain data: `model.json` (format 2), and the weights that it names.

    model.json                 format, architecture, classes, threshold, preprocessing, weights, provenance, digest
    weights-HASH.safetensors   arrays by name; large ones perhaps as int8 with a float32 scale a row, NAME.scale
    metrics.jsonl              of a training in epochs, a line for each, times included; for people, and never read here

The weights' file bears the start of its SHA-256, so that a model is replaced by renaming a new `model.json` over the
old one; weights that it does not name are removed afterwards. `digest` is the SHA-256 of all other fields as sorted
JSON. Nothing is executed or unpickled, no path is followed, every field is checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from imgtool.batch.outputs import folder_of_its_own, output_errors, write_file
from imgtool.batch.places import folder_to_be
from imgtool.batch.temporaries import sweep, temporary
from imgtool.classifiers import fields
from imgtool.classifiers.threshold import THRESHOLD
from imgtool.errors import DataError, OutputError
from imgtool.files import TEXT_BYTES, open_regular, read_regular

FORMAT = 2
DESCRIPTION, CARD, METRICS = "model.json", "CARD.md", "metrics.jsonl"
MAX_DESCRIPTION_BYTES = 16_000_000
MAX_HASHED_BYTES = 32_000_000  # larger weights are mapped, and hashed by `verify` only
HASH_DIGITS = 16  # in a file's name
_WEIGHTS = re.compile(rf"weights-[0-9a-f]{{{HASH_DIGITS}}}\.safetensors")
_LEFTOVER = re.compile(r"\.imgtool-.+\.tmp")
_SCALE = ".scale"
_LARGEST_SCALE = float(np.finfo(np.float32).max) / 128  # of int8, whose product with it is finite


@dataclass(frozen=True)
class ModelData:
    """Everything that a model folder holds.

    name, parameters: of the architecture; classes: (name, identifier or None) pairs in the order of the scores;
    threshold: the score from which on the best label is sure; preprocessing: what is done to an image first, where the
    architecture's parameters do not say it; provenance: where the weights come from; arrays: the weights.
    weights_hash, weights_bytes: of the stored file, once there is one.
    """

    name: str
    parameters: Mapping[str, Any]
    classes: Sequence[tuple[str, str | None]]
    provenance: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    threshold: float = THRESHOLD
    preprocessing: Mapping[str, Any] | None = None
    weights_hash: str = ""
    weights_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the content of model.json but for weights and digest."""
        return {
            "format": FORMAT,
            "architecture": {"name": self.name, "parameters": dict(self.parameters)},
            "classes": [{"name": name, **({"id": key} if key else {})} for name, key in self.classes],
            "threshold": self.threshold,
            "preprocessing": self.preprocessing and dict(self.preprocessing),
            "provenance": dict(self.provenance),
        }


def save_model(
    folder: Path,
    model: ModelData,
    *,
    overwrite: bool = False,
    quantize: Sequence[str] = (),
    metrics: Sequence[Mapping[str, Any]] = (),
) -> ModelData:
    """Write a model folder; at every moment it holds the old model or the new one, complete.

    quantize: arrays to store as int8. metrics: a row for each epoch of its training. Returns the model with the hash
    and size of its weights. Raises OutputError when the folder exists and overwrite is false or it holds other things,
    DataError for what `load_model` would refuse.
    """
    folder = folder_to_be(folder)
    check_place(folder, overwrite=overwrite)
    _require_finite(model.arrays)
    data = weights_data(model.arrays, quantize)
    digest = hashlib.sha256(data).hexdigest()
    name = f"weights-{digest[:HASH_DIGITS]}.safetensors"
    description = {**model.to_json(), "weights": {"file": name, "sha256": digest}}
    try:
        description["digest"] = digest_of(description)
    except (ValueError, TypeError) as error:
        raise DataError(f"the model's description cannot be stored: {error}") from None
    fields.check(description)
    with output_errors(str(folder)), folder_of_its_own(folder):
        _write(folder, name, data, json.dumps(description, indent=1).encode() + b"\n", metrics)
    _remove_others(folder, name, digest)
    return replace(model, weights_hash=digest, weights_bytes=len(data))


def _write(
    folder: Path, name: str, weights: bytes, description: bytes, metrics: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write the files, metrics last; those of other weights go before. Where that fails, new weights are removed."""
    is_new = not (folder / name).exists()
    try:
        write_file(folder / name, weights, overwrite=True, like=folder / DESCRIPTION)
        if is_new:
            (folder / METRICS).unlink(missing_ok=True)
        write_file(folder / DESCRIPTION, description, overwrite=True)
    except BaseException:
        if is_new:
            (folder / name).unlink(missing_ok=True)
        raise
    if metrics:
        lines = "".join(f"{json.dumps(row, allow_nan=False)}\n" for row in metrics)
        write_file(folder / METRICS, lines.encode(), overwrite=True, like=folder / DESCRIPTION)


def check_place(folder: Path, *, overwrite: bool = False) -> None:
    """Raise OutputError, before any work, if a model could not be written or would replace something else."""
    folder = folder_to_be(folder)
    strange = _strangers(folder)
    if strange is not None:
        raise OutputError(f"{folder}: {strange}; imgtool does not replace it")
    if not overwrite and (folder / DESCRIPTION).exists():
        raise OutputError(f"{folder}: exists", hint="exists")
    with output_errors(str(folder)), folder_of_its_own(folder, keep=False):
        sweep(str(folder))
        with temporary(str(folder)):
            pass


def _strangers(folder: Path) -> str | None:
    """Return why a folder may not be replaced: what in it does not belong to a model. None if it may."""
    if not os.path.lexists(folder):
        return None
    with output_errors(str(folder)):
        if not folder.is_dir():
            return "is no folder"
        found = sorted(folder.iterdir())
    names = [path.name for path in found]
    others = [path.name for path in found if not _is_own(path)]
    if others:
        return f"holds other things than a model, such as {others[0]}"
    if DESCRIPTION in names:
        try:
            load_description(folder)
        except DataError:
            return f"holds a {DESCRIPTION} that is not a model's"
    elif own := {CARD, METRICS} & set(names):
        return f"holds {min(own)} and no model"
    return None


def _is_own(path: Path) -> bool:
    """Tell whether a name in a folder is one that a model's files have, and no folder's."""
    known = {DESCRIPTION, CARD, METRICS}
    return not path.is_dir() and bool(path.name in known or _WEIGHTS.fullmatch(path.name) or _LEFTOVER.match(path.name))


def _remove_others(folder: Path, weights: str, digest: str) -> None:
    """Remove what belongs to the model that was replaced: weights that are named no more, a card of other weights."""
    with contextlib.suppress(OSError, DataError):
        for path in folder.iterdir():
            if _WEIGHTS.fullmatch(path.name) and path.name != weights:
                path.unlink()
        if card_of(folder, digest) is None:
            (folder / CARD).unlink(missing_ok=True)


def remove_model(folder: Path) -> None:
    """Remove a model's files, and the folder where nothing else lies there."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _is_own(path):
                path.unlink()
        folder.rmdir()


def card_of(folder: Path, weights_hash: str) -> str | None:
    """Return a model's card; None if there is none, or if it describes other weights.

    Raises DataError for a card that is a link, which could show any file, or no text.
    """
    path = folder / CARD
    if not os.path.lexists(path):
        return None
    with _naming(folder):
        if path.is_symlink():
            raise DataError(f"{CARD} is a link, and is not followed")
        try:
            text = read_regular(path, TEXT_BYTES).decode()
        except OSError as error:
            raise DataError(f"{CARD} {(error.strerror or str(error)).lower()}") from None
        except UnicodeDecodeError:
            raise DataError(f"{CARD} is not UTF-8 text") from None
    return text if weights_hash in text else None


def load_model(folder: Path, *, verify: bool = False) -> ModelData:
    """Return what a model folder holds. Raises DataError, naming the folder, for anything invalid.

    verify: hash the weights and look for NaN whatever their size; else those above MAX_HASHED_BYTES are only mapped.
    """
    description = load_description(folder)
    path = folder / description["weights"]["file"]
    with _naming(folder):
        size, is_small = _size_of(path), _size_of(path) <= MAX_HASHED_BYTES
        stored = _read(path, description["weights"]["sha256"]) if is_small else _map_arrays(path)
        if verify and not is_small:  # now that the header fits the file's size
            _require_hash(path, description["weights"]["sha256"])
        if verify or is_small:
            _require_finite(stored)
        arrays = _dequantize(stored)
    return ModelData(
        name=description["architecture"]["name"],
        parameters=description["architecture"]["parameters"],
        classes=[(each["name"], each.get("id")) for each in description["classes"]],
        provenance=description["provenance"],
        arrays=arrays,
        threshold=float(description["threshold"]),
        preprocessing=description["preprocessing"],
        weights_hash=description["weights"]["sha256"],
        weights_bytes=size,
    )


def load_description(folder: Path) -> dict[str, Any]:
    """Return the checked content of model.json. Raises DataError, naming the folder."""
    path = folder / DESCRIPTION
    with _naming(folder):
        if _size_of(path) > MAX_DESCRIPTION_BYTES:
            raise DataError(f"{DESCRIPTION} is larger than {MAX_DESCRIPTION_BYTES} bytes")
        try:
            description = json.loads(read_regular(path, MAX_DESCRIPTION_BYTES))
        except (ValueError, RecursionError):
            raise DataError(f"{DESCRIPTION} is not JSON") from None
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise DataError(f"{DESCRIPTION} is of another format than {FORMAT}")
        fields.check(description)
        if description["digest"] != digest_of(description):
            raise DataError(f"{DESCRIPTION} was changed: its digest differs")
        if not _WEIGHTS.fullmatch(description["weights"]["file"]):
            raise DataError(f"weights in {DESCRIPTION} names a file that is no model's")
    return description


def digest_of(description: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all fields but `digest`, as sorted JSON. Raises ValueError or TypeError for no JSON."""
    others = {key: value for key, value in description.items() if key != "digest"}
    return hashlib.sha256(json.dumps(others, sort_keys=True, allow_nan=False).encode()).hexdigest()


@contextlib.contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Put the folder's name before what is wrong with it."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{folder}: {(error.strerror or str(error)).lower()}") from None
    except DataError as error:
        raise error.within(str(folder)) from None


def _size_of(path: Path) -> int:
    """Return the size of a regular file."""
    if not os.path.lexists(path):
        raise DataError(f"is no model: {path.name} is missing")
    try:
        with open_regular(path) as file:
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DataError(f"{path.name} {(error.strerror or str(error)).lower()}") from None


def _require_hash(path: Path, digest: str, data: bytes | None = None) -> None:
    """Raise DataError for weights other than those that model.json describes."""
    if data is not None:
        found = hashlib.sha256(data).hexdigest()
    else:
        with open_regular(path) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise DataError(f"{path.name} is not the file that {DESCRIPTION} describes (its hash differs)")


def _read(path: Path, digest: str) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file with this hash, in memory."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = read_regular(path, MAX_HASHED_BYTES)
    _require_hash(path, digest, data)
    try:
        arrays: dict[str, np.ndarray] = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path.name} is broken: {error}") from None
    return arrays


def _map_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file as views of the file, which are read when they are used."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as checked:  # checks the header against the file's size
            names = list(checked.keys())
        with open_regular(path) as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except (SafetensorError, ValueError) as error:
        raise DataError(f"{path.name} is broken: {error}") from None
    content = np.memmap(path, np.uint8, "r", offset=8 + length)
    arrays = {}
    for name in names:
        entry = header[name]
        if entry["dtype"] not in _DTYPES:
            raise DataError(f"{path.name} is broken: {name} is of type {entry['dtype']}")
        begin, end = entry["data_offsets"]
        arrays[name] = content[begin:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays


_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1"}


def _require_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise DataError for arrays that hold NaN or infinity, or would once they are multiplied by their scales."""
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            continue
        of = name.removesuffix(_SCALE)
        is_scale = of != name and of in arrays and arrays[of].dtype == np.int8
        ends = [float(array.min(initial=0)), float(array.max(initial=0))]
        if not all(math.isfinite(end) and (not is_scale or abs(end) <= _LARGEST_SCALE) for end in ends):
            raise DataError(f"{of if is_scale else name} holds NaN or infinity")


def weights_data(arrays: Mapping[str, np.ndarray], quantize: Sequence[str] = ()) -> bytes:
    """Return the arrays as the bytes of a safetensors file, some of them as int8."""
    from safetensors.numpy import save

    stored: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        stored |= quantize_rows(name, array) if name in quantize else {name: np.ascontiguousarray(array)}
    data: bytes = save(stored)
    return data


def as_stored(arrays: Mapping[str, np.ndarray], quantize: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the arrays as a file gives them back of which some are stored as int8."""
    stored: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        stored |= quantize_rows(name, array) if name in quantize else {name: array}
    return _dequantize(stored)


def weights_size(arrays: Mapping[str, np.ndarray]) -> int:
    """Return the length of `weights_data` without building it: header, then widest types first, by name."""
    entries, end = {}, 0
    for name, array in sorted(arrays.items(), key=lambda pair: (-pair[1].itemsize, pair[0])):
        begin, end = end, end + array.nbytes
        kind = f"{'F' if array.dtype.kind == 'f' else array.dtype.kind.upper()}{8 * array.itemsize}"
        entries[name] = {"dtype": kind, "shape": list(array.shape) or [1], "data_offsets": [begin, end]}
    header = len(json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode())
    return 8 + -(-header // 8) * 8 + end


def quantize_rows(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    """Return the array as int8 and one scale for each row: value = int8 * scale."""
    rows = array.reshape(len(array), -1)
    scale = np.maximum(np.abs(rows).max(axis=1), np.float32(1e-30)) / 127
    values = np.rint(rows / scale[:, None]).astype(np.int8)
    return {name: np.ascontiguousarray(values.reshape(array.shape)), name + _SCALE: scale.astype(np.float32)}


def _dequantize(stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Multiply int8 arrays by their scales."""
    arrays = {name: array for name, array in stored.items() if not name.endswith(_SCALE)}
    for name, array in arrays.items():
        if array.dtype == np.int8:
            scale = stored.get(name + _SCALE)
            if scale is None or not array.ndim or scale.shape != array.shape[:1] or scale.dtype != np.float32:
                raise DataError(f"the scales of {name} are missing or do not fit")
            arrays[name] = array.astype(np.float32)  # and then in place: half the time of a product of both types
            arrays[name] *= scale.reshape(-1, *[1] * (array.ndim - 1))
    return arrays
