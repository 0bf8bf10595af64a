"""`hog-svm`: histograms of oriented gradients (Dalal and Triggs, CVPR 2005) and a support vector machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgtool.classifiers.classic.vector_svm import MAX_VECTOR_NUMBERS, RadialSvmParameters, VectorSvm, require_most
from imgtool.errors import ParameterError
from imgtool.features.hog import hog
from imgtool.image.color import to_rgb
from imgtool.image.resize import resize
from imgtool.parameters import parameter


@dataclass(frozen=True)
class HogSvmParameters(RadialSvmParameters):
    """What hog-svm can vary."""

    size: int = parameter(128, "Pixels of the square that images are brought to.", low=1, high=1024)
    orientations: int = parameter(18, "Bins over 180 degrees.", low=1, high=360)
    cell: int = parameter(16, "Pixels of a cell's side.", low=1, high=1024)
    block: int = parameter(2, "Cells of a block's side.", low=1, high=64)


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
        require_most("numbers", self.length(), MAX_VECTOR_NUMBERS)

    def length(self) -> int:
        """Return how many numbers describe an image: blocks, cells in each, orientations."""
        own = self.parameters
        blocks = own.size // own.cell - own.block + 1
        return int(blocks**2 * own.block**2 * own.orientations)
