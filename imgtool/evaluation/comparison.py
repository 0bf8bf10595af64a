"""Measure several classifiers on the same held-out images, fairly.

The data set is split once; every model is fitted on the same part and scored on the other. A model that fails is a
row with its reason; the others stand.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imgtool.classifiers import registry
from imgtool.classifiers.protocol import Classifier
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError, ImgtoolError
from imgtool.evaluation.metrics import class_accuracies, confusion, top_k_hits
from imgtool.evaluation.statistics import mcnemar_exact, wilson

Progress = Callable[[int, int, str], None]
BATCH = 64
STAGES = ("prepare", "features", "decide")


@dataclass
class Result:
    """One model's row: probabilities of the held-out images, or the reason why there are none."""

    model: str
    error: str | None = None
    scores: np.ndarray | None = None
    train_seconds: float | None = None
    milliseconds: float | None = None
    size: int | None = None


@dataclass(frozen=True)
class Comparison:
    """Results on the same images: labels (n,) of the held-out part."""

    classes: tuple[str, ...]
    labels: np.ndarray
    train_images: int
    results: Sequence[Result]
    duplicates: Sequence[tuple[str, str]] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """True when a model has no scores."""
        return any(result.error for result in self.results)

    def rows(self) -> list[dict[str, Any]]:
        """Return the table, best model first: errors with 95 % Wilson intervals, McNemar's exact p against the best."""
        good = [result for result in self.results if result.scores is not None]
        hits = {id(result): top_k_hits(_scores(result), self.labels, 1) for result in good}
        good.sort(key=lambda result: -int(hits[id(result)].sum()))
        rows = [self._row(result, hits[id(result)], hits[id(good[0])]) for result in good]
        return rows + [{"model": result.model, "error": result.error} for result in self.results if result.error]

    def _row(self, result: Result, hit: np.ndarray, best: np.ndarray) -> dict[str, Any]:
        """Return what the table says of one model."""
        n = len(self.labels)
        p = None if hit is best else mcnemar_exact(int((hit & ~best).sum()), int((best & ~hit).sum()))
        five = top_k_hits(_scores(result), self.labels, 5) if len(self.classes) > 5 else None
        accuracies = class_accuracies(confusion(_scores(result), self.labels, len(self.classes)))
        return {
            "model": result.model,
            "top1_error": 1 - hit.mean(),
            "top1_interval": _error_interval(hit),
            "top5_error": None if five is None else 1 - five.mean(),
            "top5_interval": None if five is None else _error_interval(five),
            "n": n,
            "p": p,
            "mean_class_accuracy": float(np.nanmean(accuracies)),
            "train_seconds": result.train_seconds,
            "ms_per_image": result.milliseconds,
            "bytes": result.size,
        }


def _scores(result: Result) -> np.ndarray:
    """Return the scores of a result that has some."""
    if result.scores is None:
        raise DataError(f"{result.model} has no scores: {result.error}")
    return result.scores


def _error_interval(hits: np.ndarray) -> list[float]:
    """Return the Wilson interval of the error."""
    return list(wilson(int((~hits).sum()), len(hits)))


def compare(
    models: Sequence[str],
    train: Dataset,
    test: Dataset,
    *,
    seed: int = 0,
    device: str = "cpu",
    settings: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Fit each model on `train` and score it on `test`; trained models (a folder, NAME@WEIGHTS) are used as they are.

    settings: changed settings for models that are fitted and have them.
    """
    results = []
    for index, name in enumerate(models):
        if progress:
            progress(index, len(models), name)
        try:
            results.append(_measure(name, train, test, seed, device, settings or {}, progress))
        except (ImgtoolError, MemoryError) as error:
            results.append(Result(name, error=str(error) or "not enough memory"))
    return Comparison(test.classes, test.labels, len(train), results, list(duplicates(train, test)))


def _measure(
    name: str,
    train: Dataset,
    test: Dataset,
    seed: int,
    device: str,
    settings: dict[str, Any],
    progress: Progress | None,
) -> Result:
    """Fit or open one model and score it."""
    begin = time.monotonic()
    if "@" in name or "/" in name or Path(name, "model.json").is_file():
        model, seconds = registry.open_model(name, device=device), None
    else:
        known = registry.create(name).defaults
        model = registry.create(name, **{key: value for key, value in settings.items() if key in known})
        model.fit(train, seed=seed, device=device, progress=progress)
        seconds = time.monotonic() - begin
    scores, milliseconds = score(model, test)
    size = sum(array.nbytes for array in model.arrays().values())
    return Result(name, None, scores, seconds, milliseconds, size)


def score(model: Classifier, test: Dataset, progress: Progress | None = None) -> tuple[np.ndarray, float]:
    """Return probabilities (n, classes) in the data set's order of classes, and milliseconds an image without reading.

    Raises DataError when the model does not know all of the data set's classes.
    """
    missing = [name for name in test.classes if name not in model.classes]
    if missing:
        raise DataError(f"{model.name} knows no class {missing[0]!r}; its classes are {', '.join(model.classes)}")
    columns = [model.classes.index(name) for name in test.classes]
    before = sum(model.seconds[stage] for stage in STAGES)
    parts = []
    for begin in range(0, len(test), BATCH):
        images = [test.image(index) for index in range(begin, min(begin + BATCH, len(test)))]
        parts.append(model.scores(images)[:, columns])
        if progress:
            progress(min(begin + BATCH, len(test)), len(test), model.name)
    seconds = sum(model.seconds[stage] for stage in STAGES) - before
    return np.concatenate(parts), 1000 * seconds / len(test)


def duplicates(train: Dataset, test: Dataset) -> Iterator[tuple[str, str]]:
    """Yield (training image, test image) pairs with equal pixels."""
    seen = defaultdict(list)
    for index in range(len(train)):
        seen[_pixels(train.image(index))].append(index)
    for index in range(len(test)):
        for other in seen.get(_pixels(test.image(index)), ()):
            yield train.name(other), test.name(index)


def _pixels(image: np.ndarray) -> tuple[Any, ...]:
    """Return a key that equal pixels share."""
    import hashlib

    return image.shape, image.dtype.str, hashlib.blake2b(image.tobytes(), digest_size=16).digest()
