"""Fit or open each model, predict the held-out images, store the predictions. If one fails, the others still run.

Models that are trained already share one reading of the images. An architecture is fitted, predicts, and its
predictions are stored before the next one is fitted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from imgtool.classifiers import registry
from imgtool.classifiers.learning import doubt_of
from imgtool.classifiers.protocol import Classifier, Trainable
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.folders import same_name
from imgtool.datasets.overlap import images_in_common
from imgtool.errors import DataError, ImageError, ImgtoolError, ParameterError
from imgtool.evaluation.splits import Split
from imgtool.evaluation.store import Predictions, Store
from imgtool.events import Event, Events, Progress
from imgtool.pipelines.predict import predict

SHOWN_CLASSES = 5  # in a message
Model = str | Classifier


@dataclass
class Result:
    """One model's predictions, or the reason why there are none.

    number: of several models of that name, from 0; doubt: why it seems to have learned nothing.
    """

    model: str
    error: str | None = None
    predictions: Predictions | None = None
    number: int = 0
    doubt: str = ""


@dataclass(frozen=True)
class Runner:
    """What all models of a table share. settings: changes for those models that are fitted and have them."""

    split: Split
    store: Store = field(default_factory=Store)
    seed: int = 0
    device: str = "cpu"
    precision: str = "float32"
    settings: Mapping[str, Any] = field(default_factory=dict)
    jobs: int | None = None
    events: Events | None = None

    def run(self, models: Sequence[Model]) -> list[Result]:
        """Return a result for each model, in their order."""
        labels = [label_of(model) for model in models]
        results = [Result(label, number=labels[:place].count(label)) for place, label in enumerate(labels)]
        opened = []
        for result, given in zip(results, models, strict=True):
            if not self._fits(given):
                with _failure_of(result):
                    opened.append((result, self._open(given)))
        self._predict(opened)
        for result, given in zip(results, models, strict=True):
            if self.split.train is not None and self._fits(given):
                with _failure_of(result):
                    model, seconds = self._fit(given, self.split.train)
                    result.doubt = doubt_of(model, self.split.train.labels)
                    self._predict([(result, model)], seconds)
        return results

    def _fits(self, given: Model) -> bool:
        """Tell whether to train a model; without a training part, a bare name stands for the included weights."""
        return self.split.train is not None and not is_trained(given)

    def _open(self, given: Model) -> Classifier:
        """Return a trained model."""
        model = self._opened(given) if isinstance(given, str) else given
        if not model.classes:
            raise ParameterError(f"{model.name} is not trained")
        return model

    def _opened(self, name: str) -> Classifier:
        """Return a trained model by its name."""
        return registry.open_model(name, device=self.device, precision=self.precision)

    def _fit(self, given: Model, train: Dataset) -> tuple[Classifier, float]:
        """Return a model fitted to the training part, and how many seconds that took."""
        model = create_unfitted(given, self.settings) if isinstance(given, str) else given
        if not isinstance(model, Trainable):
            raise ParameterError(f"{model.name} cannot be trained")
        events = _with_name(label_of(given), self.events)
        begin = time.perf_counter()
        fitted = model.fit(train, seed=self.seed, device=self.device, events=events)
        return fitted, time.perf_counter() - begin

    def _predict(self, pairs: Sequence[tuple[Result, Classifier]], train_seconds: float | None = None) -> None:
        """Store the predictions of some models in one reading of the held-out images."""
        ready = []
        for result, model in pairs:
            with _failure_of(result):
                require_classes(model, self.split.test)
                ready.append((result, model))
        if not ready:
            return
        rows, seconds = self._collect(ready)
        for (result, model), scores, spent in zip(ready, rows, seconds, strict=True):
            if result.error is None:
                with _failure_of(result):
                    result.predictions = self._store_predictions(result, model, np.stack(scores), spent, train_seconds)

    def _collect(
        self, pairs: Sequence[tuple[Result, Classifier]]
    ) -> tuple[list[list[np.ndarray]], list[dict[str, float]]]:
        """Return each model's scores image by image, and its seconds; the first error of a model is its result's."""
        test, rows = self.split.test, [list[np.ndarray]() for _ in pairs]
        title = ", ".join(result.model for result, _ in pairs)
        predictions = predict([model for _, model in pairs], len(test), test.image, jobs=self.jobs)
        for each in predictions:
            for (result, _), row, scores, error in zip(pairs, rows, each.scores, each.errors, strict=True):
                if error is not None:
                    result.error = result.error or _reason_with_name(error, test.name(each.index))
                elif scores is not None:
                    row.append(scores)
            if self.events:
                self.events(Progress(each.index + 1, len(test), "labeling images", title))
            if all(result.error for result, _ in pairs):
                predictions.close()
                break
        return rows, [timings.seconds for timings in predictions.timings]

    def _store_predictions(
        self,
        result: Result,
        model: Classifier,
        scores: np.ndarray,
        seconds: Mapping[str, float],
        train_seconds: float | None,
    ) -> Predictions | None:
        """Store one model's predictions and return them as they were stored."""
        images = self.split.test.digest()
        facts = facts_of(model, is_new=train_seconds is not None)
        if train_seconds is None and "seen" in model.provenance:
            facts["seen_images"] = images_in_common(model.provenance["seen"], self.split.test.hashes)
        key, size = f"{result.model} {result.number} {images}", model.weights_bytes or None
        names = names_in(model, self.split.test.classes)
        stored = Predictions(result.model, images, names, scores, seconds, train_seconds, size, facts)
        self.store.put(key, stored)
        return self.store.get(key)


def facts_of(model: Classifier, *, is_new: bool) -> dict[str, Any]:
    """Return settings, number of classes, and the weights that it builds on, if it does.

    For an already trained model also the hashes of weights and data.
    """
    facts: dict[str, Any] = {"classes": len(model.classes), "settings": dict(model.settings)}
    facts |= {"init": model.provenance["init"]} if "init" in model.provenance else {}
    if is_new:
        return facts
    origin = {key: model.provenance[key] for key in ("data", "drawn_from", "background") if model.provenance.get(key)}
    return {**facts, "weights": model.weights_hash or None, "data": None, **origin}


def label_of(model: Model) -> str:
    """Return what a model is called in the table."""
    return model if isinstance(model, str) else model.name


def is_trained(model: Model) -> bool:
    """Tell whether a model is trained already: a folder, NAME@WEIGHTS, or a fitted classifier."""
    if not isinstance(model, str):
        return bool(model.classes)
    return registry.is_trained(model)


def create_unfitted(name: str, settings: Mapping[str, Any]) -> Trainable:
    """Return an unfitted classifier, with those of the settings that it has."""
    known = registry.create(name).settings
    return registry.create(name, **{key: value for key, value in settings.items() if key in known})


def check_usage(models: Sequence[Model], settings: Mapping[str, Any]) -> None:
    """Raise ParameterError, before anything is trained, for a name or a setting that no model has."""
    known: set[str] = set()
    for model in models:
        try:
            if not isinstance(model, str):
                continue
            if is_trained(model):
                registry.locate(model)
            else:
                known |= create_unfitted(model, settings).settings.keys()
        except ParameterError:
            raise
        except ImgtoolError:
            continue  # a row with its reason, later
    if unknown := settings.keys() - known:
        there = ", ".join(sorted(known)) or "none"
        raise ParameterError(f"no model here has a setting {min(unknown)!r}; there are {there}")


def names_in(model: Classifier, classes: Sequence[str]) -> tuple[str, ...]:
    """Return a model's classes as a data set calls them: in its form of Unicode, by identifier where it does so."""
    identifiers = model.identifiers or (None,) * len(model.classes)
    there, names = set(classes), []
    for label, key in zip(model.classes, identifiers, strict=True):
        name = next((each for each in (label, same_name(label), key) if each in there), None)
        names.append(label if name is None or name in names else name)
    return tuple(names)


def require_classes(model: Classifier, test: Dataset) -> None:
    """Raise DataError when a model does not know all classes of which there are images."""
    known_names = names_in(model, test.classes)
    missing = [name for name, count in test.counts().items() if count and name not in known_names]
    if missing:
        known = ", ".join(model.classes[:SHOWN_CLASSES]) + (" ..." if len(model.classes) > SHOWN_CLASSES else "")
        raise DataError(f"{model.name} knows no class {missing[0]!r}; its {len(model.classes)} are {known}")


def _reason_with_name(error: Exception, name: str) -> str:
    """Return the reason of an error that an image gave, with its name, which errors of reading have already."""
    reason = reason_of(error)
    return reason if not isinstance(error, ImageError) or reason.startswith(f"{name}: ") else f"{name}: {reason}"


def reason_of(error: Exception) -> str:
    """Return why a model failed, in one line; a user's own class may raise anything."""
    if isinstance(error, ImgtoolError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


@contextmanager
def _failure_of(result: Result) -> Iterator[None]:
    """Catch errors of the block and store the reason in the model's result."""
    try:
        yield
    except Exception as error:
        result.error = reason_of(error)


def _with_name(name: str, events: Events | None) -> Events | None:
    """Return a listener that adds the model's name to events."""
    if events is None:
        return None

    def listen(event: Event) -> None:
        events(replace(event, model=name))

    return listen
