"""What the parts of the page look at: the models of a comparison, the best first, each with its row of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgtool.evaluation.compared import Compared
from imgtool.evaluation.scored import Scored


@dataclass(frozen=True)
class Model:
    """One model of the table. number: from 0, its place there; row: its figures; scored: its labels."""

    number: int
    row: Mapping[str, Any]
    scored: Scored

    @property
    def name(self) -> str:
        """As the table names it."""
        return self.scored.model

    @property
    def said(self) -> np.ndarray:
        """(n,) indices of the classes with the largest scores."""
        return self.scored.said

    @property
    def sure(self) -> np.ndarray:
        """(n,) the largest scores."""
        return self.scored.score

    @property
    def hits(self) -> np.ndarray:
        """(n,) booleans: is what it said right?"""
        return self.scored.hits

    def says(self, index: int) -> str:
        """Return the name of the class that it says of an image."""
        return self.scored.classes[int(self.said[index])]


@dataclass(frozen=True)
class Subject:
    """What the page is about. good: the models that did not fail, the best first; record: as JSON has it."""

    comparison: Compared
    good: Sequence[Model]
    record: Mapping[str, Any]

    @property
    def classes(self) -> Sequence[str]:
        """Classes of the data set."""
        return self.comparison.classes

    @property
    def labels(self) -> np.ndarray:
        """(n,) of the held-out images, as indices into the classes."""
        return self.comparison.labels

    @property
    def failed(self) -> list[tuple[str, str]]:
        """Name and reason of each model that failed."""
        return [(result.model, result.error) for result in self.comparison.results if result.error]


def subject_of(comparison: Compared) -> Subject:
    """Return what the page is about."""
    record = comparison.to_record()
    pairs = zip(record["models"], comparison.scored, strict=False)  # models that failed stand behind the others
    return Subject(comparison, [Model(number, *each) for number, each in enumerate(pairs)], record)
