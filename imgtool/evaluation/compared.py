"""What sentences, tables, pictures and pages read of a comparison; `comparison.Comparison` has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from imgtool.classifiers.protocol import Classifier
from imgtool.evaluation.runner import Result
from imgtool.evaluation.scored import Pair, Scored


class Compared(Protocol):
    """Several models on the same held-out images; the attributes are those of `Comparison`."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the data set."""

    @property
    def labels(self) -> np.ndarray:
        """(n,) of the held-out images, as indices into the classes."""

    @property
    def results(self) -> Sequence[Result]:
        """Each model's predictions, or the reason why there are none."""

    @property
    def seen(self) -> Sequence[str]:
        """Models that were trained on the held-out images."""

    @property
    def scored(self) -> list[Scored]:
        """How the models label the images, the best first."""

    @property
    def pairs(self) -> Mapping[tuple[int, int], Pair]:
        """How each two of them differ, by their places in `scored`."""

    @property
    def images(self) -> Callable[[int], np.ndarray] | None:
        """Gives the held-out image of an index."""

    @property
    def paths(self) -> Sequence[str]:
        """Names of the held-out images."""

    @property
    def models(self) -> Mapping[str, Classifier]:
        """Models that are at hand, by the names of their rows."""

    @property
    def found(self) -> str:
        """What the data set holds."""

    def to_record(self) -> dict[str, Any]:
        """Return the complete record, as JSON values."""

    def remarks(self) -> list[str]:
        """Return what is to be known beside the errors."""

    def rows(self) -> list[dict[str, Any]]:
        """Return the table."""
