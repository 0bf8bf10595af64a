"""`gist-svm`: GIST (Oliva and Torralba, IJCV 2001) and a support vector machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgtool.classifiers.classic.vector_svm import (
    MAX_VECTOR_NUMBERS,
    RadialSvmParameters,
    VectorSvm,
    require_most,
    short_side,
)
from imgtool.features.gist import gist, require_parameters
from imgtool.image.color import to_rgb
from imgtool.parameters import parameter


@dataclass(frozen=True)
class GistSvmParameters(RadialSvmParameters):
    """What gist-svm can vary."""

    size: int = parameter(256, "Pixels that the shorter side is brought to.", low=1, high=1024)
    orientations: tuple[int, ...] = parameter((8, 8, 8, 8), "At each scale, finest first.", low=1, high=360)
    blocks: int = parameter(4, "Windows of a side.", low=1, high=64)
    prefilter: float = parameter(4.0, "Cutoff of the contrast normalization, cycles an image.", low=1e-6, high=1e6)


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
        require_most("numbers", self.length(), MAX_VECTOR_NUMBERS)

    def length(self) -> int:
        """Return how many numbers describe an image: filters, windows."""
        own = self.parameters
        return int(sum(own.orientations) * own.blocks**2)
