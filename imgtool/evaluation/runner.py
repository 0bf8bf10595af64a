"""Fit or open each model, predict the held-out images, store the predictions. If one fails, the others still run.

Models that are trained already share one reading of the images. An architecture is fitted, predicts, and its
predictions are stored before the next one is fitted.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from imgtool.classifiers.learning import doubt_of
from imgtool.classifiers.protocol import Classifier
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.overlap import images_in_common, is_estimate
from imgtool.errors import DataError, OutputError
from imgtool.evaluation.candidates import Candidate, Model, Result, require_classes
from imgtool.evaluation.costs import Growth, costs
from imgtool.evaluation.fits import Fit, fits_of
from imgtool.evaluation.labeling import Labeling, label_images, require_same
from imgtool.evaluation.metrics import among, model_labels, top_k_hits
from imgtool.evaluation.pace import Pace
from imgtool.evaluation.splits import Split
from imgtool.evaluation.store import Predictions, joined
from imgtool.evaluation.work import Kept, Work
from imgtool.events import Epoch, Event, Events, Measured, Progress, Turn

__all__ = ["Model", "Result", "Runner"]


@dataclass
class Runner:
    """What all models of a table share.

    split: what trained models are measured on, and the others, too, where there are no folds. among: whose classes
    count. has_costs: whether times and memory are measured. models: those at hand, or what opens them, by their names
    in the table.
    """

    split: Split
    folds: Sequence[Split] = ()
    work: Work = field(default_factory=Work)
    kept: Kept = field(default_factory=Kept)
    seed: int = 0
    device: str = "cpu"
    among: str = "model"
    has_costs: bool = True
    jobs: int | None = None
    events: Events | None = None
    models: dict[str, Callable[[], Classifier]] = field(default_factory=dict)

    def run(self, candidates: Sequence[Candidate], later: Sequence[Fit] = ()) -> list[Result]:
        """Return a result for each model, in their order. later: what will be fitted after this, for the estimate."""
        self._total, self._done = len(candidates), 0
        ready = [each for each in candidates if each.result.error is None]
        fits = {each.label: fits_of(each, self.split, self.folds, self.kept) for each in ready if each.fits}
        self._pace = Pace([*(fit for of_one in fits.values() for fit in of_one), *later])
        for each in candidates:
            if each.result.error is not None:
                self._tell(each.result)
        self._label_trained([each for each in ready if not each.fits])
        for each in ready:
            if each.fits:
                self._run_fits(each, fits[each.label])
        return [each.result for each in candidates]

    def run_fit(self, fit: Fit) -> Predictions | None:
        """Return the predictions of a model that is fitted to a part, or was before; None where it fails."""
        begin = time.perf_counter()
        self._turn([fit.candidate], fit.part)
        with fit.result.failure():
            if (stored := self._stored(fit.candidate, fit.key, fit.split)) is not None:
                self._take_stored(fit, stored)
                return stored
        found = self._fit_and_label(fit) if fit.result.error is None else None
        if found is None:
            self._pace.dropped(fit.candidate.label)
        self._pace.done(fit, time.perf_counter() - begin)
        return found

    def _label_trained(self, candidates: Sequence[Candidate]) -> None:
        """Have the models that are trained already predict, in one reading of the images."""
        ready, test = [], self.split.test
        facts: dict[str, dict[str, Any]] = {}
        for each in candidates:
            with each.result.failure():
                assert each.model is not None
                require_classes(each.model, test, some=self.among == "data")
                each.result.predictions = self._stored(each, each.label, self.split)
                if each.result.predictions is None:
                    with Growth() as growth:
                        facts[each.label] = self._costs(each, each.model)
                    if self.has_costs and (peak := growth.bytes()) is not None:
                        facts[each.label]["peak_bytes"] = peak + (each.memory or 0)
                    ready.append((each.result, each.model, each.label))
        if ready:
            self._turn(candidates)
        for labeling in label_images(ready, test, self.work.store, jobs=self.jobs, events=self.events):
            self._put(labeling, self.split, facts_of(labeling.model, self.split) | facts[labeling.key])
        for each in candidates:
            if each.model is not None and each.result.error is None:
                self.models.setdefault(each.label, _giving(each.model))
            self._tell(each.result)

    def _run_fits(self, candidate: Candidate, fits: Sequence[Fit]) -> None:
        """Fit a model, once for each fold if there are any, and have it predict."""
        found = list[Predictions]()
        for fit in fits:
            predictions = self.run_fit(fit)
            if predictions is None:
                break
            found.append(predictions)
        else:
            test = self.split.test
            whole = joined(found, [fold.places for fold in self.folds], test.digest()) if self.folds else found[0]
            candidate.result.predictions = whole
        self._tell(candidate.result)

    def _stored(self, candidate: Candidate, key: str, split: Split) -> Predictions | None:
        """Return predictions that were made before an interruption. Raises DataError for damaged ones."""
        if candidate.identity() is None:
            return None
        stored = self.work.store.get(key)
        if stored is not None:
            require_same(stored, split.test)
        return stored

    def _take_stored(self, fit: Fit, stored: Predictions) -> None:
        """Take over what is known of a model that predicted before an interruption."""
        trained = self.work.fitted(fit.key) or {}
        fit.result.doubt = fit.result.doubt or trained.get("doubt", "")
        self._pace.done(fit, stored.train_seconds or 0)
        if (opener := self.work.opener(fit.key, self.device)) is None:
            return
        self._remember(fit, opener)
        if fit.place is not None and not self.kept.holds(fit.place, self.work.model_place(fit.key)):
            self.kept.put(fit.place, opener())

    def _fit_and_label(self, fit: Fit) -> Predictions | None:
        """Fit a model, unless that was done before an interruption, and have it predict."""
        result, test = fit.result, fit.split.test
        with Growth() as growth:
            with result.failure():
                model, trained = self._fitted(fit, growth)
                require_classes(model, test)
            if result.error is not None:
                return None
            self._keep(fit, model, trained)
            pairs = [(result, model, fit.key)] if result.error is None else []
            labelings = label_images(pairs, test, self.work.store, jobs=self.jobs, events=self.events)
            more = self._costs(fit.candidate, model) if labelings and fit.first else {}
        for labeling in labelings:
            peaks = [each for each in (trained["peak_bytes"], growth.bytes()) if each is not None]
            more |= {"peak_bytes": max(peaks, default=None)} if self.has_costs else {}
            facts = facts_of(model) | _seen_facts(trained.get("seen_before", ""), test) | more
            self._put(labeling, fit.split, facts, trained["train_seconds"])
            return self.work.store.get(fit.key)
        return None

    def _keep(self, fit: Fit, model: Classifier, trained: Mapping[str, Any]) -> None:
        """Have a fitted model at hand, and keep it where that is wished."""
        if self.work.fitted(fit.key) is None:
            self.work.put_fitted(fit.key, model, trained)
        self._remember(fit, _giving(model))
        with fit.result.failure(passes=(OutputError,)):
            self.kept.put(fit.place, model)
        fit.result.doubt = fit.result.doubt or trained["doubt"]

    def _fitted(self, fit: Fit, growth: Growth) -> tuple[Classifier, Mapping[str, Any]]:
        """Return a fitted model, and how long its training took, what it took, and whether it came to anything."""
        if (trained := self.work.fitted(fit.key)) is not None:
            with contextlib.suppress(DataError):  # of a damaged one: it is fitted again
                return self.work.open_fitted(fit.key, self.device), trained
        model, before = fit.candidate.unfitted(), list[float]()
        checkpoint = self.work.checkpoint(fit.key) if model.keeps_checkpoints else None
        more: dict[str, Any] = {} if checkpoint is None else {"resume": checkpoint}
        begin = time.perf_counter()
        events = _with_name(fit.candidate.label, self.events, before)
        fitted = model.fit(fit.train, seed=self.seed, device=self.device, events=events, **more)
        seconds = time.perf_counter() - begin + sum(before)
        doubt = doubt_of(fitted, fit.train.labels)
        told = {"train_seconds": seconds, "doubt": doubt, "peak_bytes": growth.bytes()}
        seen = getattr(fitted, "seen_before", "")
        return fitted, told | ({"seen_before": seen} if seen else {})

    def _put(
        self, labeling: Labeling, split: Split, facts: Mapping[str, Any], train_seconds: float | None = None
    ) -> None:
        """Store the predictions of one model, and take them as they were stored."""
        size = labeling.model.weights_bytes or None
        with labeling.result.failure(passes=(OutputError,) if self.work.folder else ()):
            found = labeling.predictions(split.test, train_seconds=train_seconds, weights_bytes=size, facts=facts)
            self.work.store.put(labeling.key, found)
            labeling.result.predictions = self.work.store.get(labeling.key)

    def _costs(self, candidate: Candidate, model: Classifier) -> dict[str, Any]:
        """Return what labeling costs."""
        if not self.has_costs:
            return {}
        if self.events:
            self.events(Progress(0, 1, "measuring times", candidate.label))
        return costs(model, self.split.test)

    def _remember(self, fit: Fit, opener: Callable[[], Classifier]) -> None:
        """Have a model at hand for what is shown beside the table."""
        if fit.first and not self.folds:
            self.models.setdefault(fit.candidate.label, opener)

    def _turn(self, candidates: Sequence[Candidate], part: str = "") -> None:
        """Tell that it is a model's turn, or that of several."""
        if self.events:
            number = self._done + 1 if len(candidates) == 1 and self._done < self._total else 0
            names = ", ".join(each.label for each in candidates)
            left = self._pace.seconds_left()
            self.events(Turn(number, self._total, names, part, left, left is not None and self._pace.is_guess()))

    def _tell(self, result: Result) -> None:
        """Tell how a model came off."""
        self._done += 1
        if self.events:
            self.events(self.measured(result))

    def measured(self, result: Result, part: str = "") -> Measured:
        """Return how a model came off, as an event."""
        told = Measured(self._done, self._total, result.model, part, error=result.error or "", hint=result.hint)
        if result.predictions is None:
            return told
        return replace(told, wrong=self.wrong(result.predictions), images=len(self.split.test))

    def wrong(self, predictions: Predictions) -> int:
        """Return how many of the held-out images are labeled wrong."""
        test, scores = self.split.test, predictions.scores
        if self.among == "data":
            scores, labels = among(scores, predictions.classes, test.classes, test.labels)
        else:
            labels = model_labels(predictions.classes, test.classes, test.labels)
        return int(np.count_nonzero(~top_k_hits(scores, labels, 1)))


def facts_of(model: Classifier, split: Split | None = None) -> dict[str, Any]:
    """Return settings, number of classes, how it was trained, and the weights that it builds on, if it does.

    split: for a model that was trained before, of which the hashes of weights and data are returned, too, and how many
    of the images it has seen.
    """
    facts: dict[str, Any] = {"classes": len(model.classes), "settings": dict(model.settings)}
    facts |= {key: model.provenance[key] for key in ("init", "history") if model.provenance.get(key)}
    if split is None:
        return facts
    origin = {key: model.provenance[key] for key in ("data", "drawn_from", "background") if model.provenance.get(key)}
    if model.provenance.get("kind") == "published":
        origin["published"] = True
    if "seen" in model.provenance:
        origin |= {"seen_images": 0, **_seen_facts(model.provenance["seen"], split.test)}
    return {**facts, "weights": model.weights_hash or None, "data": None, **origin}


def _seen_facts(kept: str, test: Dataset) -> dict[str, Any]:
    """Return how many of the test images are among those of which hashes are kept, where there are any."""
    count = images_in_common(kept, test.hashes) if kept else 0
    return ({"seen_images": count} if count else {}) | ({"seen_is_estimate": True} if is_estimate(kept) else {})


def _giving(model: Classifier) -> Callable[[], Classifier]:
    """Return what returns a model that is at hand."""
    return lambda: model


def _with_name(name: str, events: Events | None, before: list[float]) -> Events:
    """Return a listener that adds the model's name to events.

    before: takes the seconds of the epochs that were done before an interruption.
    """

    def listen(event: Event) -> None:
        if isinstance(event, Epoch) and event.resumed:
            before.append(event.seconds)
        if events:
            events(replace(event, model=name))

    return listen
