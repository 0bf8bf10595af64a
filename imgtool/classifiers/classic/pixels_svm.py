"""`pixels-svm`: the pixels themselves and a support vector machine, the floor that every descriptor has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgtool.classifiers.classic.vector_svm import SvmParameters, VectorSvm
from imgtool.image.color import to_gray, to_rgb
from imgtool.image.pixels import white_level
from imgtool.image.resize import resize
from imgtool.parameters import parameter


@dataclass(frozen=True)
class PixelsSvmParameters(SvmParameters):
    """What pixels-svm can vary."""

    size: int = parameter(16, "Pixels of the square that images are brought to.", low=1, high=1024)
    color: str = parameter("rgb", "Channels that are seen.", choices=("gray", "rgb"))


class PixelsSvm(VectorSvm):
    """The image brought to a small square, each number standardized."""

    groups = {"architecture": PixelsSvmParameters()}  # noqa: RUF012
    standardize = True

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return (size, size) or (size, size, 3)."""
        own = self.parameters
        return resize(to_gray(image) if own.color == "gray" else to_rgb(image), own.size, own.size)

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the pixels, from 0 to 1."""
        return image.reshape(-1) / np.float32(white_level(image.dtype))

    def check_sizes(self) -> None:
        """Accept every size: a square of 1,024 pixels has fewer numbers than a vector may have."""

    def length(self) -> int:
        """Return how many numbers describe an image: pixels, channels."""
        own = self.parameters
        return int(own.size**2 * (1 if own.color == "gray" else 3))
