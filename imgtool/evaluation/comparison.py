"""Measure several classifiers on the same held-out images, fairly.

The data set is split once; every model is fitted on the same part and scored on the other, or, if it is trained
already, scored as it is. A model that fails is a row with its reason; the others stand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import imgtool
from imgtool.classifiers import registry, storage
from imgtool.classifiers.protocol import Classifier, Trainable
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import Parts
from imgtool.datasets.split import split
from imgtool.errors import DataError, ImgtoolError, ParameterError
from imgtool.evaluation.duplicates import duplicates
from imgtool.evaluation.metrics import class_accuracies, confusion, top_k_hits
from imgtool.evaluation.statistics import mcnemar_exact, wilson
from imgtool.events import Events, steps_of

Progress = Callable[[int, int, str], None]
BATCH = 64
TEST_SHARE = 0.25
SHOWN_CLASSES = 5  # in a message


@dataclass
class Result:
    """One model's row: probabilities of the held-out images, or the reason why there are none.

    about: what produced the scores (settings, number of classes, hash of weights, hash of the data it learned from).
    """

    model: str
    error: str | None = None
    scores: np.ndarray | None = None
    train_seconds: float | None = None
    milliseconds: float | None = None
    size: int | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Results on the same images: labels (n,) of the held-out part.

    duplicates: pairs of equal images in both parts; seen: models that learned from the held-out images; counts: images
    of each class in each part; facts: how it was made.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    results: Sequence[Result]
    duplicates: Sequence[tuple[str, str]] = ()
    seen: Sequence[str] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """True when a model has no scores."""
        return any(result.error for result in self.results)

    def rows(self) -> list[dict[str, Any]]:
        """Return the table, best model first: errors with 95 % Wilson intervals, McNemar's exact p against the best."""
        good = [(result, result.scores) for result in self.results if result.scores is not None]
        table = [(result, scores, top_k_hits(scores, self.labels, 1)) for result, scores in good]
        table.sort(key=lambda entry: -int(entry[2].sum()))
        rows = [self._row(result, scores, hits, table[0][2]) for result, scores, hits in table]
        return rows + [{"model": result.model, "error": result.error} for result in self.results if result.error]

    def _row(self, result: Result, scores: np.ndarray, hits: np.ndarray, best: np.ndarray) -> dict[str, Any]:
        """Return what the table says of one model."""
        p = None if hits is best else mcnemar_exact(int((hits & ~best).sum()), int((best & ~hits).sum()))
        five = top_k_hits(scores, self.labels, 5) if len(self.classes) > 5 else None
        accuracies = class_accuracies(confusion(scores, self.labels, len(self.classes)))
        return {
            "model": result.model,
            "top1_error": float((~hits).mean()),
            "top1_interval": _error_interval(hits),
            "top5_error": None if five is None else float((~five).mean()),
            "top5_interval": None if five is None else _error_interval(five),
            "n": len(self.labels),
            "p": p,
            "mean_class_accuracy": float(np.nanmean(accuracies)),
            "train_seconds": result.train_seconds,
            "ms_per_image": result.milliseconds,
            "bytes": result.size,
            **result.about,
        }


def _error_interval(hits: np.ndarray) -> list[float]:
    """Return the Wilson interval of the error."""
    return list(wilson(int((~hits).sum()), len(hits)))


def compare(
    models: Sequence[str],
    parts: Parts,
    *,
    test_share: float = TEST_SHARE,
    seed: int = 0,
    device: str = "cpu",
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Fit each model on one part and score it on the other; trained models (a folder, NAME@WEIGHTS) stay as they are.

    test_share: held out of each class, where the data set comes without a test part; settings: changed ones, for those
    models that are fitted and have them. Raises ParameterError for a name or setting that no model has, DataError or
    ImageError for data that cannot be used; whatever else goes wrong is a row.
    """
    settings = settings or {}
    check_usage(models, settings)
    train, test = (parts.train, parts.test) if parts.test is not None else split(parts.train, test_share, seed)
    same = list(duplicates(train, test, progress))  # first, as it finds images that cannot be read
    results = [
        _attempt(name, partial(_measure, name, settings, train, test, seed, device, progress)) for name in models
    ]
    digests = {"train": train.digest(), "test": test.digest()}
    facts = {
        "seed": seed,
        "test_share": test_share if parts.test is None else None,
        "device": device,
        "settings": dict(settings),
        "sha256": digests,
        "imgtool": imgtool.__version__,
    }
    counts = {"train": train.counts(), "test": test.counts()}
    learned = {digests["test"]} | ({parts.train.digest()} if parts.test is None else set())
    return Comparison(test.classes, test.labels, results, same, _seen(results, learned), counts, facts)


def evaluate(
    models: Sequence[str], test: Dataset, *, device: str = "cpu", progress: Progress | None = None
) -> Comparison:
    """Score trained models, by name or folder, on a data set; one that fails is a row."""
    results = [_attempt(name, partial(_score_trained, name, test, device, progress)) for name in models]
    digest = test.digest()
    facts = {"device": device, "sha256": {"test": digest}, "imgtool": imgtool.__version__}
    return Comparison(test.classes, test.labels, results, (), _seen(results, {digest}), {"test": test.counts()}, facts)


def check_usage(models: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Raise ParameterError, before anything is trained, for a name or a setting that no model has."""
    known: set[str] = set()
    for name in models:
        try:
            if is_trained(name):
                registry.locate(name)
            else:
                known |= _unfitted(name, settings).settings.keys()
        except ParameterError:
            raise
        except ImgtoolError:
            continue  # a row with its reason, later
    if unknown := settings.keys() - known:
        raise ParameterError(f"no model here has a setting {min(unknown)!r}; there are {', '.join(sorted(known))}")


def is_trained(name: str) -> bool:
    """Tell a trained model (a folder, NAME@WEIGHTS) from an architecture, which is fitted first."""
    return "@" in name or "/" in name or Path(name, storage.DESCRIPTION).is_file()


def _unfitted(name: str, settings: Mapping[str, Any]) -> Trainable:
    """Return a classifier to fit, with those of the settings that it has."""
    known = registry.create(name).settings
    return registry.create(name, **{key: value for key, value in settings.items() if key in known})


def _attempt(name: str, work: Callable[[], Result]) -> Result:
    """Return the result of some work, or why there is none: whatever one model dies of, the others stand."""
    try:
        return work()
    except ImgtoolError as error:
        return Result(name, error=str(error))
    except MemoryError:
        return Result(name, error="not enough memory")
    except Exception as error:  # a user's own class may raise anything
        return Result(name, error=f"{type(error).__name__}: {' '.join(str(error).split())}")


def _measure(
    name: str,
    settings: Mapping[str, Any],
    train: Dataset,
    test: Dataset,
    seed: int,
    device: str,
    progress: Progress | None,
) -> Result:
    """Fit a model if it is not trained, and score it."""
    if is_trained(name):
        return _score_trained(name, test, device, progress)
    begin = time.perf_counter()
    model = _unfitted(name, settings).fit(train, seed=seed, device=device, events=_events(name, progress))
    seconds = time.perf_counter() - begin
    scores, milliseconds = score(model, test, _named(name, progress))
    about = {"classes": len(model.classes), "settings": model.settings}
    return Result(name, None, scores, seconds, milliseconds, model.weights_bytes, about)


def _score_trained(name: str, test: Dataset, device: str, progress: Progress | None) -> Result:
    """Open a trained model and score it as it is."""
    model = registry.open_model(name, device=device)
    scores, milliseconds = score(model, test, _named(name, progress))
    about = {
        "classes": len(model.classes),
        "settings": model.settings,
        "weights": model.weights_hash,
        "data": model.provenance.get("data"),
    }
    return Result(name, None, scores, None, milliseconds, model.weights_bytes, about)


def _named(name: str, progress: Progress | None) -> Progress | None:
    """Return a callback that says whose progress it tells."""
    return (lambda done, total, message: progress(done, total, f"{name}: {message}")) if progress else None


def _events(name: str, progress: Progress | None) -> Events | None:
    """Return what tells of a fit's events as progress."""
    return (lambda event: progress(*steps_of(event, name))) if progress else None


def score(model: Classifier, test: Dataset, progress: Progress | None = None) -> tuple[np.ndarray, float]:
    """Return probabilities (n, classes) in the data set's order of classes, and milliseconds an image without reading.

    Raises DataError when the model does not know all of the data set's classes, or gives no probabilities.
    """
    missing = [name for name in test.classes if name not in model.classes]
    if missing:
        known = ", ".join(model.classes[:SHOWN_CLASSES]) + (" ..." if len(model.classes) > SHOWN_CLASSES else "")
        raise DataError(f"{model.name} knows no class {missing[0]!r}; its {len(model.classes)} are {known}")
    columns = [model.classes.index(name) for name in test.classes]
    parts, begun, reading = [], time.perf_counter(), 0.0
    for begin in range(0, len(test), BATCH):
        start = time.perf_counter()
        images = [test.image(index) for index in range(begin, min(begin + BATCH, len(test)))]
        reading += time.perf_counter() - start
        found = model.scores(images)
        if found.shape != (len(images), len(model.classes)) or not np.isfinite(found).all():
            raise DataError(f"{model.name} gave no probabilities of {len(model.classes)} classes for each image")
        parts.append(found[:, columns])
        if progress:
            progress(begin + len(images), len(test), "labeling images")
    seconds = time.perf_counter() - begun - reading
    return np.concatenate(parts), 1000 * seconds / len(test)


def _seen(results: Sequence[Result], digests: set[str]) -> list[str]:
    """Return the models that learned from a data set with one of these digests."""
    return [result.model for result in results if (result.about.get("data") or {}).get("sha256") in digests]
