"""A fitted model as a folder of plain data: model.json and weights.safetensors.

Nothing in it is executed or unpickled, no path in it is followed, every field is checked. Large arrays may be stored
as int8 with a float32 scale for each row, named NAME.scale beside NAME.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgtool.batch.outputs import vanishing
from imgtool.errors import DataError, OutputError

FORMAT = 1
DESCRIPTION, WEIGHTS = "model.json", "weights.safetensors"
LARGEST_DESCRIPTION = 16_000_000  # bytes
_SCALE = ".scale"


def save_folder(
    folder: Path,
    description: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    *,
    overwrite: bool = False,
    quantise: Sequence[str] = (),
) -> None:
    """Write a model folder whole or not at all.

    Raises OutputError when it exists and overwrite is false, DataError for what `load_folder` would refuse.
    """
    from safetensors.numpy import save

    prepare_place(folder, overwrite=overwrite)
    _require_finite(folder, arrays)
    stored: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        stored |= quantised(name, array) if name in quantise else {name: np.ascontiguousarray(array)}
    data = save(stored)
    text = {"format": FORMAT, **description, "sha256": hashlib.sha256(data).hexdigest()}
    _check(folder, text)
    try:
        written = json.dumps(text, indent=1, allow_nan=False) + "\n"
    except (ValueError, TypeError) as error:
        raise DataError(f"{folder}: its description cannot be stored: {error}") from None
    _put(folder, {WEIGHTS: data, DESCRIPTION: written.encode()})


def prepare_place(folder: Path, *, overwrite: bool = False) -> None:
    """Make the folders above a model's. Raises OutputError where the model could not be written after hours of work."""
    if os.path.lexists(folder) and not overwrite:
        raise OutputError(f"{folder}: exists; --force overwrites it")
    parent = folder.resolve().parent
    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / DESCRIPTION).is_file():
            raise OutputError(f"{folder}: holds other things than a model; imgtool does not replace it")
        parent.mkdir(parents=True, exist_ok=True)
        attempt = _temporary(parent)
        attempt.mkdir()
        attempt.rmdir()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {(error.strerror or str(error)).lower()}") from None


def _temporary(parent: Path) -> Path:
    """Return a new name for a folder, which carries the process."""
    return parent / f".imgtool-model-{os.getpid()}-{os.urandom(4).hex()}"


def _put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files under a temporary name, then rename the folder into its place."""
    try:
        temporary = _temporary(folder.resolve().parent)
        with vanishing(str(temporary), temporary.mkdir):
            for name, data in files.items():
                (temporary / name).write_bytes(data)
            if folder.exists():  # the old one goes only when the new one stands in its place
                old = temporary.with_name(temporary.name + "-old")
                folder.rename(old)
                temporary.rename(folder)
                shutil.rmtree(old)
            else:
                temporary.rename(folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {(error.strerror or str(error)).lower()}") from None


def load_folder(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return (description, arrays) of a model folder. Raises DataError for anything that is not as it should be."""
    description = load_description(folder)
    data = _bytes_of(folder / WEIGHTS)
    if hashlib.sha256(data).hexdigest() != description["sha256"]:
        raise DataError(f"{folder}: {WEIGHTS} is not the file that {DESCRIPTION} describes (its hash differs)")
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        stored: dict[str, np.ndarray] = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: {WEIGHTS} is broken: {error}") from None
    arrays = _restored(stored)
    _require_finite(folder, arrays)
    return description, arrays


def _require_finite(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Raise DataError for arrays that hold NaN or infinity."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array.sum(dtype=np.float64)):
            raise DataError(f"{folder}: {name} holds NaN or infinity")


def load_description(folder: Path) -> dict[str, Any]:
    """Return the checked content of model.json."""
    data = _bytes_of(folder / DESCRIPTION, LARGEST_DESCRIPTION)
    try:
        description = json.loads(data)
    except (ValueError, RecursionError):
        raise DataError(f"{folder}: {DESCRIPTION} is no JSON") from None
    if not isinstance(description, dict) or not _is_whole(description.get("format")) or description["format"] != FORMAT:
        raise DataError(f"{folder}: {DESCRIPTION} is of another format than {FORMAT}")
    _check(folder, description)
    return description


def _check(folder: Path, description: Mapping[str, Any]) -> None:
    """Raise DataError unless every field is there and what it should be; `accuracy` may be missing."""
    for key, valid in _FIELDS.items():
        if not valid(description.get(key)) and (key in description or key != "accuracy"):
            raise DataError(f"{folder}: {key} in {DESCRIPTION} is missing or not what it should be")


def _is_whole(value: Any, least: int = 0) -> bool:
    """Tell whether a value is a whole number of at least this size."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63


def _is_number(value: Any) -> bool:
    """Tell whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_hash(value: Any) -> bool:
    """Tell whether a value is a SHA-256 in hexadecimal."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_data(value: Any) -> bool:
    """Tell whether a value says how many images were learned from, and their hash."""
    return isinstance(value, dict) and _is_whole(value.get("images"), 1) and _is_hash(value.get("sha256"))


def _is_history(value: Any) -> bool:
    """Tell whether a value is a list of records of numbers, or of numbers by name."""
    return isinstance(value, list) and all(
        isinstance(record, dict)
        and all(
            all(map(_is_number, entry.values())) if isinstance(entry, dict) else _is_number(entry)
            for entry in record.values()
        )
        for record in value
    )


def _is_accuracy(value: Any) -> bool:
    """Tell whether a value is a share right / n with an interval around it."""
    if not isinstance(value, dict) or not (_is_whole(value.get("right")) and _is_whole(value.get("n"), 1)):
        return False
    share, interval = value.get("value"), value.get("interval")
    if not isinstance(interval, list) or len(interval) != 2 or not all(map(_is_number, [share, *interval])):
        return False
    return bool(share == value["right"] / value["n"] and 0 <= interval[0] <= share <= interval[1] <= 1)


def _is_classes(value: Any) -> bool:
    """Tell whether a value is a list of distinct names."""
    return (
        isinstance(value, list)
        and len(value) >= 1
        and all(isinstance(name, str) and name for name in value)
        and len(set(value)) == len(value)
    )


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "name": lambda value: isinstance(value, str) and value != "",
    "classes": _is_classes,
    "settings": lambda value: isinstance(value, dict) and all(isinstance(key, str) for key in value),
    "data": _is_data,
    "seed": _is_whole,
    "history": _is_history,
    "accuracy": _is_accuracy,
    "sha256": _is_hash,
}


def _bytes_of(path: Path, largest: int | None = None) -> bytes:
    """Read a regular file."""
    try:
        if not path.is_file():
            raise DataError(f"{path.parent}: is no model: {path.name} is missing")
        if largest is not None and path.stat().st_size > largest:
            raise DataError(f"{path.parent}: {path.name} is larger than {largest} bytes")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def quantised(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    """Return the array as int8 and one scale for each row: value = int8 * scale."""
    rows = array.reshape(len(array), -1)
    scale = np.maximum(np.abs(rows).max(axis=1), np.float32(1e-30)) / 127
    values = np.rint(rows / scale[:, None]).astype(np.int8)
    return {name: np.ascontiguousarray(values.reshape(array.shape)), name + _SCALE: scale.astype(np.float32)}


def _restored(stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Multiply 8-bit arrays by their scales."""
    arrays = {name: array for name, array in stored.items() if not name.endswith(_SCALE)}
    for name, array in arrays.items():
        if array.dtype == np.int8:
            scale = stored.get(name + _SCALE)
            if scale is None or scale.shape != array.shape[:1] or scale.dtype != np.float32:
                raise DataError(f"the scales of {name} are missing or do not fit")
            arrays[name] = array * scale.reshape(-1, *[1] * (array.ndim - 1))
    return arrays
