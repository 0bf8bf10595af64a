"""A fitted model as a folder of plain data: model.json and weights.safetensors.

Nothing in it is executed or unpickled, no path in it is followed, every field is checked. Large arrays may be stored
as int8 with a float32 scale for each row, named NAME.scale beside NAME.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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
    """Write a model folder whole or not at all. Raises OutputError when it exists and overwrite is false."""
    from safetensors.numpy import save

    stored: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        stored |= quantised(name, array) if name in quantise else {name: np.ascontiguousarray(array)}
    data = save(stored)
    text = {"format": FORMAT, **description, "sha256": hashlib.sha256(data).hexdigest()}
    parent = folder.resolve().parent
    if os.path.lexists(folder) and not overwrite:
        raise OutputError(f"{folder}: exists; --force overwrites it")
    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / DESCRIPTION).is_file():
            raise OutputError(f"{folder}: holds other things than a model; imgtool does not replace it")
        parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".imgtool-model-{os.getpid()}-", dir=parent))
        try:
            (temporary / WEIGHTS).write_bytes(data)
            (temporary / DESCRIPTION).write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n", "utf-8")
            temporary.chmod(0o755)
            if folder.exists():  # the old one goes only when the new one stands in its place
                old = temporary.with_name(temporary.name + "-old")
                folder.rename(old)
                temporary.rename(folder)
                shutil.rmtree(old)
            else:
                temporary.rename(folder)
        finally:
            if temporary.exists():
                shutil.rmtree(temporary)
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
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array.sum(dtype=np.float64)):
            raise DataError(f"{folder}: {name} holds NaN or infinity")
    return description, arrays


def load_description(folder: Path) -> dict[str, Any]:
    """Return the checked content of model.json."""
    data = _bytes_of(folder / DESCRIPTION, LARGEST_DESCRIPTION)
    try:
        description = json.loads(data)
    except (ValueError, RecursionError):
        raise DataError(f"{folder}: {DESCRIPTION} is no JSON") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise DataError(f"{folder}: {DESCRIPTION} is of another format than {FORMAT}")
    wrong = [key for key, valid in _FIELDS.items() if not valid(description.get(key))]
    if wrong:
        raise DataError(f"{folder}: {wrong[0]} in {DESCRIPTION} is missing or not what it should be")
    return description


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
    "sha256": lambda value: isinstance(value, str) and len(value) == 64,
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
