"""Probabilities of many images by several models: each image is read once, in batches, ahead of the consumer.

A thread takes a whole batch: it reads an image, prepares it for each model and drops it, then computes the batch's
features and probabilities. `jobs` batches are processed at once, so that some images are read while others
are classified; prepared images are kept in memory, decoded ones are not.

The batches depend only on the images' positions and number, never on timing or `jobs`, so that scores are the same to
the last bit for every number of jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from imgtool.batch.memory import keep_freed_memory
from imgtool.batch.pool import job_count, ordered_map
from imgtool.classifiers.protocol import Classifier, require_probabilities

BATCH_IMAGES = 32  # at most; beyond it networks gain nothing
BATCHES = 32  # there should be, so that many threads end at about the same time
STAGES = ("read", "prepare", "features", "decide")


@dataclass(frozen=True)
class Prediction:
    """The result for one image.

    scores: for each model its probabilities (classes,) or None; errors: for each model why there are none, or None. An
    image that cannot be read has the same error for all models.
    """

    index: int
    scores: tuple[np.ndarray | None, ...]
    errors: tuple[Exception | None, ...]

    @property
    def error(self) -> Exception | None:
        """The first error, None where every model has scores."""
        return next((error for error in self.errors if error is not None), None)


@dataclass
class Timings:
    """Seconds of wall time that one model took, added up over images and threads; `read` is the same for all models."""

    images: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @property
    def milliseconds(self) -> float:
        """Milliseconds per image, without reading."""
        return 1000 * sum(self.seconds[stage] for stage in STAGES[1:]) / max(self.images, 1)


class Predictions(Iterator[Prediction]):
    """Predictions in the order of the images, as they come; `timings` holds, for each model, the seconds so far."""

    def __init__(
        self,
        models: Sequence[Classifier],
        images: range,
        read: Callable[[int], np.ndarray],
        jobs: int,
        batch: int,
    ) -> None:
        self.timings = [Timings() for _ in models]
        self._models, self._read = models, read
        self._lock = Lock()
        batches = [images[begin : begin + batch] for begin in range(0, len(images), batch)]
        if jobs > 1:
            keep_freed_memory()
        self._rest = (each for part in ordered_map(self._predict, batches, min(jobs, len(batches))) for each in part)

    def __next__(self) -> Prediction:
        return next(self._rest)

    def close(self) -> None:
        """Start nothing more."""
        self._rest.close()

    def _predict(self, places: range) -> list[Prediction]:
        """Return the predictions for the images of one batch."""
        prepared: list[dict[int, np.ndarray]] = [{} for _ in self._models]
        errors: list[dict[int, Exception]] = [{} for _ in self._models]
        for index in places:
            self._prepare(index, prepared, errors)
        scores = [self._scores(number, prepared[number], errors[number]) for number in range(len(self._models))]
        return [
            Prediction(
                index,
                tuple(found.get(index) for found in scores),
                tuple(reasons.get(index) for reasons in errors),
            )
            for index in places
        ]

    def _prepare(self, index: int, prepared: list[dict[int, np.ndarray]], errors: list[dict[int, Exception]]) -> None:
        """Read one image and prepare it for each model; what fails is kept as an error."""
        everywhere = range(len(self._models))
        try:
            with self._measure(everywhere, "read"):
                image = self._read(index)
        except Exception as error:  # a user's own reader may raise anything
            for reasons in errors:
                reasons[index] = error
            return
        for number, model in enumerate(self._models):
            try:
                with self._measure([number], "prepare"):
                    prepared[number][index] = model.prepare(image)
            except Exception as error:  # a user's own class may raise anything
                errors[number][index] = error

    def _scores(
        self, number: int, prepared: dict[int, np.ndarray], errors: dict[int, Exception]
    ) -> dict[int, np.ndarray]:
        """Return one model's probabilities by index. Where a batch fails, each image is tried alone."""
        with self._lock:
            self.timings[number].images += len(prepared)
        try:
            return self._decide(number, prepared)
        except Exception as error:
            if len(prepared) == 1:
                errors |= dict.fromkeys(prepared, error)
                return {}
        scores: dict[int, np.ndarray] = {}
        for index, image in prepared.items():
            try:
                scores |= self._decide(number, {index: image})
            except Exception as error:
                errors[index] = error
        return scores

    def _decide(self, number: int, prepared: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Return probabilities by index. Raises DataError unless they are finite, one for each image and class."""
        if not prepared:
            return {}
        model = self._models[number]
        with np.errstate(over="ignore", invalid="ignore"):  # told below, in one line
            with self._measure([number], "features"):
                features = model.features(list(prepared.values()))
            with self._measure([number], "decide"):
                found = np.asarray(model.decide(features))
        return dict(zip(prepared, require_probabilities(model, found, len(prepared)), strict=True))

    @contextmanager
    def _measure(self, numbers: Sequence[int], stage: str) -> Iterator[None]:
        """Add the time spent in the block to the timings of some models."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - begin
            with self._lock:
                for number in numbers:
                    self.timings[number].seconds[stage] += seconds


def predict(
    models: Sequence[Classifier],
    count: int,
    read: Callable[[int], np.ndarray],
    *,
    jobs: int | None = None,
    batch: int | None = None,
    first: int = 0,
) -> Predictions:
    """Yield the predictions of all models for each of `count` images, in order.

    read: gives an image by its index, called once for each, by several threads. jobs: batches under way at once, as
    many as there are processors unless given; batch: images of one, see `batch_size`. first: the image to begin with,
    with which a batch must begin. Whatever reading or a model raises is an error of that image, and the others go on.
    """
    size = batch or batch_size(count)
    assert first % size == 0
    return Predictions(models, range(first, count), read, job_count(jobs), size)


def batch_size(count: int) -> int:
    """Return the batch size for `count` images: small if there are few, so that several threads have work."""
    return min(max(-(-count // BATCHES), 1), BATCH_IMAGES)
