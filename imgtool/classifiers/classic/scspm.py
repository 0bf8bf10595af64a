"""`scspm`: sparse codes of dense SIFT, the largest in each cell of a pyramid, and a linear SVM.

Yang, Yu, Gong and Huang, "Linear spatial pyramid matching using sparse coding for image classification", CVPR 2009.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgtool.classifiers.classic.sift_svm import SiftParameters, SiftSvm
from imgtool.events import Events, Progress
from imgtool.features.codebook import Dictionary
from imgtool.features.encoding import SOLVERS, encode_sparsely, fit_dictionary
from imgtool.features.pyramid import count_cells
from imgtool.features.sparse import LEVELS
from imgtool.parameters import parameter


@dataclass(frozen=True)
class ScspmParameters(SiftParameters):
    """What scspm can vary."""

    size: int = parameter(
        200, "Pixels that the shorter side is brought to; 0: images stay as they are.", low=0, high=1024
    )
    step: int = parameter(6, "Pixels between descriptors.", low=1, high=1024)
    bins: tuple[int, ...] = parameter((4,), "Pixels of a spatial bin, for each scale.", low=1, high=256)
    window: str = parameter("gaussian", "Weights around a descriptor's center.", choices=("flat", "gaussian"))
    root: bool = parameter(False, "RootSIFT: square roots under the L1 norm.")
    k: int = parameter(1024, "Atoms of the dictionary.", low=1, high=65536)
    pyramid: tuple[str, ...] = parameter(LEVELS, "Levels of the spatial pyramid, such as 1x1,3x1.")
    samples: int = parameter(64_000, "Descriptors that the dictionary is learned from.", low=1, high=100_000_000)
    solver: str = parameter(
        "feature-sign", "Sparse codes, or llc: by the nearest atoms, in a twelfth of the time.", choices=tuple(SOLVERS)
    )


class Scspm(SiftSvm):
    """The largest code of each atom in each cell."""

    groups = {"architecture": ScspmParameters()}  # noqa: RUF012
    book_kind = "dictionary"
    descriptor = "sparse"

    def settings_in(self, made: dict[str, Any]) -> dict[str, Any]:
        """Return settings given an encoding's parameters, the solver among them."""
        return {"solver": made.pop("solver"), **super().settings_in(made)}

    def settings_of_book(self, book: Dictionary) -> dict[str, Any]:
        """Return the number of atoms."""
        return {"k": len(book.atoms)}

    def fit_book(self, images: Iterator[np.ndarray], count: int, seed: int, events: Events | None) -> Dictionary:
        """Learn a dictionary."""
        return fit_dictionary(
            images,
            count,
            local=self.local,
            atoms=self.parameters.k,
            samples=self.samples(count),
            seed=seed,
            progress=(lambda done, total, what: events(Progress(done, total, what))) if events else None,
        )

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the pooled codes of one prepared image."""
        own = self.parameters
        return encode_sparsely(image, self.require_book(), solver=own.solver, levels=own.pyramid, mirror=own.mirror)

    def length(self) -> int:
        """Return how many numbers describe an image: cells, atoms."""
        return count_cells(self.parameters.pyramid) * len(self.require_book().atoms)
