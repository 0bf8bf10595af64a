"""`sift-fv-svm`: improved Fisher vectors of dense SIFT (Perronnin, Sanchez and Mensink, ECCV 2010) and a linear SVM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from imgtool.classifiers.classic.vector_svm import MAX_ASPECT, SvmParameters, VectorSvm, require_most, short_side
from imgtool.classifiers.settings import Groups
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError
from imgtool.events import Events, Progress
from imgtool.features.codebook import TENSORS, Codebook
from imgtool.features.encoding import LocalSettings, encode, fit_to_images, length
from imgtool.features.pyramid import parse_levels
from imgtool.image.color import to_gray
from imgtool.parameters import parameter

MAX_CODEBOOK_IMAGES = 3000  # more hardly change it
MAX_DESCRIPTORS_AN_IMAGE = 256  # that a codebook is fitted to, so that it is not overfitted to a few images
SIZE_SAMPLE_IMAGES = 200  # whose sizes say how large the images of a data set are
MAX_DESCRIPTORS = 1 << 22  # that settings may ask for, of one image: they come from a file, too


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
        require_most("descriptors", places * len(own.bins), MAX_DESCRIPTORS)

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
