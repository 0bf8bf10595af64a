"""Write a trained model as another folder: 8-bit weights, names for classes that are called by identifiers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgtool.batch.conflicts import refuse_inputs
from imgtool.batch.outputs import check_writable, write_file
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.protocol import Trainable
from imgtool.classifiers.registry import is_onnx, model_files, open_model
from imgtool.classifiers.storage import as_stored, check_place
from imgtool.errors import DataError, MissingExtraError, ParameterError
from imgtool.files import read_text_file
from imgtool.networks.folding import fold_batch_norm

MAX_NAMES_BYTES = 16_000_000


Measure = Callable[[Trainable], dict[str, Any]]


def export_model(
    name: str | Path,
    output: Path,
    *,
    fold: bool = False,
    quantize: bool = False,
    names: Path | None = None,
    overwrite: bool = False,
    device: str = "cpu",
    measure: Measure | None = None,
    reads: Iterable[str] = (),
) -> None:
    """Write a model to another folder, or as a file NAME.onnx: a network with its normalization, or a linear machine.

    fold: batch normalization into the convolutions before it, whose scores are the same within rounding; quantize:
    matrices as int8 with a scale for each row; the stored accuracy, which is not theirs, is left out.
    names: a file with a line `identifier name` for each class. Raises DataError for classes that it does not name.
    measure: returns the provenance of the model as it will be stored, with an accuracy; called before it is written.
    device: on which the model is measured. reads: what else is read, and is not to be replaced.
    """
    inputs = [*model_files(name), *([str(names)] if names else []), *reads]
    if is_onnx(str(output)):
        refuse_inputs([str(output)], inputs)
        check_writable(output, overwrite=overwrite)
        _require_onnx()
    else:
        refuse_inputs([], inputs, folder=str(output))
        check_place(output, overwrite=overwrite)
    model = open_model(name, device=device)
    if not isinstance(model, Trainable):
        raise ParameterError(f"{name} is no folder of a model, which could be written anew")
    if names is not None:
        name_classes(model, read_names(names))
    if fold:
        fold_into_convolutions(model)
    chosen = model.quantizable() if quantize else ()
    if quantize:
        model.provenance = {key: value for key, value in model.provenance.items() if key != "accuracy"}
        model.restore(as_stored(model.arrays(), chosen))
    if measure is not None:
        model.provenance = measure(model)
    if is_onnx(str(output)):
        from imgtool.classifiers.onnx_export import onnx_bytes

        write_file(output, onnx_bytes(model), overwrite=overwrite)
    else:
        model.save(output, overwrite=overwrite, quantize=chosen)


def fold_into_convolutions(model: Trainable) -> None:
    """Have a network do without batch normalization, which goes into the convolutions before it.

    Raises ParameterError for a model that has none, or no form without.
    """
    if not isinstance(model, NetworkClassifier) or not getattr(model.parameters, "batch_norm", False):
        has_choice = isinstance(model, NetworkClassifier) and hasattr(model.parameters, "batch_norm")
        reason = "it was trained without, or it is folded" if has_choice else "it has no setting batch_norm"
        text = f"fold: {model.name} has no batch normalization to fold: {reason}"
        raise ParameterError(text, parameters=("fold",))
    folded, arrays = fold_batch_norm(model.network(), model.arrays())
    model.change("architecture", replace(model.parameters, batch_norm=False))
    plain = model.network().arrays()  # the same arrays in the same order, some by other names
    model.restore({name: arrays[own] for name, own in zip(plain, folded.arrays(), strict=True)})


def _require_onnx() -> None:
    """Raise MissingExtraError where onnx is not installed."""
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtraError("onnx", "writing an ONNX file")


def read_names(path: Path) -> dict[str, str]:
    """Return what a file of lines `identifier name` says."""
    try:
        lines = read_text_file(path, MAX_NAMES_BYTES).decode().splitlines()
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
