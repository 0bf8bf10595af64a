"""What a model takes the images of each class for: counts, the errors of each class, and tables of both."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imgtool.evaluation.intervals import wilson
from imgtool.evaluation.metrics import confusion
from imgtool.evaluation.scored import Scored
from imgtool.evaluation.table import ABSENT, Column, interval, percent, visible

COMMONEST = 20  # mistakes, where there are more classes than a table has room for

# Columns of the two tables that can be made of the counts.
BY_CLASS = (
    Column("class", "class", visible),
    Column("n", "n"),
    Column("error", "error", percent),
    Column("interval", "95 % CI", interval, ("low", "high")),
    Column("taken_for", "most often taken for", visible),
    Column("taken_for_n", "times"),
)
MISTAKES = (Column("class", "class", visible), Column("taken_for", "taken for", visible), Column("n", "times"))


@dataclass(frozen=True)
class Confusion:
    """How often a model gave images of each class each name.

    classes: of the data set, one a row; said: names, one a column: the classes in their order, then what else was said;
    counts: (classes, said).
    """

    model: str
    classes: tuple[str, ...]
    said: tuple[str, ...]
    counts: np.ndarray

    @cached_property
    def mistakes(self) -> np.ndarray:
        """The counts without those of the right names."""
        return np.asarray(self.counts * (1 - np.eye(*self.counts.shape, dtype=self.counts.dtype)))

    def by_class(self) -> list[dict[str, Any]]:
        """Return each class's error with Wilson's interval, and what its images are most often taken for.

        The class with the largest error comes first, one without images last.
        """
        rows = [self._row(place) for place in range(len(self.classes))]
        return sorted(rows, key=lambda row: -1.0 if row["error"] is None else row["error"], reverse=True)

    def _row(self, place: int) -> dict[str, Any]:
        """Return one class's row."""
        n, wrong = int(self.counts[place].sum()), self.mistakes[place]
        other = int(wrong.argmax())
        return {
            "class": self.classes[place],
            "n": n,
            "error": int(wrong.sum()) / n if n else None,
            "interval": list(wilson(int(wrong.sum()), n)) if n else None,
            "taken_for": self.said[other] if wrong[other] else None,
            "taken_for_n": int(wrong[other]),
        }

    def commonest(self, count: int = COMMONEST) -> list[dict[str, Any]]:
        """Return the commonest mistakes: class, what it is taken for, how often."""
        wrong = self.mistakes
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        places = [divmod(int(each), len(self.said)) for each in order]
        return [
            {"class": self.classes[row], "taken_for": self.said[column], "n": int(wrong[row, column])}
            for row, column in places
            if wrong[row, column]
        ]

    def lines(self) -> tuple[list[str], list[list[str]]]:
        """Return headings and lines of the counts for readers: a column is called by the number of its name."""
        lines = []
        for place, name in enumerate(self.said):
            counts = self.counts[place].tolist() if place < len(self.classes) else [ABSENT] * len(self.said)
            lines.append([str(place + 1), visible(name), *map(str, counts)])
        return ["", "true, said", *(str(place + 1) for place in range(len(self.said)))], lines

    def to_csv(self) -> str:
        """Return the counts as CSV: a line of the names that were said, then a line for each class."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["class", *self.said])
        writer.writerows([name, *row] for name, row in zip(self.classes, self.counts.tolist(), strict=True))
        return text.getvalue()


def confusion_of(scored: Scored, classes: Sequence[str], labels: np.ndarray) -> Confusion:
    """Return how often a model gave images of each class each name; labels: as indices into the data set's classes."""
    there = {name: place for place, name in enumerate(classes)}
    others = [scored.classes[each] for each in np.unique(scored.said) if scored.classes[each] not in there]
    said = (*classes, *others)
    places = {name: place for place, name in enumerate(said)}
    columns = np.array([places.get(name, 0) for name in scored.classes])
    counts = confusion(columns[scored.said], labels, len(classes), len(said))
    return Confusion(scored.model, tuple(classes), said, counts)
