"""`gist-svm`: GIST (Oliva and Torralba, IJCV 2001) and a support vector machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgtool.classifiers.classic.vector_svm import (
    MAX_VECTOR_NUMBERS,
    RadialSvmParameters,
    VectorSvm,
    require_most,
)
from imgtool.features.gist import gist, require_parameters, square
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
    uses_devices = True
    descriptor = "gist"
    fixed = {"color": False}  # noqa: RUF012

    def settings_in(self, made: dict[str, Any]) -> dict[str, Any]:
        """Return settings given GIST's parameters."""
        return {name: made.pop(name) for name in ("size", "orientations", "blocks", "prefilter")}

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return (size, size), the image's center in gray, float64."""
        plane: np.ndarray = square(image, self.parameters.size)[0]
        return plane

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return GIST's numbers."""
        own = self.parameters
        return gist(image, size=own.size, orientations=own.orientations, blocks=own.blocks, prefilter=own.prefilter)

    def features_on(self, device: str, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return GIST's numbers of each."""
        from imgtool.features.gist_torch import gist_batch

        own = self.parameters
        how = {"size": own.size, "orientations": own.orientations, "blocks": own.blocks, "prefilter": own.prefilter}
        return gist_batch(batch, device=device, **how)

    def check_sizes(self) -> None:
        """Refuse more windows than pixels, and too many numbers."""
        own = self.parameters
        require_parameters(own.size, own.orientations, own.blocks, own.prefilter)
        require_most("numbers", self.length(), MAX_VECTOR_NUMBERS)

    def length(self) -> int:
        """Return how many numbers describe an image: filters, windows."""
        own = self.parameters
        return int(sum(own.orientations) * own.blocks**2)
