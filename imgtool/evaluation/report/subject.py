"""What the parts of the page look at: each model's answers, in the classes of the data set, best model first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from imgtool.classifiers.protocol import Classifier
from imgtool.evaluation.metrics import among, model_labels
from imgtool.evaluation.store import Predictions

if TYPE_CHECKING:
    from imgtool.evaluation.comparison import Comparison


@dataclass(frozen=True)
class Model:
    """One model of the table. number: from 0, its place there; row: its figures; scores: of the classes that count."""

    number: int
    row: Mapping[str, Any]
    predictions: Predictions
    scores: np.ndarray
    labels: np.ndarray
    classes: Sequence[str]

    @property
    def name(self) -> str:
        """As the table names it."""
        return str(self.row["model"])

    @cached_property
    def said(self) -> np.ndarray:
        """(n,) indices of the classes with the largest scores."""
        return np.asarray(self.scores.argmax(axis=1))

    @cached_property
    def sure(self) -> np.ndarray:
        """(n,) the largest scores."""
        return np.asarray(self.scores.max(axis=1))

    @cached_property
    def hits(self) -> np.ndarray:
        """(n,) booleans: is what it said right?"""
        return np.asarray(self.said == self.labels)

    def says(self, index: int) -> str:
        """Return the name of the class that it says of an image."""
        return self.classes[int(self.said[index])]


@dataclass(frozen=True)
class Subject:
    """What the page is about. good: the models that did not fail, best first; failed: name and reason of the others."""

    classes: Sequence[str]
    labels: np.ndarray
    good: Sequence[Model]
    failed: Sequence[tuple[str, str]]
    record: Mapping[str, Any]
    images: Callable[[int], np.ndarray] | None = None
    paths: Sequence[str] = ()
    fitted: Mapping[str, Classifier] = field(default_factory=dict)

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        """The rows of the table, without those of models that failed."""
        return [model.row for model in self.good]


def subject_of(comparison: Comparison) -> Subject:
    """Return what the page is about."""
    record = comparison.to_record()
    left = [_answers(comparison, result.predictions) for result in comparison.results if result.predictions]
    good = []
    for number, row in enumerate(row for row in record["models"] if not row.get("error")):
        at = next(at for at, answers in enumerate(left) if _is_of(row, *answers[:3]))
        good.append(Model(number, row, *left.pop(at)))
    failed = [(result.model, result.error) for result in comparison.results if result.error]
    beside = comparison.images, comparison.paths, comparison.models
    return Subject(comparison.classes, comparison.labels, good, failed, record, *beside)


Answers = tuple[Predictions, np.ndarray, np.ndarray, Sequence[str]]


def _answers(comparison: Comparison, given: Predictions) -> Answers:
    """Return a model's probabilities of the classes that count, the labels as indices into these, and their names."""
    if comparison.among == "data":
        names = [name for name in comparison.classes if name in given.classes]
        return given, *among(given.scores, given.classes, comparison.classes, comparison.labels), names
    return given, given.scores, model_labels(given.classes, comparison.classes, comparison.labels), given.classes


def _is_of(row: Mapping[str, Any], given: Predictions, scores: np.ndarray, labels: np.ndarray) -> bool:
    """Tell whether a row is of these predictions: several models may have one name, such as two runs of one."""
    return bool(row["model"] == given.model and np.isclose((scores.argmax(axis=1) != labels).mean(), row["top1_error"]))
