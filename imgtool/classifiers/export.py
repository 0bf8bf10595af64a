"""Write a trained model as another folder: 8-bit weights, names for classes that are called by identifiers."""

from __future__ import annotations

from pathlib import Path

from imgtool.classifiers.protocol import Trainable
from imgtool.classifiers.registry import open_model
from imgtool.errors import DataError

MAX_NAMES_BYTES = 16_000_000


def export_model(
    name: str | Path, output: Path, *, quantize: bool = False, names: Path | None = None, overwrite: bool = False
) -> None:
    """Write a model to another folder.

    quantize: matrices as int8 with a scale for each row; the stored accuracy, which is not theirs, is left out.
    names: a file with a line `identifier name` for each class. Raises DataError for classes that it does not name.
    """
    model = open_model(name)
    if names is not None:
        name_classes(model, read_names(names))
    if quantize:
        model.provenance = {key: value for key, value in model.provenance.items() if key != "accuracy"}
    model.save(output, overwrite=overwrite, quantize=model.quantizable() if quantize else ())


def read_names(path: Path) -> dict[str, str]:
    """Return what a file of lines `identifier name` says."""
    try:
        if path.stat().st_size > MAX_NAMES_BYTES:
            raise DataError(f"{path}: is larger than {MAX_NAMES_BYTES} bytes")
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "is not UTF-8 text"
        raise DataError(f"{path}: {reason}") from None
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    if odd := [pair for pair in pairs if len(pair) != 2]:
        raise DataError(f"{path}: {odd[0][0]!r} has no name behind it")
    return {key: name.strip() for key, name in pairs}


def name_classes(model: Trainable, names: dict[str, str]) -> None:
    """Give classes that are called by identifiers their names."""
    if missing := [key for key in model.classes if key not in names]:
        raise DataError(f"there is no name for the class {missing[0]!r}")
    model.identifiers = model.classes
    model.classes = tuple(names[key] for key in model.classes)
