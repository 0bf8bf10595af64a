"""Classic classifiers: a descriptor of the image, and a linear support vector machine on top.

`sift-fv-svm`: improved Fisher vectors of dense SIFT (Perronnin, Sanchez and Mensink, ECCV 2010); `hog-svm`: histograms
of oriented gradients (Dalal and Triggs, CVPR 2005); `gist-svm`: GIST (Oliva and Torralba, IJCV 2001). Fitting needs
scikit-learn, labeling does not.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from imgtool.batch.pool import ordered_map, processors
from imgtool.classifiers.protocol import Trainable
from imgtool.classifiers.settings import Groups
from imgtool.classifiers.svm import COSTS, FOLDS, LinearSVM, fit_svm
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError, ParameterError
from imgtool.events import Events, Progress
from imgtool.features.codebook import TENSORS, Codebook
from imgtool.features.encoding import LocalSettings, encode, fit_to_images, length
from imgtool.features.gist import gist, require_parameters
from imgtool.features.hog import hog
from imgtool.features.pyramid import parse_levels
from imgtool.image.color import to_gray, to_rgb
from imgtool.image.resize import resize
from imgtool.parameters import Parameters, parameter

MAX_CODEBOOK_IMAGES = 3000  # more hardly change it
MAX_DESCRIPTORS_AN_IMAGE = 256  # that a codebook is fitted to, so that it is not overfitted to a few images
SIZE_SAMPLE_IMAGES = 200  # whose sizes say how large the images of a data set are
MAX_ASPECT = 4  # longer to shorter side; thinner images are squeezed
# What settings may ask for, of one image: they come from a file, too.
MAX_VECTOR_NUMBERS = 1 << 24
MAX_DESCRIPTORS = 1 << 22


@dataclass(frozen=True)
class SvmParameters(Parameters):
    """How every support vector machine here is fitted."""

    costs: tuple[float, ...] = parameter(COSTS, "Costs of an error that cross-validation tries.", low=1e-9, high=1e9)
    folds: int = parameter(FOLDS, "Parts of cross-validation.", low=1, high=100)


@dataclass(frozen=True)
class HogSvmParameters(SvmParameters):
    """What hog-svm can vary."""

    size: int = parameter(96, "Pixels of the square that images are brought to.", low=1, high=1024)
    orientations: int = parameter(9, "Bins over 180 degrees.", low=1, high=360)
    cell: int = parameter(8, "Pixels of a cell's side.", low=1, high=1024)
    block: int = parameter(2, "Cells of a block's side.", low=1, high=64)


@dataclass(frozen=True)
class GistSvmParameters(SvmParameters):
    """What gist-svm can vary."""

    size: int = parameter(128, "Pixels that the shorter side is brought to.", low=1, high=1024)
    orientations: tuple[int, ...] = parameter((8, 8, 8, 8), "At each scale, finest first.", low=1, high=360)
    blocks: int = parameter(4, "Windows of a side.", low=1, high=64)
    prefilter: float = parameter(4.0, "Cutoff of the contrast normalization, cycles an image.", low=1e-6, high=1e6)


@dataclass(frozen=True)
class SiftFisherSvmParameters(SvmParameters):
    """What sift-fv-svm can vary."""

    size: int = parameter(128, "Pixels that the shorter side is brought to.", low=1, high=1024)
    resolution: int = parameter(
        0,
        "Pixels that the shorter side is shrunk to before; 0: the median of the training images.",
        low=0,
        high=100_000,
    )
    step: int = parameter(4, "Pixels between descriptors.", low=1, high=1024)
    bins: tuple[int, ...] = parameter((4, 6, 8), "Pixels of a spatial bin, for each scale.", low=1, high=256)
    window: str = parameter("flat", "Weights around a descriptor's center.", choices=("flat", "gaussian"))
    root: bool = parameter(True, "RootSIFT: square roots under the L1 norm.")
    dimensions: int = parameter(64, "Kept by the PCA.", low=1, high=4096)
    components: int = parameter(64, "Gaussians of the mixture.", low=1, high=65536)
    places: bool = parameter(True, "Append x and y to descriptors.")
    pyramid: tuple[str, ...] = parameter(("1x1",), "Levels of the spatial pyramid, such as 1x1,3x1.")
    samples: int = parameter(200_000, "Descriptors that the codebook is fitted to.", low=1, high=100_000_000)


class VectorSvm(Trainable):
    """One vector for each image, and a linear support vector machine. Subclasses say which vector."""

    standardize: ClassVar[bool] = False

    def __init__(self, name: str, groups: Groups | None = None, *, chosen: Iterable[str] = ()) -> None:
        super().__init__(name, groups, chosen=chosen)
        self.check_sizes()
        self.svm: LinearSVM | None = None

    @abstractmethod
    def check_sizes(self) -> None:
        """Raise ParameterError for settings that no image fits, or by which one image would take all memory."""

    @abstractmethod
    def length(self) -> int:
        """Return how many numbers describe an image, from the settings alone."""

    @abstractmethod
    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the vector of one prepared image."""

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
        """Learn from a data set, on the CPU. An interrupted fit starts again (it takes seconds to minutes)."""
        self.fit_descriptor(dataset, seed, events)
        features = self._all_features(dataset, events)
        self.svm, found, self.threshold = fit_svm(
            features,
            np.asarray(dataset.labels),
            len(dataset.classes),
            costs=self.parameters.costs,
            folds=self.parameters.folds,
            standardize=self.standardize,
            seed=seed,
            events=events,
        )
        self.record_training(dataset, seed=seed, history=[found])
        return self

    def _all_features(self, dataset: Dataset, events: Events | None) -> np.ndarray:
        """Return the vectors of all images, several at once."""
        count = len(dataset)
        rows = ordered_map(lambda index: self._vector(dataset, index), range(count), processors())
        table: np.ndarray | None = None
        for index, row in enumerate(rows):
            table = np.empty((count, len(row)), np.float32) if table is None else table
            table[index] = row
            if events:
                events(Progress(index + 1, count, "describing images"))
        if table is None:
            raise DataError("the data set is empty")
        return table

    def _vector(self, dataset: Dataset, index: int) -> np.ndarray:
        """Return the vector of one image. Raises ImageError, naming the file."""
        image = dataset.image(index)
        with dataset.naming(index):
            return self.describe(self.prepare(image))

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
        return ["svm.weights"]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return weights, biases and slope."""
        return self.svm.arrays() if self.svm else {}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take weights, biases and slope."""
        self.svm = LinearSVM.from_arrays(arrays, len(self.classes))
        if self.svm.weights.shape[1] != self.length():
            raise DataError(f"its weights are for {self.svm.weights.shape[1]} features, not {self.length()}")


class HogSvm(VectorSvm):
    """Histograms of oriented gradients of the image brought to a square."""

    groups = {"architecture": HogSvmParameters()}  # noqa: RUF012

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return (size, size, 3)."""
        return resize(to_rgb(image), self.parameters.size, self.parameters.size)

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return HoG as one vector of unit length in each block, scaled by their number."""
        own = self.parameters
        blocks = hog(image, orientations=own.orientations, cell=own.cell, block=own.block)
        return blocks.reshape(-1) / np.float32(np.sqrt(blocks.shape[0] * blocks.shape[1]))

    def check_sizes(self) -> None:
        """Refuse a block that is larger than the image, and too many numbers."""
        own = self.parameters
        if own.size // own.cell < own.block:
            raise ParameterError(f"size must be at least cell times block, {own.cell * own.block}, got {own.size}")
        _require_most("numbers", self.length(), MAX_VECTOR_NUMBERS)

    def length(self) -> int:
        """Return how many numbers describe an image: blocks, cells in each, orientations."""
        own = self.parameters
        blocks = own.size // own.cell - own.block + 1
        return int(blocks**2 * own.block**2 * own.orientations)


class GistSvm(VectorSvm):
    """GIST of the image's center square, each number standardized."""

    groups = {"architecture": GistSvmParameters()}  # noqa: RUF012
    standardize = True

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return the gray or color image with its short side brought to `size`."""
        return short_side(to_rgb(image), self.parameters.size)

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return GIST's numbers."""
        own = self.parameters
        return gist(image, size=own.size, orientations=own.orientations, blocks=own.blocks, prefilter=own.prefilter)

    def check_sizes(self) -> None:
        """Refuse more windows than pixels, and too many numbers."""
        own = self.parameters
        require_parameters(own.size, own.orientations, own.blocks, own.prefilter)
        _require_most("numbers", self.length(), MAX_VECTOR_NUMBERS)

    def length(self) -> int:
        """Return how many numbers describe an image: filters, windows."""
        own = self.parameters
        return int(sum(own.orientations) * own.blocks**2)


class SiftFisherSvm(VectorSvm):
    """Fisher vectors of dense RootSIFT.

    A large photograph is shrunk to `resolution` first, so that it shows no finer detail than enlarged training images.
    """

    groups = {"architecture": SiftFisherSvmParameters()}  # noqa: RUF012

    def __init__(self, name: str, groups: Groups | None = None, *, chosen: Iterable[str] = ()) -> None:
        super().__init__(name, groups, chosen=chosen)
        own = self.parameters
        parse_levels(own.pyramid)
        self.local = LocalSettings(own.step, own.bins, own.window, own.root)
        self.codebook: Codebook | None = None

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return (height, width), gray, with the short side brought to `size`."""
        gray, resolution = to_gray(image), self.parameters.resolution
        if 0 < resolution < min(self.parameters.size, *gray.shape):
            gray = short_side(gray, resolution)
        return short_side(gray, self.parameters.size)

    def fit_descriptor(self, dataset: Dataset, seed: int, events: Events | None) -> None:
        """Fit the codebook to descriptors of some of the images."""
        count = min(len(dataset), MAX_CODEBOOK_IMAGES)
        chosen = np.sort(np.random.default_rng(seed).choice(len(dataset), count, replace=False))
        if not self.parameters.resolution:
            sides = [
                min(dataset.image(int(index)).shape[:2]) for index in chosen[:: max(count // SIZE_SAMPLE_IMAGES, 1)]
            ]
            self.change("architecture", replace(self.parameters, resolution=int(np.median(sides))))
        self.codebook = fit_to_images(
            (self.prepare(dataset.image(int(index))) for index in chosen),
            count,
            local=self.local,
            components=self.parameters.components,
            dimensions=self.parameters.dimensions,
            with_places=self.parameters.places,
            samples=min(self.parameters.samples, MAX_DESCRIPTORS_AN_IMAGE * count),
            seed=seed,
            progress=(lambda done: events(Progress(done, count, "sampling descriptors"))) if events else None,
        )

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the Fisher vector."""
        return encode(image, self._require_codebook(), levels=self.parameters.pyramid)

    def check_sizes(self) -> None:
        """Refuse too many descriptors of the longest image that `prepare` gives."""
        own = self.parameters
        places = -(-own.size // own.step) * -(-MAX_ASPECT * own.size // own.step)
        _require_most("descriptors", places * len(own.bins), MAX_DESCRIPTORS)

    def _require_codebook(self) -> Codebook:
        if self.codebook is None:
            raise DataError(f"{self.name} is not fitted")
        return self.codebook

    def length(self) -> int:
        """Return how many numbers describe an image."""
        return length(self._require_codebook(), self.parameters.pyramid)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the codebook's parts and the machine's."""
        codebook = self._require_codebook()
        return {f"codebook.{name}": getattr(codebook, name) for name in TENSORS} | super().arrays()

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the codebook's parts and the machine's."""
        missing = [name for name in TENSORS if f"codebook.{name}" not in arrays]
        if missing:
            raise DataError(f"the codebook's {missing[0]} are missing")
        parts = {name: arrays[f"codebook.{name}"] for name in TENSORS}
        self.codebook = Codebook(**parts, meta={"sift": self.local.to_meta()})
        super().restore(arrays)


def _require_most(what: str, numbers: int, most: int) -> None:
    """Raise ParameterError for settings that ask for too much."""
    if numbers > most:
        raise ParameterError(f"the settings ask for {numbers} {what} an image; there may be {most}")


def short_side(image: np.ndarray, size: int) -> np.ndarray:
    """Return the image with its shorter side brought to `size` pixels, the longer one to at most four times that."""
    rows, columns = image.shape[:2]
    scale = size / min(rows, columns)
    height, width = (min(max(round(side * scale), size), MAX_ASPECT * size) for side in (rows, columns))
    return image if (height, width) == (rows, columns) else resize(image, height, width)
