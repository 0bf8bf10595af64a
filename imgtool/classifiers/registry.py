"""Classifiers by name.

A name is an architecture (`alexnet`) or `ARCHITECTURE@WEIGHTS` (`alexnet@imagenette`). `create` takes an architecture
and returns an unfitted model; `open_model` takes either, and opens the included weights of a bare architecture. A path
opens a model folder. A user's own class is registered as an entry point of the group `imgtool.models`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.classifiers import published
from imgtool.classifiers.published import PUBLISHED
from imgtool.classifiers.settings import Groups, table, with_settings
from imgtool.classifiers.shipped import SHIPPED_FOLDER as SHIPPED_FOLDER
from imgtool.classifiers.shipped import shipped as shipped
from imgtool.device import resolve
from imgtool.errors import DataError, ImageError, MissingExtraError, ParameterError
from imgtool.names import nearest, unknown_name

if TYPE_CHECKING:
    from imgtool.classifiers.protocol import Classifier, Trainable
    from imgtool.classifiers.storage import ModelData

PRECISIONS = ("float32", "bf16")  # that networks compute in, the default first
_NETWORK = "imgtool.classifiers.network:NetworkClassifier"
# Those of `networks.catalogue`, which takes longer to import than most commands have.
NETWORKS = (
    "two-layer", "lenet", "alexnet", "alexnet-2012",
    "vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn",
    "googlenet",
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "densenet121", "densenet161", "densenet169", "densenet201",
    "squeezenet1_0", "squeezenet1_1",
    "efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2",
)  # fmt: skip
# Architecture -> module and class; imported when asked for.
ARCHITECTURES = {
    **dict.fromkeys(NETWORKS, _NETWORK),
    "pixels-svm": "imgtool.classifiers.classic.pixels_svm:PixelsSvm",
    "hog-svm": "imgtool.classifiers.classic.hog_svm:HogSvm",
    "gist-svm": "imgtool.classifiers.classic.gist_svm:GistSvm",
    "sift-fv-svm": "imgtool.classifiers.classic.sift_fv_svm:SiftFisherSvm",
    "sift-fv-softmax": "imgtool.classifiers.classic.sift_fv_softmax:SiftFisherSoftmax",
    "sift-vlad-svm": "imgtool.classifiers.classic.sift_vlad_svm:SiftVladSvm",
    "sift-bow-svm": "imgtool.classifiers.classic.sift_bow_svm:SiftBowSvm",
    "scspm": "imgtool.classifiers.classic.scspm:Scspm",
    "cnn-svm": "imgtool.classifiers.classic.cnn_svm:CnnSvm",
}
# Which weights an architecture's bare name opens.
DEFAULT_WEIGHTS = {
    "alexnet": "imagenette",
    "efficientnet-lite0": "imagenet",
    "lenet": "cifar10",
    "sift-fv-svm": "imagenette",
}


def names() -> list[str]:
    """Return the names of all architectures, including those of entry points."""
    return [*ARCHITECTURES, *_entry_points()]


def _entry_points() -> dict[str, Any]:
    """Return the classes that other packages register."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group="imgtool.models")}


def _class_of(name: str) -> type[Trainable]:
    """Return the class of an architecture."""
    if not isinstance(name, str):
        raise ParameterError(f"a model is called by a name, not by {name!r}")
    if name in ARCHITECTURES:
        found: type[Trainable] = _class_from(ARCHITECTURES[name])
        return found
    points = _entry_points()
    if name in points:
        loaded: type[Trainable] = points[name].load()
        return loaded
    near = nearest(name, [*names(), *shipped()])
    hint = f"did you mean {near}? " if near else ""
    raise ParameterError(f"no model {name!r}; {hint}there are {', '.join(names())}")


def uses_devices(name: str) -> bool:
    """Tell whether a model is trained on a GPU, if that is asked for; True of a name that is none."""
    return name not in names() or _class_of(name).uses_devices


def _class_from(place: str) -> Any:
    """Return a class by its module and name."""
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def create(name: str, **settings: Any) -> Trainable:
    """Return an unfitted classifier. Raises ParameterError for an unknown name or setting."""
    kind = _class_of(name)
    groups = with_settings(name, groups_of(name), settings)
    try:
        return kind(name, groups, chosen=settings)
    except ParameterError as error:
        text = str(error)
        raise ParameterError(text if text.startswith(f"{name}: ") else f"{name}: {text}") from None


def groups_of(name: str) -> Groups:
    """Return the settings of an architecture with their defaults."""
    kind = _class_of(name)
    return kind(name).groups


def settings_table(name: str) -> list[dict[str, Any]]:
    """Return a row for each setting of an architecture: name, group, default, range, meaning."""
    from imgtool.networks.catalogue import CATALOGUE

    narrowed = CATALOGUE[name].ranges() if name in CATALOGUE else {}
    rows = table(groups_of(name))
    return [{**row, "range": narrowed.get(row["setting"], row["range"])} for row in rows]


def locate(name: str) -> Path:
    """Return the folder of a fitted model by its path or the name of an included one; the file of published weights.

    Raises DataError for published weights that are not on this machine.
    """
    if "/" in name or is_onnx(name) or _is_folder(name) or name in (".", ".."):
        return Path(name)
    if name in PUBLISHED:
        return published.locate(name)
    architecture, _, weights = name.partition("@")
    folder = SHIPPED_FOLDER / f"{architecture}@{weights or DEFAULT_WEIGHTS.get(architecture, '')}"
    if os.path.isdir(folder):
        return folder
    _class_of(architecture)
    there = ", ".join(shipped())
    fetched = [each for each in PUBLISHED if each.partition("@")[0] == architecture]
    more = f"; {', '.join(fetched)} can be fetched" if fetched else ""
    raise ParameterError(f"no trained {name!r}: these ship: {there}{more}", hint="train")


def model_files(*names: object) -> list[str]:
    """Return the folders that trained models are read from; none for an architecture, or what names no model."""
    found = []
    for text in (os.fspath(name) for name in names if isinstance(name, str | os.PathLike)):
        if is_trained(text) or text in DEFAULT_WEIGHTS:
            with contextlib.suppress(ParameterError, DataError):
                found.append(str(locate(text)))
    return found


def is_trained(name: str) -> bool:
    """Tell whether a name is a trained model (a folder, NAME@WEIGHTS), not an architecture, which must be fitted."""
    return _is_folder(name) or is_onnx(name) or "@" in name or "/" in name


def is_onnx(name: str) -> bool:
    """Tell whether a name is that of an ONNX file."""
    return name.lower().endswith(".onnx")


def _is_folder(name: str) -> bool:
    """Tell whether a model lies there; nothing does where no file can have that name.

    Raises ParameterError where the name is one of imgtool's, too: the same command is to do the same everywhere.
    """
    if not os.path.isfile(os.path.join(name, "model.json")):
        return False
    if name in ARCHITECTURES or name in PUBLISHED or name in shipped():
        raise ParameterError(f"{name} is a folder here and a model of imgtool: ./{name} is the folder; rename it")
    return True


def open_model(
    name: str | Path, *, device: str = "cpu", backend: str = "auto", precision: str = PRECISIONS[0]
) -> Classifier:
    """Open a trained model.

    Parameters
    ----------
    name : str or Path
        An included model (`alexnet`, `lenet@mnist`), published weights that were fetched (`resnet50@imagenet`), or the
        folder of a trained model; or an ONNX file that imgtool wrote.
    device : str
        "cpu", "cuda", "cuda:N", or "auto": a GPU if there is one.
    backend : str
        "numpy", "torch", or "auto": NumPy on the CPU, PyTorch on a GPU.
    precision : str
        "float32", or "bf16" (PyTorch): bfloat16, three times as fast on processors that have it; scores differ by
        up to 0.01.

    Returns
    -------
    Classifier
        With `classes`, `scores(images)`, and its three stages `prepare`, `features` and `decide`.

    Raises
    ------
    ParameterError
        The model is unknown, or does not have the backend.
    DataError
        The folder is not a complete model.
    DeviceError, MissingExtraError
        The device does not exist, or PyTorch is not installed.

    Examples
    --------
    >>> import imgtool
    >>> model = imgtool.open_model("lenet@mnist")
    >>> len(model.classes), model.classes[:3]
    (10, ('0', '1', '2'))
    """
    from imgtool.classifiers.storage import load_model

    device = resolve(device)
    _require_possible(device, backend, precision)
    folder = locate(str(name))
    if is_onnx(str(name)):
        if backend != "auto" or precision != PRECISIONS[0]:
            raise ParameterError(f"{name} is run by onnxruntime: backend auto, precision {PRECISIONS[0]}")
        from imgtool.classifiers.onnx import OnnxClassifier

        return OnnxClassifier.open(folder)
    data = published.load(str(name)) if str(name) in PUBLISHED else load_model(folder)
    kind = _kind_of(folder, data, backend)
    more = {} if precision == PRECISIONS[0] else {"precision": precision}
    if precision not in kind.precisions:
        raise ParameterError(f"precision: {data.name} computes in {PRECISIONS[0]} only", parameters=("precision",))
    try:
        return kind.from_data(data, backend=backend, device=device, **more)
    except (DataError, ImageError) as error:  # the latter of settings that no image fits
        raise DataError(f"{folder}: {error}") from None


def _require_possible(device: str, backend: str, precision: str) -> None:
    """Raise ParameterError for what no backend does, MissingExtraError where PyTorch would be needed."""
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    if backend == "numpy" and device != "cpu":
        raise ParameterError(f"backend numpy runs on the CPU, not on {device}")
    if backend == "numpy" and precision != PRECISIONS[0]:
        raise ParameterError(f"backend numpy computes in {PRECISIONS[0]}, not in {precision}")


def _kind_of(folder: Path, data: ModelData, backend: str) -> type[Trainable]:
    """Return the class of a stored model. Raises ParameterError if it does not have the backend."""
    if data.name not in ARCHITECTURES and data.name not in _entry_points():
        raise DataError(f"{folder}: is a model of the unknown kind {data.name!r}")
    kind = _class_of(data.name)
    if backend not in kind.backends:
        raise ParameterError(f"{data.name} has no backend {backend}; it has {', '.join(kind.backends)}")
    if backend == "torch" and importlib.util.find_spec("torch") is None:
        raise MissingExtraError("torch", "backend torch")
    return kind
