"""`hog-svm`: histograms of oriented gradients (Dalal and Triggs, CVPR 2005) and a support vector machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgtool.classifiers.classic.vector_svm import MAX_VECTOR_NUMBERS, RadialSvmParameters, VectorSvm, require_most
from imgtool.errors import DataError, ParameterError
from imgtool.features.hog import hog
from imgtool.image.color import to_rgb
from imgtool.image.resize import resize
from imgtool.parameters import parameter

BLOCK = 2  # that of `hog`, too, which feature files do not say


@dataclass(frozen=True)
class HogSvmParameters(RadialSvmParameters):
    """What hog-svm can vary."""

    size: int = parameter(128, "Pixels of the square that images are brought to.", low=1, high=1024)
    orientations: int = parameter(18, "Bins over 180 degrees.", low=1, high=360)
    cell: int = parameter(16, "Pixels of a cell's side.", low=1, high=1024)
    block: int = parameter(BLOCK, "Cells of a block's side.", low=1, high=64)


class HogSvm(VectorSvm):
    """Histograms of oriented gradients of the image brought to a square."""

    groups = {"architecture": HogSvmParameters()}  # noqa: RUF012
    descriptor = "hog"
    fixed = {"variant": "skimage", "norm": "L2-Hys", "sqrt": False}  # noqa: RUF012

    def settings_in(self, made: dict[str, Any]) -> dict[str, Any]:
        """Return settings given HoG's parameters. Raises DataError unless images were resized to a square."""
        square = re.fullmatch(r"(\d+)x\1", str(made.pop("resize", "")), re.IGNORECASE)
        if square is None:
            raise DataError(
                f"has vectors of images that were not resized to a square, as for {self.name}", hint="square"
            )
        sides = {"cell": set(made.pop("cell")), "block": set(made.pop("block", [BLOCK]))}
        if oblong := [name for name, found in sides.items() if len(found) > 1]:
            raise DataError(f"has a {oblong[0]} that is no square, as it is for {self.name}")
        size = {"size": int(square[1]), "orientations": made.pop("orientations")}
        return size | {name: found.pop() for name, found in sides.items()}

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return (size, size, 3)."""
        return resize(to_rgb(image), self.parameters.size, self.parameters.size)

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return HoG as one vector of unit length in each block, scaled by their number."""
        own = self.parameters
        return self.vector_of(hog(image, orientations=own.orientations, cell=own.cell, block=own.block).reshape(-1))

    def vector_of(self, described: np.ndarray) -> np.ndarray:
        """Return HoG divided by the square root of the number of blocks."""
        return described / np.float32(self._blocks())

    def check_sizes(self) -> None:
        """Refuse a block that is larger than the image, and too many numbers."""
        own = self.parameters
        if own.size // own.cell < own.block:
            raise ParameterError(f"size must be at least cell times block, {own.cell * own.block}, got {own.size}")
        require_most("numbers", self.length(), MAX_VECTOR_NUMBERS)

    def length(self) -> int:
        """Return how many numbers describe an image: blocks, cells in each, orientations."""
        own = self.parameters
        return self._blocks() ** 2 * int(own.block**2 * own.orientations)

    def _blocks(self) -> int:
        """Return how many blocks there are on a side."""
        own = self.parameters
        return int(own.size // own.cell - own.block + 1)
