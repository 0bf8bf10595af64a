"""The predictions of one or several models for the held-out images, in one reading of these, kept as they come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imgtool.classifiers.protocol import Classifier
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError, ImageError
from imgtool.evaluation.candidates import Result, names_in, reason_of
from imgtool.evaluation.store import Predictions, Store
from imgtool.events import Events, Progress
from imgtool.pipelines.predict import STAGES, Timings, batch_size, predict

PART_SECONDS = 10.0  # of work that an interruption may cost


@dataclass
class Labeling:
    """What one model says of the images.

    key: under which that is stored; rows: scores of the images so far; seconds: of each stage, for those in stored
    parts; timings: of those that are labeled now, counted: what of these is in such parts, too.
    """

    result: Result
    model: Classifier
    key: str
    rows: list[np.ndarray] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    timings: Timings = field(default_factory=Timings)
    counted: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def take_parts(self, store: Store, test: Dataset) -> None:
        """Begin with what an interrupted labeling left. Raises DataError for what is of other images or classes."""
        for part in store.parts(self.key):
            require_same(part, test, names_in(self.model, test.classes))
            self.rows += list(part.scores)
            self.seconds = {stage: self.seconds[stage] + part.seconds[stage] for stage in STAGES}

    def put_part(self, store: Store, test: Dataset, first: int) -> None:
        """Store the scores of the images from one on."""
        spent, names = dict(self.timings.seconds), names_in(self.model, test.classes)
        seconds = {stage: spent[stage] - self.counted[stage] for stage in STAGES}
        scores = np.stack(self.rows[first:])
        store.put_part(self.key, first, Predictions(self.result.model, test.digest(), names, scores, seconds))
        self.counted = spent

    def predictions(self, test: Dataset, **more: Any) -> Predictions:
        """Return them all."""
        names = names_in(self.model, test.classes)
        seconds = {stage: self.seconds[stage] + self.timings.seconds[stage] for stage in STAGES}
        return Predictions(self.result.model, test.digest(), names, np.stack(self.rows), seconds, **more)


def require_same(stored: Predictions, test: Dataset, classes: Sequence[str] | None = None) -> None:
    """Raise DataError for stored predictions of other images, or of other classes than a model has."""
    if stored.images != test.digest() or (classes is not None and stored.classes != tuple(classes)):
        raise DataError("holds stored predictions of other images or classes")


def label_images(
    pairs: Sequence[tuple[Result, Classifier, str]],
    test: Dataset,
    store: Store,
    *,
    jobs: int | None = None,
    events: Events | None = None,
) -> list[Labeling]:
    """Return each model's scores of all images; the first error of a model is its result's, and it is left out.

    pairs: result, model, and the key under which parts of its predictions are stored.
    """
    labelings = [Labeling(*pair) for pair in pairs]
    for each in labelings:
        with each.result.failure():
            each.take_parts(store, test)
    labelings = [each for each in labelings if each.result.error is None]
    if not labelings:
        return []
    first, size = min(len(each.rows) for each in labelings), batch_size(len(test))
    first -= first % size
    for each in labelings:
        del each.rows[first:]
    _label(labelings, test, store, first, jobs, events)
    return [each for each in labelings if each.result.error is None]


def _label(
    labelings: Sequence[Labeling], test: Dataset, store: Store, first: int, jobs: int | None, events: Events | None
) -> None:
    """Add the scores from an image on, storing those of whole batches every few seconds."""
    title, size = ", ".join(each.result.model for each in labelings), batch_size(len(test))
    predictions = predict([each.model for each in labelings], len(test), test.image, jobs=jobs, first=first)
    for each, timings in zip(labelings, predictions.timings, strict=True):
        each.timings = timings
    stored, since = first, time.monotonic()
    for found in predictions:
        for each, scores, error in zip(labelings, found.scores, found.errors, strict=True):
            if error is not None:
                each.result.fail(error, _reason_with_name(error, test.name(found.index)))
            elif scores is not None:
                each.rows.append(scores)
        done = found.index + 1
        if events:
            events(Progress(done, len(test), "labeling images", title))
        going_on = [each for each in labelings if each.result.error is None]
        if not going_on:
            predictions.close()
            return
        if done % size == 0 and done < len(test) and time.monotonic() - since > PART_SECONDS:
            for each in going_on:
                each.put_part(store, test, stored)
            stored, since = done, time.monotonic()


def _reason_with_name(error: Exception, name: str) -> str:
    """Return the reason of an error that an image gave, with its name, which errors of reading have already."""
    reason = reason_of(error)
    return reason if not isinstance(error, ImageError) or reason.startswith(f"{name}: ") else f"{name}: {reason}"
