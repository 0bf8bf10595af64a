"""The protocol of all classifiers: networks, classic models and a user's own.

A `Classifier` predicts; `prepare`, `features`, `decide` and the names of its classes suffice for that. A `Trainable`
also learns from a data set, and is stored as a folder of plain data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

import imgtool
from imgtool.classifiers import storage
from imgtool.classifiers.settings import Groups, settings_of
from imgtool.classifiers.storage import ModelData
from imgtool.classifiers.threshold import THRESHOLD
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.folders import same_name
from imgtool.datasets.overlap import kept_prefixes, merged_prefixes
from imgtool.errors import DataError, ParameterError
from imgtool.image.alpha import WHITE
from imgtool.image.levels import as_levels
from imgtool.names import nearest
from imgtool.parameters import Parameters

if TYPE_CHECKING:
    from imgtool.events import Events

LISTED_CLASSES = 12  # that a message names, of a model that has no more
Provenance = dict[str, Any]


class Classifier(ABC):
    """Labels images.

    name: of the architecture. classes: in the order of the scores, all different; identifiers: of each class, None
    where it has none. threshold: the score from which on the best label is sure. provenance: where the weights come
    from, as `model.json` has it. weights_hash, weights_bytes: of the stored weights, "" and 0 where nothing is stored.
    device, precision: on which and in which it computes.
    """

    name: str = ""
    classes: tuple[str, ...] = ()
    identifiers: tuple[str | None, ...] = ()
    threshold: float = THRESHOLD
    provenance: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = {}
    weights_hash: str = ""
    weights_bytes: int = 0
    device: str = "cpu"
    precision: str = "float32"

    def parameter_count(self) -> int | None:
        """Return how many numbers it has learned; None where that is unknown."""
        return None

    @abstractmethod
    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Preprocess an image of any size, depth and color."""

    @abstractmethod
    def features(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return (N, D) float32 for N prepared images: the penultimate layer, a Fisher vector, HoG ..."""

    @abstractmethod
    def decide(self, features: np.ndarray) -> np.ndarray:
        """Return probabilities (N, classes); each row adds up to 1."""

    def scores(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """Return probabilities (N, classes) of images: `prepare`, `features` and `decide` in turn.

        Raises DataError when weights too large for their type make them NaN.
        """
        batch = [self.prepare(as_levels(image)) for image in images]
        if not batch:
            return np.zeros((0, len(self.classes)), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused below, in one line
            return require_probabilities(self, self.decide(self.features(batch)), len(batch))


def index_of(model: Classifier, label: str) -> int:
    """Return the place of a class by its name or identifier. Raises ParameterError for an unknown one."""
    wanted = same_name(label)
    for names in (model.classes, model.identifiers):
        known = [None if name is None else same_name(name) for name in names]
        if wanted in known:
            return known.index(wanted)
    if several := [
        name for name, key in zip(model.classes, model.identifiers, strict=True) if name == f"{label} ({key})"
    ]:
        raise ParameterError(f"{len(several)} classes of {model.name} are called {label!r}: {', '.join(several)}")
    near = nearest(label, model.classes)
    there = f"; there are {', '.join(model.classes)}" if len(model.classes) <= LISTED_CLASSES else ""
    raise ParameterError(f"no label {label!r} in {model.name}{f'; did you mean {near}?' if near else there}")


def require_probabilities(model: Classifier, scores: np.ndarray, count: int) -> np.ndarray:
    """Return a model's scores for `count` images. Raises DataError unless they are probabilities."""
    if scores.shape != (count, len(model.classes)):
        raise DataError(f"{model.name} gave scores {scores.shape} for {count} images of {len(model.classes)} classes")
    if not np.isfinite(scores).all():
        raise DataError(f"{model.name} gives no probabilities: its weights are too large")
    return scores


class Trainable(Classifier):
    """A classifier that learns from a data set.

    groups: the frozen values whose fields are its settings, the architecture's own under "architecture". A class has
    the defaults, an instance its own. chosen: the settings that were chosen, which training leaves as they are.
    seen_before: `kept_prefixes` of the images that weights had seen on which a training builds. Of the
    training that just ended, doubt: why it seems to have learned nothing; metrics: a row for each epoch, with times.
    """

    groups: Groups = {}  # noqa: RUF012
    backends: ClassVar[tuple[str, ...]] = ("auto",)
    precisions: ClassVar[tuple[str, ...]] = ("float32",)
    keeps_checkpoints: ClassVar[bool] = False  # does `fit` write to and go on from `resume`?
    uses_devices: ClassVar[bool] = True  # does `fit` run on a GPU, if it is told to?
    seen_before: str = ""
    doubt: str = ""
    metrics: Sequence[Mapping[str, Any]] = ()

    def __init__(self, name: str, groups: Groups | None = None, *, chosen: Iterable[str] = ()) -> None:
        self.name = name
        self.groups = dict(type(self).groups if groups is None else groups)
        self.chosen = frozenset(chosen)

    @property
    def settings(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The value of each setting by name."""
        return settings_of(self.groups)

    @property
    def parameters(self) -> Any:
        """The architecture's own parameters."""
        return self.groups["architecture"]

    def change(self, part: str, group: Parameters) -> None:
        """Replace one group of settings."""
        self.groups = {**self.groups, part: group}

    def parameter_count(self) -> int | None:
        """Return how many numbers it has learned."""
        return sum(array.size for array in self.arrays().values())

    def require_extras(self, device: str = "cpu") -> None:
        """Raise MissingExtraError, before any data are read, for what `fit` needs on a device and is not installed."""

    @abstractmethod
    def fit(
        self,
        dataset: Dataset,
        *,
        seed: int = 0,
        device: str = "cpu",
        resume: Path | None = None,
        events: Events | None = None,
    ) -> Self:
        """Learn from a data set. resume: a checkpoint to write to and go on from, for models that train long."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was learned, by name."""

    @abstractmethod
    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take what was learned. Raises DataError when it does not fit."""

    def record_training(self, dataset: Dataset, *, seed: int, history: list[dict[str, Any]], **more: Any) -> None:
        """Set classes and provenance from the training data."""
        self.classes, self.identifiers = tuple(dataset.classes), (None,) * len(dataset.classes)
        recipe = settings_of({part: group for part, group in self.groups.items() if part in ("recipe", "augmentation")})
        self.provenance = {
            "kind": "trained",
            "data": {"images": len(dataset), "sha256": dataset.digest()},
            "seen": merged_prefixes(kept_prefixes(dataset.hashes), self.seen_before),
            **({"background": dataset.background} if dataset.background not in (None, WHITE) else {}),
            "seed": seed,
            "recipe": recipe,
            "history": history,
            "imgtool": imgtool.__version__,
            **more,
        }
        self.weights_hash, self.weights_bytes = "", storage.weights_size(self.arrays())

    def quantizable(self) -> list[str]:
        """Return the arrays that may be stored as int8: matrices of weights."""
        return [name for name, array in self.arrays().items() if array.ndim > 1 and not name.endswith("bias")]

    def to_data(self) -> ModelData:
        """Return everything that is stored. Raises ParameterError for a model that is not fitted."""
        if not self.classes:
            raise ParameterError(f"{self.name} is not fitted")
        return ModelData(
            name=self.name,
            parameters=self.parameters.to_json() if "architecture" in self.groups else {},
            classes=[(stored_name(name, key), key) for name, key in zip(self.classes, self.identifiers, strict=True)],
            provenance=self.provenance,
            arrays=self.arrays(),
            threshold=self.threshold,
            preprocessing=self.groups["preprocessing"].to_json() if "preprocessing" in self.groups else None,
        )

    def save(self, folder: Path, *, overwrite: bool = False, quantize: Sequence[str] = ()) -> None:
        """Write the fitted model as a folder. quantize: arrays to store as 8-bit values with a scale for each row."""
        stored = storage.save_model(
            Path(folder), self.to_data(), overwrite=overwrite, quantize=quantize, metrics=self.metrics
        )
        self.weights_hash, self.weights_bytes = stored.weights_hash, stored.weights_bytes

    @classmethod
    def from_data(cls, data: ModelData, *, backend: str = "auto", device: str = "cpu") -> Self:
        """Return the model that a folder holds. Raises DataError when anything in it does not fit."""
        try:
            model = cls(data.name, cls.groups_from(data))
        except ParameterError as error:
            raise DataError(f"architecture in model.json: {error}") from None
        model.describe_by(data)
        model.restore(data.arrays)
        return model

    @classmethod
    def groups_from(cls, data: ModelData) -> dict[str, Parameters]:
        """Return the settings that a folder holds. Raises DataError."""
        groups = dict(cls.groups)
        for part, stored in (("architecture", data.parameters), ("preprocessing", data.preprocessing)):
            if part in groups:
                try:
                    groups[part] = groups[part].from_json(stored)
                except DataError as error:
                    raise DataError(f"{part} in model.json: {error}") from None
        return groups

    def describe_by(self, data: ModelData) -> None:
        """Set everything that is stored beside settings and arrays."""
        self.classes, self.identifiers = labels_of(data.classes), tuple(key for _, key in data.classes)
        self.threshold, self.provenance = data.threshold, data.provenance
        self.weights_hash, self.weights_bytes = data.weights_hash, data.weights_bytes


def labels_of(classes: Sequence[tuple[str, str | None]]) -> tuple[str, ...]:
    """Return the classes' names; a repeated name is given with its identifier, `crane (n02012849)`."""
    names = [name for name, _ in classes]
    counts = Counter(names)
    return tuple(f"{name} ({key})" if counts[name] > 1 else name for name, key in classes)


def stored_name(label: str, key: str | None) -> str:
    """Return a class's name without the identifier that `labels_of` may have added."""
    return label.removesuffix(f" ({key})") if key else label


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return exp(logits) of each row, scaled to sum 1."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))
