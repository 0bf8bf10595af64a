"""Classic classifiers: a descriptor of the image, and a linear support vector machine on top.

`sift-fv-svm`: improved Fisher vectors of dense SIFT (Perronnin, Sanchez and Mensink, ECCV 2010); `hog-svm`: histograms
of oriented gradients (Dalal and Triggs, CVPR 2005); `gist-svm`: GIST (Oliva and Torralba, IJCV 2001). Fitting needs
scikit-learn, labelling does not.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from imgtool.batch.pool import ordered_map, processors
from imgtool.classifiers.protocol import Classifier, Progress
from imgtool.classifiers.svm import COSTS, FOLDS, LinearSVM, fit_svm
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError, ParameterError
from imgtool.features.codebook import TENSORS, Codebook
from imgtool.features.encoding import LocalSettings, encode, fit_to_images, length
from imgtool.features.gist import gist
from imgtool.features.hog import hog
from imgtool.features.pyramid import parse_levels
from imgtool.image.color import to_gray, to_rgb
from imgtool.image.resize import resize

CODEBOOK_IMAGES = 3000  # more hardly change it
CODEBOOK_SHARE = 256  # descriptors of one image at most, so that a small data set is not learned by heart
SIZED_IMAGES = 200  # whose sizes say how large the images of a data set are
LONGEST = 4  # times the short side; thinner images are squeezed

# What settings may be at most: a model folder that says more is no honest one.
_HIGHEST = {
    "size": 1024,
    "orientations": 360,
    "cell": 1024,
    "block": 64,
    "blocks": 64,
    "step": 1024,
    "bins": 256,
    "dimensions": 4096,
    "components": 65536,
    "samples": 100_000_000,
    "costs": 1e9,
    "folds": 100,
}
_SVM = {"costs": COSTS, "folds": FOLDS}


class VectorSvm(Classifier):
    """One vector for each image, and a linear support vector machine. Subclasses say which vector."""

    standardize: ClassVar[bool] = False

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(name, **settings)
        for key, highest in _HIGHEST.items():
            value = self.settings.get(key, 1)
            numbers = value if isinstance(value, tuple) else (value,)
            if not numbers or len(numbers) > 16 or not all(0 < number <= highest for number in numbers):
                raise ParameterError(f"{name}: {key} must be above 0, at most {highest}; got {value}")
        self.svm: LinearSVM | None = None

    @abstractmethod
    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the vector of one prepared image."""

    def learn_description(self, dataset: Dataset, seed: int, progress: Progress | None) -> None:
        """Learn what `describe` needs, if it needs anything."""

    def fit(
        self,
        dataset: Dataset,
        *,
        seed: int = 0,
        device: str = "cpu",
        resume: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from a data set, on the CPU; a fit that was cut off begins anew (it takes seconds to minutes)."""
        self.learn_description(dataset, seed, progress)
        features = self._all_features(dataset, progress)
        self.svm, found = fit_svm(
            features,
            np.asarray(dataset.labels),
            len(dataset.classes),
            costs=self.settings["costs"],
            folds=self.settings["folds"],
            standardize=self.standardize,
            seed=seed,
            progress=progress,
        )
        self.classes = tuple(dataset.classes)
        self.description = {
            "data": {"images": len(dataset), "sha256": dataset.digest()},
            "seed": seed,
            "history": [found],
        }
        return self

    def _all_features(self, dataset: Dataset, progress: Progress | None) -> np.ndarray:
        """Return the vectors of all images, several at once."""
        count = len(dataset)
        rows = ordered_map(lambda index: self._vector(dataset.image(index)), range(count), processors())
        table: np.ndarray | None = None
        for index, row in enumerate(rows):
            table = np.empty((count, len(row)), np.float32) if table is None else table
            table[index] = row
            if progress:
                progress(index + 1, count, "describing images")
        if table is None:
            raise DataError("the data set is empty")
        return table

    def _vector(self, image: np.ndarray) -> np.ndarray:
        return self.describe(self.prepare(image))

    def features(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return one vector for each prepared image."""
        return np.stack([self.describe(image) for image in batch]).astype(np.float32, copy=False)

    def decide(self, features: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities."""
        if self.svm is None:
            raise DataError(f"{self.name} is not fitted")
        return self.svm.probabilities(features)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return weights, biases and slope."""
        return self.svm.arrays() if self.svm else {}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take weights, biases and slope."""
        self.svm = LinearSVM.restored(arrays, len(self.classes))
        if self.svm.weights.shape[1] != self.length():
            raise DataError(f"its weights are for {self.svm.weights.shape[1]} features, not {self.length()}")

    def length(self) -> int:
        """Return how many numbers describe an image."""
        side = self.settings["size"]
        return len(self.features([self.prepare(np.zeros((side, side, 3), np.uint8))])[0])


class HogSvm(VectorSvm):
    """Histograms of oriented gradients of the image brought to a square."""

    defaults: ClassVar = {"size": 96, "orientations": 9, "cell": 8, "block": 2, **_SVM}

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return (size, size, 3)."""
        return resize(to_rgb(image), self.settings["size"], self.settings["size"])

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return HoG as one vector of unit length in each block, scaled by their number."""
        settings = {key: self.settings[key] for key in ("orientations", "cell", "block")}
        blocks = hog(image, **settings)
        return blocks.reshape(-1) / np.float32(np.sqrt(blocks.shape[0] * blocks.shape[1]))


class GistSvm(VectorSvm):
    """GIST of the image's center square, each number standardized."""

    defaults: ClassVar = {"size": 128, "orientations": (8, 8, 8, 8), "blocks": 4, "prefilter": 4.0, **_SVM}
    standardize = True

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return the gray or color image with its short side brought to `size`."""
        return short_side(to_rgb(image), self.settings["size"])

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return GIST's numbers."""
        return gist(image, **{key: self.settings[key] for key in ("size", "orientations", "blocks", "prefilter")})


class SiftFisherSvm(VectorSvm):
    """Fisher vectors of dense RootSIFT.

    size: the short side in pixels that images are brought to; resolution: the short side that they are shrunk to before
    that, so that a large photograph shows no finer detail than enlarged training images do (0: the median of those,
    found by `fit`); step, bins, window, root: see features/sift.py;
    dimensions, components: of the codebook; places: append x and y; pyramid: levels such as 1x1,3x1.
    """

    defaults: ClassVar = {
        "size": 128,
        "resolution": 0,
        "step": 4,
        "bins": (4, 6, 8),
        "window": "flat",
        "root": True,
        "dimensions": 64,
        "components": 64,
        "places": True,
        "pyramid": ("1x1",),
        "samples": 200_000,
        **_SVM,
    }

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(name, **settings)
        parse_levels(self.settings["pyramid"])
        if self.settings["resolution"] < 0:
            raise ParameterError(f"{name}: resolution must be 0 or more, got {self.settings['resolution']}")
        self.local = LocalSettings(**{key: self.settings[key] for key in ("step", "bins", "window", "root")})
        self.codebook: Codebook | None = None

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return (height, width), gray, with the short side brought to `size`."""
        gray, resolution = to_gray(image), self.settings["resolution"]
        if 0 < resolution < min(self.settings["size"], *gray.shape):
            gray = short_side(gray, resolution)
        return short_side(gray, self.settings["size"])

    def learn_description(self, dataset: Dataset, seed: int, progress: Progress | None) -> None:
        """Fit the codebook to descriptors of some of the images."""
        count = min(len(dataset), CODEBOOK_IMAGES)
        chosen = np.sort(np.random.default_rng(seed).choice(len(dataset), count, replace=False))
        if not self.settings["resolution"]:
            sides = [min(dataset.image(int(index)).shape[:2]) for index in chosen[:: max(count // SIZED_IMAGES, 1)]]
            self.settings["resolution"] = int(np.median(sides))
        self.codebook = fit_to_images(
            (self.prepare(dataset.image(int(index))) for index in chosen),
            count,
            local=self.local,
            components=self.settings["components"],
            dimensions=self.settings["dimensions"],
            with_places=self.settings["places"],
            samples=min(self.settings["samples"], CODEBOOK_SHARE * count),
            seed=seed,
            progress=(lambda done: progress(done, count, "sampling descriptors")) if progress else None,
        )

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the Fisher vector."""
        return encode(image, self._fitted(), levels=self.settings["pyramid"])

    def _fitted(self) -> Codebook:
        if self.codebook is None:
            raise DataError(f"{self.name} is not fitted")
        return self.codebook

    def length(self) -> int:
        """Return how many numbers describe an image."""
        return length(self._fitted(), self.settings["pyramid"])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the codebook's parts and the machine's."""
        codebook = self._fitted()
        return {f"codebook.{name}": getattr(codebook, name) for name in TENSORS} | super().arrays()

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the codebook's parts and the machine's."""
        missing = [name for name in TENSORS if f"codebook.{name}" not in arrays]
        if missing:
            raise DataError(f"the codebook's {missing[0]} are missing")
        parts = {name: arrays[f"codebook.{name}"] for name in TENSORS}
        self.codebook = Codebook(**parts, meta={"sift": self.local.to_meta()})
        super().restore(arrays)


def short_side(image: np.ndarray, size: int) -> np.ndarray:
    """Return the image with its shorter side brought to `size` pixels, the longer one to at most four times that."""
    rows, columns = image.shape[:2]
    scale = size / min(rows, columns)
    height, width = (min(max(round(side * scale), size), LONGEST * size) for side in (rows, columns))
    return image if (height, width) == (rows, columns) else resize(image, height, width)
