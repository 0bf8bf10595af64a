"""Classifiers by name.

A name is an architecture (`alexnet`), which `create` makes unfitted and `open_model` opens as the model that ships; or
`ARCHITECTURE@WEIGHTS` (`alexnet@imagenette`). A path opens a model folder. A user's own class is registered as an
entry point of the group `imgtool.models`.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from pathlib import Path
from typing import Any

from imgtool.classifiers.protocol import Classifier
from imgtool.classifiers.storage import load_description, load_folder
from imgtool.device import resolve
from imgtool.errors import DataError, MissingExtraError, ParameterError

# Name -> module and class; imported when asked for.
ARCHITECTURES = {
    "two-layer": "imgtool.classifiers.network:TwoLayer",
    "lenet": "imgtool.classifiers.network:LeNet",
    "alexnet": "imgtool.classifiers.network:AlexNet",
    "hog-svm": "imgtool.classifiers.classic:HogSvm",
    "gist-svm": "imgtool.classifiers.classic:GistSvm",
    "sift-fv-svm": "imgtool.classifiers.classic:SiftFisherSvm",
}
SHIPPED = Path(__file__).parent / "models"
# Which weights an architecture's bare name opens.
PREFERRED = {"alexnet": "imagenette", "lenet": "cifar10", "sift-fv-svm": "imagenette"}


def names() -> list[str]:
    """Return the architectures, those of entry points included."""
    return [*ARCHITECTURES, *_entry_points()]


def shipped() -> list[str]:
    """Return the models in the package."""
    return sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir()) if SHIPPED.is_dir() else []


def _entry_points() -> dict[str, Any]:
    """Return the classes that other packages register."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group="imgtool.models")}


def _class_of(name: str) -> type[Classifier]:
    """Return the class of an architecture."""
    if name in ARCHITECTURES:
        module, _, attribute = ARCHITECTURES[name].partition(":")
        found: type[Classifier] = getattr(importlib.import_module(module), attribute)
        return found
    points = _entry_points()
    if name in points:
        loaded: type[Classifier] = points[name].load()
        return loaded
    near = difflib.get_close_matches(name, [*names(), *shipped()], 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ParameterError(f"no model {name!r}; {hint}there are {', '.join(names())}")


def create(name: str, **settings: Any) -> Classifier:
    """Return an unfitted classifier. Raises ParameterError for an unknown name or setting."""
    return _class_of(name)(name, **settings)


def locate(name: str) -> Path:
    """Return the folder of a fitted model: a path, or a name of one that ships."""
    if "/" in name or Path(name, "model.json").is_file() or name in (".", ".."):
        return Path(name)
    architecture, _, weights = name.partition("@")
    folder = SHIPPED / f"{architecture}@{weights or PREFERRED.get(architecture, '')}"
    if folder.is_dir():
        return folder
    _class_of(architecture)
    there = ", ".join(shipped())
    raise ParameterError(f"no trained {name!r}: these ship: {there}; imgtool train makes others, given as a folder")


def open_model(name: str, *, device: str = "cpu", backend: str = "auto") -> Classifier:
    """Return a fitted classifier by name or path.

    Raises ParameterError, DataError, DeviceError, or MissingExtraError when the backend is not installed.
    """
    device = resolve(device)
    if backend == "numpy" and device != "cpu":
        raise ParameterError(f"--backend numpy runs on the CPU, not on {device}")
    folder = locate(name)
    description = load_description(folder)
    if description["name"] not in names():
        raise DataError(f"{folder}: is a model of the unknown kind {description['name']!r}")
    try:
        model = _class_of(description["name"]).from_stored(*load_folder(folder))
    except DataError as error:
        text = str(error)
        raise DataError(text if text.startswith(str(folder)) else f"{folder}: {text}") from None
    if backend not in model.backends:
        raise ParameterError(f"--backend {backend}: {model.name} has {', '.join(model.backends)}")
    if backend == "torch" and importlib.util.find_spec("torch") is None:
        raise MissingExtraError("torch", "--backend torch")
    model.backend, model.device = backend, device
    return model
