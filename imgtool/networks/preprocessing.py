"""Preprocessing of an image for a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgtool.errors import ParameterError
from imgtool.parameters import Parameters, parameter

if TYPE_CHECKING:
    import numpy as np

MAX_SIDE = 1024
MAX_MEAN = 1e3
FLAT_DEVIATION = 0.05  # in units of the whole range from black to white


@dataclass(frozen=True)
class Preprocessing(Parameters):
    """The shorter side brought to `resize` pixels, then the centered square of `side`, then mean and deviation removed.

    Resizing antialiases, as Pillow's. mean and deviation are those of values from 0 to 1. per_image: then each image's
    own are removed, too (`standardized`).
    """

    side: int = parameter(32, "Pixels of the square that the network sees.", low=1, high=MAX_SIDE)
    resize: int = parameter(
        0, "Pixels that the shorter side is brought to before the center is cut out; 0: as side.", low=0, high=MAX_SIDE
    )
    resample: str = parameter("bilinear", "Filter that resizes.", choices=("bilinear", "bicubic"), later=True)
    channels: int = parameter(3, "1 for gray, 3 for color.", choices=(1, 3))
    mean: tuple[float, ...] = parameter((0.5,), "", low=-MAX_MEAN, high=MAX_MEAN)
    deviation: tuple[float, ...] = parameter((0.5,), "", low=1e-6, high=MAX_MEAN)
    per_image: bool = parameter(
        False, "Bring each image by its own pixels to mean 0 and deviation 1, not by those of all images.", later=True
    )

    def __post_init__(self) -> None:
        """Refuse statistics of another number of channels, and a square larger than what it is cut out of."""
        super().__post_init__()
        for name in ("mean", "deviation"):
            if len(getattr(self, name)) not in (1, self.channels):
                raise ParameterError(f"{name} must be {self.channels} numbers, got {len(getattr(self, name))}")
        if 0 < self.resize < self.side:
            raise ParameterError(f"resize must be at least side, {self.side}, got {self.resize}")

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return the centered square (side, side, channels) uint8 of an image of any size, depth and color."""
        from imgtool.image.resize import fit_crop

        square = fit_crop(self._planes(image), self.resize or self.side, self.side, resample=self.resample)
        return square.reshape(self.side, self.side, -1)

    def ten_crops(self, image: np.ndarray) -> np.ndarray:
        """Return corners and center of the resized image, and their mirrors, (10, side, side, channels) uint8."""
        from imgtool.image.resize import fit_crops

        squares = fit_crops(self._planes(image), self.resize or self.side, self.side, resample=self.resample)
        return squares.reshape(len(squares), self.side, self.side, -1)

    def window(self, rows: int, columns: int) -> tuple[slice, slice]:
        """Return the pixels, of an image of so many rows and columns, that `prepare` takes."""
        from imgtool.image.resize import fitted

        height, width, crop = fitted(rows, columns, self.resize or self.side, self.side)
        down, across = (
            _pixels(each.start * side / resized, each.stop * side / resized)
            for side, each, resized in zip((rows, columns), crop, (height, width), strict=True)
        )
        return down, across

    def _planes(self, image: np.ndarray) -> np.ndarray:
        """Return an image of any depth and color in 8 bits, gray or color."""
        import numpy as np

        from imgtool.image.color import to_gray, to_rgb
        from imgtool.image.depth import convert_depth

        if image.dtype != np.uint8:
            image = convert_depth(image, "8")
        return to_gray(image) if self.channels == 1 else to_rgb(image)

    def prepare_stack(self, images: np.ndarray) -> np.ndarray:
        """Return what `prepare` gives for each of many uint8 images (n, height, width[, 3]), in less time."""
        import numpy as np

        from imgtool.image.color import to_gray
        from imgtool.image.resize import fit_crop_stack

        if self.channels == 1 and images.ndim == 4:
            n, height, *rest = images.shape  # gray is a matter of each pixel: the images may lie below each other
            images = to_gray(images.reshape(n * height, *rest)).reshape(n, height, rest[0])
        squares = fit_crop_stack(images, self.resize or self.side, self.side, resample=self.resample)
        if squares.ndim == 3:
            squares = np.repeat(squares[..., None], self.channels, axis=3)
        return squares

    def normalize(self, squares: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Return prepared squares as (n, channels, side, side) float32, less mean over deviation."""
        import numpy as np

        mean, deviation = (np.array(each, np.float32) for each in (self.mean, self.deviation))
        images = (np.stack(list(squares)).astype(np.float32) / np.float32(255) - mean) / deviation
        if self.per_image:
            images = standardized(images)
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def standardized(images: np.ndarray) -> np.ndarray:
    """Return (n, ...) less the mean of each image, over its deviation and FLAT_DEVIATION, which keeps noise small.

    Contrast normalization as in Coates, Lee and Ng, "An analysis of single-layer networks in unsupervised feature
    learning", AISTATS 2011, section 3.1, there of patches.
    """
    rows = images.reshape(len(images), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    rows /= rows.std(axis=1, keepdims=True) + rows.dtype.type(FLAT_DEVIATION)
    result: np.ndarray = rows.reshape(images.shape)
    return result


def _pixels(begin: float, end: float) -> slice:
    """Return the pixels between two places, one at least."""
    first = int(begin) if round(begin) >= round(end) else round(begin)
    return slice(first, max(round(end), first + 1))
