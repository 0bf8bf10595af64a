"""What all kinds on dense SIFT share: local descriptors, a codebook of them, and one vector for each image.

Each kind is a file of its own, and says by which codebook and how descriptors become a vector.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from imgtool.classifiers.classic.vector_svm import MAX_ASPECT, SvmParameters, VectorSvm, require_most, short_side
from imgtool.classifiers.codebooks import CLASSES, book_in, open_codebook
from imgtool.classifiers.settings import Groups
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.labels import are_characters
from imgtool.errors import DataError, ParameterError
from imgtool.events import Events, Progress
from imgtool.features.codebook import KINDS, Codebook, Dictionary, hash_of
from imgtool.features.encoding import LocalSettings, encode, fit_to_images, length
from imgtool.features.phow import COLORS
from imgtool.features.pyramid import parse_levels
from imgtool.features.scikit_learn import scikit_learn
from imgtool.image.color import to_gray, to_rgb
from imgtool.parameters import parameter

COSTS = (0.1, 1.0, 10.0, 100.0)  # the vectors have length 1, so that large ones are best
MAX_CODEBOOK_IMAGES = 3000  # more hardly change it
MAX_DESCRIPTORS_AN_IMAGE = 256  # that a codebook is fitted to, so that it is not overfitted to a few images
SIZE_SAMPLE_IMAGES = 200  # whose sizes say how large the images of a data set are
MAX_DESCRIPTORS = 1 << 22  # that settings may ask for, of one image: they come from a file, too


@dataclass(frozen=True)
class SiftParameters(SvmParameters):
    """What all kinds on dense SIFT can vary."""

    costs: tuple[float, ...] = parameter(COSTS, "Costs of an error that cross-validation tries.", low=1e-9, high=1e9)
    size: int = parameter(
        192, "Pixels that the shorter side is brought to; 0: images stay as they are.", low=0, high=1024
    )
    resolution: int = parameter(
        0,
        "Pixels that the shorter side is shrunk to before; 0: the median of the training images.",
        low=0,
        high=100_000,
    )
    step: int = parameter(4, "Pixels between descriptors.", low=1, high=1024)
    bins: tuple[int, ...] = parameter((3, 4, 6), "Pixels of a spatial bin, for each scale.", low=1, high=256)
    window: str = parameter("flat", "Weights around a descriptor's center.", choices=("flat", "gaussian"))
    root: bool = parameter(True, "RootSIFT: square roots under the L1 norm.")
    color: str = parameter("gray", "Channels that are described.", choices=tuple(COLORS))
    k: int = parameter(64, "Gaussians, words or atoms of the codebook.", low=1, high=65536)
    pyramid: tuple[str, ...] = parameter(("1x1", "2x2", "3x1"), "Levels of the spatial pyramid, such as 1x1,3x1.")
    mirror: bool = parameter(True, "Describe images together with their mirror image; not letters and digits.")
    samples: int = parameter(100_000, "Descriptors that the codebook is fitted to.", low=1, high=100_000_000)


class SiftSvm(VectorSvm):
    """One vector for each image, of its dense SIFT. Subclasses say which codebook and which vector.

    A large photograph is shrunk to `resolution` first, so that it shows no finer detail than enlarged training images.
    """

    book_kind: ClassVar[str]  # of features.codebook.KINDS

    def __init__(self, name: str, groups: Groups | None = None, *, chosen: Iterable[str] = ()) -> None:
        super().__init__(name, groups, chosen=chosen)
        self.codebook: Codebook | Dictionary | None = None

    @property
    def local(self) -> LocalSettings:
        """How local descriptors are taken."""
        own = self.parameters
        return LocalSettings(own.step, own.bins, own.window, own.root, own.color)

    @abstractmethod
    def fit_book(
        self, images: Iterator[np.ndarray], count: int, seed: int, events: Events | None
    ) -> Codebook | Dictionary:
        """Return a codebook fitted to descriptors of prepared images."""

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return (height, width), or (height, width, 3) where colors count, with the short side brought to `size`."""
        own = self.parameters
        return brought_to(image, own.size, own.resolution, own.color)

    def fit_descriptor(self, dataset: Dataset, seed: int, events: Events | None) -> None:
        """Fit the codebook to descriptors of some of the images."""
        if "mirror" not in self.chosen and are_characters(dataset.classes):
            self.change("architecture", replace(self.parameters, mirror=False))
        count = min(len(dataset), MAX_CODEBOOK_IMAGES)
        chosen = np.sort(np.random.default_rng(seed).choice(len(dataset), count, replace=False))
        if self.parameters.size and not self.parameters.resolution:
            sides = [
                min(dataset.image(int(index)).shape[:2]) for index in chosen[:: max(count // SIZE_SAMPLE_IMAGES, 1)]
            ]
            self.change("architecture", replace(self.parameters, resolution=int(np.median(sides))))
        images = (self.prepare(dataset.image(int(index))) for index in chosen)
        self.codebook = self.fit_book(images, count, seed, events)

    def settings_in(self, made: dict[str, Any]) -> dict[str, Any]:
        """Return settings given an encoding's parameters, and take their codebook, which must be the same still."""
        book, sizes = open_codebook(made["codebook"])
        if hash_of(book) != made["sha256"]:
            raise DataError(f"was made by another codebook than {made['codebook']} is now")
        if not isinstance(book, CLASSES[self.book_kind]):
            raise DataError(f"was made by a codebook of another kind than {self.name} has")
        if "samples" in self.chosen:
            raise ParameterError("samples is chosen, and its codebook is fitted already")
        own = {"color": "gray"} | LocalSettings.of(book).to_meta() | sizes
        own |= {"mirror": False, "pyramid": made.pop("pyramid"), **self.settings_of_book(book)}
        self.codebook = book
        del made["codebook"], made["sha256"]
        return own

    @abstractmethod
    def settings_of_book(self, book: Any) -> dict[str, Any]:
        """Return the settings under which a codebook is fitted."""

    def samples(self, count: int) -> int:
        """Return how many descriptors of so many images a codebook is fitted to."""
        return int(min(self.parameters.samples, MAX_DESCRIPTORS_AN_IMAGE * count))

    def check_sizes(self) -> None:
        """Refuse levels that are none, and too many descriptors of the longest image that `prepare` gives.

        Of images that stay as they are, each is refused that would have too many.
        """
        own = self.parameters
        parse_levels(own.pyramid)
        places = -(-own.size // own.step) * -(-MAX_ASPECT * own.size // own.step)
        require_most("descriptors", places * len(own.bins) * COLORS[own.color], MAX_DESCRIPTORS)

    def require_book(self) -> Any:
        """Return the codebook. Raises DataError where there is none yet."""
        if self.codebook is None:
            raise DataError(f"{self.name} is not fitted")
        return self.codebook

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the codebook's parts and the machine's."""
        codebook = self.require_book()
        return {f"codebook.{name}": getattr(codebook, name) for name in KINDS[self.book_kind]} | super().arrays()

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the codebook's parts and the machine's."""
        self.codebook = book_in(arrays, self.book_kind, self.local)
        super().restore(arrays)


@dataclass(frozen=True)
class MixtureParameters(SiftParameters):
    """What kinds with a mixture of Gaussians can vary."""

    dimensions: int = parameter(80, "Kept by the PCA.", low=1, high=4096)
    places: bool = parameter(True, "Append x and y to descriptors.")


class MixtureSvm(SiftSvm):
    """Projected descriptors, encoded by a mixture of Gaussians or by its means alone. encoding: see `encode`."""

    book_kind = "codebook"
    encoding: ClassVar[str]
    iterations: ClassVar[int] = 1  # of the mixture's fit after k-means: means alone hardly change by more
    per_component: ClassVar[int] = 50  # descriptors at least that a mean is fitted to

    def require_extras(self, device: str = "cpu") -> None:
        """Raise MissingExtraError without scikit-learn, which fits the mixture."""
        with scikit_learn(f"training {self.name}"):
            pass

    def fit_book(self, images: Iterator[np.ndarray], count: int, seed: int, events: Events | None) -> Codebook:
        """Fit a principal component analysis, then the mixture."""
        return fit_to_images(
            images,
            count,
            local=self.local,
            components=self.parameters.k,
            dimensions=self.parameters.dimensions,
            with_places=self.parameters.places,
            samples=self.samples(count),
            iterations=self.iterations,
            per_component=self.per_component,
            seed=seed,
            progress=(lambda done: events(Progress(done, count, "sampling descriptors"))) if events else None,
        )

    def settings_of_book(self, book: Codebook) -> dict[str, Any]:
        """Return sizes of the mixture."""
        return {"k": book.components, "dimensions": len(book.pca_basis), "places": book.has_places}

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the encoding of one prepared image."""
        own = self.parameters
        return encode(image, self.require_book(), encoding=self.encoding, levels=own.pyramid, mirror=own.mirror)

    def length(self) -> int:
        """Return how many numbers describe an image."""
        return length(self.require_book(), self.parameters.pyramid, encoding=self.encoding)


def brought_to(image: np.ndarray, size: int, resolution: int, color: str) -> np.ndarray:
    """Return an image as SIFT is taken of it, gray or of three channels; as it is where size is 0.

    The short side is shrunk to resolution first, unless that is 0 or not below size.
    """
    if not size:
        return image
    pixels = to_gray(image) if color == "gray" else to_rgb(image)
    if 0 < resolution < min(size, *pixels.shape[:2]):
        pixels = short_side(pixels, resolution)
    return short_side(pixels, size)
