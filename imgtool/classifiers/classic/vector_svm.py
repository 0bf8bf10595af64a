"""What all classic classifiers share: one vector for each image, and a support vector machine on top."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from imgtool.batch.pool import ordered_map, processors
from imgtool.classifiers.classic.machines import SVM, machine_from
from imgtool.classifiers.classic.svm import CLASS_WEIGHTS, COSTS, FOLDS, GAMMAS, KERNELS, fit_svm
from imgtool.classifiers.protocol import Trainable
from imgtool.classifiers.settings import Groups, value_text
from imgtool.datasets.dataset import Dataset, Made
from imgtool.device import resolve
from imgtool.errors import DataError, ImgtoolError, ParameterError
from imgtool.events import Events, Progress
from imgtool.image.resize import resize
from imgtool.parameters import Parameters, parameter

MAX_ASPECT = 4  # longer to shorter side; thinner images are squeezed
# What settings may ask for, of one image: they come from a file, too.
MAX_VECTOR_NUMBERS = 1 << 24
READING = ("page", "bands", "background")  # of a feature file's parameters: what classifying can be told, too
DEVICE_IMAGES = 64  # described at once on a device
MAX_TABLE_BYTES = 1 << 28  # of the training images' vectors; more lie in a file


@dataclass(frozen=True)
class SvmParameters(Parameters):
    """How every support vector machine here is fitted."""

    costs: tuple[float, ...] = parameter(COSTS, "Costs of an error that cross-validation tries.", low=1e-9, high=1e9)
    folds: int = parameter(FOLDS, "Parts of cross-validation.", low=1, high=100)
    class_weight: str = parameter(
        CLASS_WEIGHTS[0],
        "balanced: errors of small classes count as much as those of large ones.",
        choices=CLASS_WEIGHTS,
        later=True,
    )


@dataclass(frozen=True)
class RadialSvmParameters(SvmParameters):
    """How the machines here are fitted that may have a radial kernel."""

    costs: tuple[float, ...] = parameter((1.0, 10.0), "Costs that cross-validation tries.", low=1e-9, high=1e9)
    kernel: str = parameter("rbf", "Radial basis functions, or linear.", choices=KERNELS[::-1], before="linear")
    gammas: tuple[float, ...] = parameter(
        GAMMAS,
        "Of rbf: inverse squared widths that are tried, where the mean squared distance is 2.",
        low=1e-6,
        high=1e6,
        later=True,
    )


class VectorSvm(Trainable):
    """One vector for each image, and a support vector machine. Subclasses say which vector.

    descriptor: by which feature files are made whose vectors the machine can be fitted to, "" for none; fixed: values
    of its parameters that are no settings of the model.
    """

    standardize: ClassVar[bool] = False
    uses_devices = False
    descriptor: ClassVar[str] = ""
    fixed: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, name: str, groups: Groups | None = None, *, chosen: Iterable[str] = ()) -> None:
        super().__init__(name, groups, chosen=chosen)
        self.check_sizes()
        self.svm: SVM | None = None

    @abstractmethod
    def check_sizes(self) -> None:
        """Raise ParameterError for settings that no image fits, or by which one image would take all memory."""

    @abstractmethod
    def length(self) -> int:
        """Return how many numbers describe an image, from the settings alone."""

    @abstractmethod
    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the vector of one prepared image."""

    def features_on(self, device: str, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return one vector for each prepared image, computed on a device by kinds that use one."""
        return self.features(batch)

    def fit_descriptor(self, dataset: Dataset, seed: int, events: Events | None) -> None:
        """Learn what `describe` needs, if it needs anything."""

    def fit(
        self,
        dataset: Dataset,
        *,
        seed: int = 0,
        device: str = "cpu",
        resume: Path | None = None,
        events: Events | None = None,
    ) -> Self:
        """Learn from a data set. An interrupted fit starts again (it takes seconds to minutes).

        On a device images are described, by kinds that use one; the machine is always fitted on the CPU.
        To the vectors of a feature file the machine alone is fitted, with the settings by which these were made.
        """
        origin: dict[str, Any] = {}
        if dataset.made is None or not self.descriptor:
            self.fit_descriptor(dataset, seed, events)
            place = resolve(device) if self.uses_devices else "cpu"
            rows = self._described(dataset, place, events)
            origin = {} if place == "cpu" else {"device": place}
        else:
            self.adopt(dataset.made, np.asarray(dataset.items).shape[1])
            rows = map(self.vector_of, np.asarray(dataset.items))
            known = ("descriptor", "device", "version")
            origin = {"vectors": {key: value for key, value in dataset.made.meta.items() if key in known}}
        features = _table(rows, len(dataset))
        self.svm, found, self.threshold = self.fit_machine(
            features, np.asarray(dataset.labels), len(dataset.classes), seed, events
        )
        self.record_training(dataset, seed=seed, history=[found], **origin)
        return self

    def fit_machine(
        self, features: np.ndarray, labels: np.ndarray, classes: int, seed: int, events: Events | None
    ) -> tuple[SVM, dict[str, Any], float]:
        """Return the machine fitted to vectors, what cross-validation found, and the threshold."""
        own = self.parameters
        return fit_svm(
            features,
            labels,
            classes,
            costs=self.parameters.costs,
            kernel=own.kernel if isinstance(own, RadialSvmParameters) else KERNELS[0],
            gammas=own.gammas if isinstance(own, RadialSvmParameters) else GAMMAS,
            folds=self.parameters.folds,
            standardize=self.standardize,
            class_weight=self.parameters.class_weight,
            seed=seed,
            events=events,
        )

    def _described(self, dataset: Dataset, device: str, events: Events | None) -> Iterator[np.ndarray]:
        """Yield the vector of each image, several being described at once."""
        count = len(dataset)
        learns = type(self).fit_descriptor is not VectorSvm.fit_descriptor
        how = "" if learns else f"{type(self).__name__} {self.parameters}"
        if device == "cpu":
            rows = ordered_map(lambda index: self._vector(dataset, index, how), range(count), processors())
        else:
            rows = self._on_device(dataset, device, f"{device} {how}" if how else "")
        for index, row in enumerate(rows):
            yield row
            if events:
                events(Progress(index + 1, count, "describing images"))

    def _on_device(self, dataset: Dataset, device: str, how: str) -> Iterator[np.ndarray]:
        """Yield the vector of each image, many being described at once on a device. how: as for `_vector`."""
        for begin in range(0, len(dataset), DEVICE_IMAGES):
            indices = range(begin, min(begin + DEVICE_IMAGES, len(dataset)))
            batch = functools.cache(functools.partial(self._batch, dataset, device, indices))
            for place, index in enumerate(indices):
                yield _kept(dataset, index, how, functools.partial(lambda of, place: of()[place], batch, place))

    def _batch(self, dataset: Dataset, device: str, indices: range) -> np.ndarray:
        """Return the vectors (N, D) of some images, which are read several at once and described together."""

        def prepared(index: int) -> np.ndarray:
            image = dataset.image(index)
            with dataset.naming(index):
                return self.prepare(image)

        images = list(ordered_map(prepared, indices, processors()))
        return self.features_on(device, images).astype(np.float32, copy=False)

    def adopt(self, made: Made, length: int) -> None:
        """Take over the settings by which the vectors of a feature file, of so many numbers, were made.

        Raises DataError where they are not the model's, ParameterError for a chosen setting that differs.
        """
        try:
            found = type(self.parameters).from_json(self.parameters.to_json() | self._settings_in(made.meta))
            for name in sorted(self.chosen):
                if (chosen := getattr(self.parameters, name)) != (own := getattr(found, name)):
                    raise ParameterError(f"was made with {name}={value_text(own)}, and {value_text(chosen)} is chosen")
            self.change("architecture", found)
            self.check_sizes()
            if length != self.length():
                raise DataError(f"has vectors of {length} numbers; by its settings they have {self.length()}")
        except (DataError, ParameterError) as error:
            raise error.within(str(made.path)) from None

    def _settings_in(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings in a feature file's meta. Raises DataError where images have other vectors by any."""
        if "descriptor" not in meta or not isinstance(meta.get("parameters"), Mapping):
            raise DataError("does not say how its vectors were made, as npz, parquet and jsonl do")
        if meta["descriptor"] != self.descriptor:
            raise DataError(f"has vectors of {meta['descriptor']}; {self.name} is fitted to those of {self.descriptor}")
        left = {key: value for key, value in meta["parameters"].items() if key not in READING}
        for key, value in self.fixed.items():
            if (other := left.pop(key, value)) != value:
                raise DataError(f"was made with {key}={value_text(other)}, and {self.name} has {value_text(value)}")
        try:
            found = self.settings_in(left)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ImgtoolError):
                raise
            raise DataError("does not say how its vectors were made") from None
        for key, value in left.items():
            raise DataError(f"was made with {key}={value_text(value)}, and {self.name} describes images without")
        return found

    def settings_in(self, made: dict[str, Any]) -> dict[str, Any]:
        """Return settings given the parameters of the descriptor; those that are used are taken out.

        By default none is, so that any is refused. Raises DataError, or KeyError, TypeError or ValueError where they
        are not what the descriptor writes.
        """
        return {}

    def vector_of(self, described: np.ndarray) -> np.ndarray:
        """Return the vector of an image, given that of the descriptor."""
        return described

    def _vector(self, dataset: Dataset, index: int, how: str) -> np.ndarray:
        """Return the vector of one image, kept from an earlier fit if there is one. Raises ImageError, naming the file.

        how: what the vector depends on besides the image; empty where that is learned from the data set.
        """

        def described() -> np.ndarray:
            image = dataset.image(index)
            with dataset.naming(index):
                return self.describe(self.prepare(image)).astype(np.float32, copy=False)

        return _kept(dataset, index, how, described)

    def features(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return one vector for each prepared image."""
        return np.stack([self.describe(image) for image in batch]).astype(np.float32, copy=False)

    def decide(self, features: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities."""
        if self.svm is None:
            raise DataError(f"{self.name} is not fitted")
        return self.svm.probabilities(features)

    def quantizable(self) -> list[str]:
        """Return the machine's weights; those of a codebook are few, and much depends on them."""
        return [name for name in ("svm.weights", "svm.vectors") if name in self.arrays()]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return weights, biases and slope."""
        return self.svm.arrays() if self.svm else {}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take weights, biases and slope."""
        self.svm = machine_from(arrays, len(self.classes))
        if self.svm.length != self.length():
            raise DataError(f"its weights are for {self.svm.length} features, not {self.length()}")


def _kept(dataset: Dataset, index: int, how: str, describe: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the vector of one image, kept from an earlier fit if there is one, or what `describe` gives."""
    item = dataset.items[index]
    if dataset.cache is None or not how or isinstance(item, np.ndarray):
        return describe()
    return dataset.cache.vector(how, item, describe)


def _table(rows: Iterator[np.ndarray], count: int) -> np.ndarray:
    """Return vectors (N, D) float32; where they are many and long, in a file. Raises DataError where there are none."""
    from imgtool.classifiers.squares import in_file

    if not count:
        raise DataError("the data set is empty")
    first = next(rows)
    shape = (count, len(first))
    if first.nbytes * count > MAX_TABLE_BYTES:
        return in_file(chain([first], rows), shape, dtype=np.float32)
    table = np.empty(shape, np.float32)
    for index, row in enumerate(chain([first], rows)):
        table[index] = row
    return table


def require_most(what: str, numbers: int, most: int) -> None:
    """Raise ParameterError for settings that ask for too much."""
    if numbers > most:
        raise ParameterError(f"the settings ask for {numbers} {what} an image; there may be {most}")


def short_side(image: np.ndarray, size: int) -> np.ndarray:
    """Return the image with its shorter side brought to `size` pixels, the longer one to at most four times that."""
    rows, columns = image.shape[:2]
    scale = size / min(rows, columns)
    height, width = (min(max(round(side * scale), size), MAX_ASPECT * size) for side in (rows, columns))
    return image if (height, width) == (rows, columns) else resize(image, height, width)
