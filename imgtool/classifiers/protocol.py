"""What every classifier keeps: one protocol for networks and classic models.

fit(dataset, ...) -> self          learn from labelled images
prepare(image) -> array            what it does to an image of any size before looking at it
features(batch) -> (N, D)          penultimate layer, Fisher vector, HoG ...
decide(features) -> (N, classes)   probabilities
scores(images) -> (N, classes)     the three in turn, timed each
save(folder), load(folder)         data only
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from imgtool.classifiers import storage
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError, ParameterError

Progress = Callable[[int, int, str], None]


class Classifier(ABC):
    """Labels images. Subclasses say how; `name`, `classes` and `settings` say what they are.

    settings: the parameters that `--set KEY=VALUE` may change, with their values. description: what a fitted model
    tells of itself (data, seed, history, accuracy ...), stored with it. seconds: time spent in each stage so far.
    """

    defaults: ClassVar[Mapping[str, Any]] = {}
    backends: ClassVar[tuple[str, ...]] = ("auto",)
    keeps_checkpoints: ClassVar[bool] = False  # does `fit` write to and go on from `resume`?

    def __init__(self, name: str, **settings: Any) -> None:
        if unknown := settings.keys() - self.defaults.keys():
            known = ", ".join(self.defaults) or "none"
            raise ParameterError(f"{name} has no setting {min(unknown)!r}; there are {known}")
        self.name = name
        self.settings = {key: _like(name, key, settings.get(key, value), value) for key, value in self.defaults.items()}
        self.classes: tuple[str, ...] = ()
        self.description: dict[str, Any] = {}
        self.backend, self.device = "auto", "cpu"
        self.seconds = {"prepare": 0.0, "features": 0.0, "decide": 0.0}

    @abstractmethod
    def fit(
        self,
        dataset: Dataset,
        *,
        seed: int = 0,
        device: str = "cpu",
        resume: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from a data set. resume: a checkpoint to write to and go on from, for models that train long."""

    @abstractmethod
    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Bring an image of any size, depth and color to what the model looks at."""

    @abstractmethod
    def features(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return (N, D) float32 for N prepared images."""

    @abstractmethod
    def decide(self, features: np.ndarray) -> np.ndarray:
        """Return probabilities (N, classes); each row adds up to 1."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was learned, by name."""

    @abstractmethod
    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take what was learned. Raises DataError when it does not fit."""

    def scores(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """Return probabilities (N, classes) of images, adding the time of each stage to `seconds`.

        Raises DataError when weights too large for their type make them NaN.
        """
        batch = self._timed("prepare", lambda: [self.prepare(image) for image in images])
        if not batch:
            return np.zeros((0, len(self.classes)), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # told below, in one line
            features = self._timed("features", lambda: self.features(batch))
            probabilities: np.ndarray = self._timed("decide", lambda: self.decide(features))
        if not np.isfinite(probabilities).all():
            raise DataError(f"{self.name} gives no probabilities: its weights are too large")
        return probabilities

    def _timed(self, stage: str, work: Callable[[], Any]) -> Any:
        """Do some work and add its time."""
        begin = time.perf_counter()
        result = work()
        self.seconds[stage] += time.perf_counter() - begin
        return result

    def save(self, folder: Path, *, overwrite: bool = False, quantise: Sequence[str] = ()) -> None:
        """Write the fitted model as a folder. quantise: arrays to store as 8-bit values with a scale for each row."""
        description = {"name": self.name, "classes": list(self.classes), "settings": self.settings, **self.description}
        storage.save_folder(folder, description, self.arrays(), overwrite=overwrite, quantise=quantise)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a model folder. Raises DataError when anything in it is not what it should be."""
        return cls.from_stored(*storage.load_folder(folder))

    @classmethod
    def from_stored(cls, description: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        """Make the classifier that a folder's content describes."""
        description = dict(description)
        name, classes, settings = (description.pop(key) for key in ("name", "classes", "settings"))
        try:
            model = cls(name, **settings)
        except ParameterError as error:
            raise DataError(f"its settings do not fit: {error}") from None
        model.classes = tuple(classes)
        model.description = description
        model.restore(arrays)
        return model


def _like(name: str, key: str, value: Any, default: Any) -> Any:
    """Return a setting as the type of its default; a tuple may come as a list, or as text with commas."""
    kind = type(default[0] if isinstance(default, tuple) else default)
    try:
        if not isinstance(default, tuple):
            return _as(kind, value)
        parts = value.split(",") if isinstance(value, str) else value
        if isinstance(parts, list | tuple) and parts:
            return tuple(_as(kind, part) for part in parts)
    except (ValueError, TypeError, KeyError, OverflowError):
        pass
    wanted = f"{kind.__name__}s with commas between" if isinstance(default, tuple) else kind.__name__
    raise ParameterError(f"{name}: {key} is {wanted}, such as {default!r}; got {value!r}")


def _as(kind: Any, value: Any) -> Any:
    """Return a value of this type, text converted. Raises one of four errors for another type, NaN or infinity."""
    if isinstance(value, str) and kind is not str:
        value = _SWITCHES[value.lower()] if kind is bool else kind(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError
    if kind is float and not math.isfinite(value):
        raise ValueError
    return value


_SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return exp(logits) of each row, scaled to sum 1."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))
