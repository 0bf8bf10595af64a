"""Predictions of several models for the same held-out images, and the table of their errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imgtool.classifiers.protocol import Classifier
from imgtool.datasets.equal_images import across_line
from imgtool.datasets.overlap import MOST_KEPT
from imgtool.evaluation import table
from imgtool.evaluation.intervals import wilson
from imgtool.evaluation.metrics import among, class_accuracies, confusion, model_labels, top_k_hits
from imgtool.evaluation.runner import Result
from imgtool.evaluation.significance import mcnemar_exact
from imgtool.evaluation.store import Predictions
from imgtool.image.alpha import WHITE

TOP = 5  # classes of the second error, where there are more
AMONG = ("model", "data")  # whose classes scores are compared among


@dataclass(frozen=True)
class Comparison:
    """Predictions of several models for the same held-out images, and the table of their errors.

    classes, labels: of the held-out part, labels (n,) as indices; results: each model's predictions or the reason why
    there are none; duplicates: pairs of equal images in both parts; seen: models that were trained on the held-out
    images (the facts of each say on how many, `seen_images`); counts: images of each class in each part; facts: how the
    table came about; data: where the images lie; among: whether all classes of a model count, or the data set's only;
    found: what the data set holds; left_out: how much of each kind it does not, with `notes` in words; images: gives
    the held-out image of an index, where they are at hand, and paths their names; models: those at hand, by row name.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    results: Sequence[Result]
    duplicates: Sequence[tuple[str, str]] = ()
    seen: Sequence[str] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    among: str = AMONG[0]
    found: str = ""
    notes: Sequence[str] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    images: Callable[[int], np.ndarray] | None = None
    paths: Sequence[str] = ()
    models: Mapping[str, Classifier] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """True when a model has no predictions."""
        return any(result.error for result in self.results)

    def rows(self) -> list[dict[str, Any]]:
        """Return the table, best model first: errors with 95 % Wilson intervals, McNemar's exact p against the best."""
        good = [result.predictions for result in self.results if result.predictions]
        entries = [(each, self._hits(each)) for each in good]
        entries.sort(key=lambda entry: -int(entry[1].sum()))
        rows = [self._row(each, hits, entries[0][1]) for each, hits in entries]
        return rows + [{"model": result.model, "error": result.error} for result in self.results if result.error]

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        return table.to_markdown(self.rows())

    def to_csv(self) -> str:
        """Return the table as CSV."""
        return table.to_csv(self.rows())

    def to_json(self) -> str:
        """Return the complete record as JSON."""
        return json.dumps(self.to_record())

    def to_html(self) -> str:
        """Return a self-contained HTML page."""
        from imgtool.evaluation.report import page

        return page(self.to_record(), self.remarks())

    def to_record(self) -> dict[str, Any]:
        """Return the complete record, as JSON values; `models` has the rows."""
        return {
            "path": self.data,
            "images": len(self.labels),
            "classes": list(self.classes),
            "models": self.rows(),
            "duplicates": self.duplicates,
            "seen": self.seen,
            "counts": self.counts,
            "among": self.among,
            **({"left_out": self.left_out} if self.left_out else {}),
            **self.facts,
        }

    def remarks(self) -> list[str]:
        """Return what is to be known beside the errors: equal images, models that saw the test or learned nothing."""
        lines = [f"{name}: was trained on these test images; its error says nothing of others" for name in self.seen]
        beside = (*self._partly_seen(), *self._built_on_others(), *self._other_backgrounds())
        lines = [*across_line(self.duplicates), *lines, *beside]
        if self.among == "data":
            lines.append(f"errors are among the data set's {len(self.classes)} classes, not all that a model knows")
        return [*self.notes, *lines, *(f"{each.model}: {each.doubt}" for each in self.results if each.doubt)]

    def _built_on_others(self) -> Iterator[str]:
        """Yield a line for each model that builds on weights, and so on labels, that the others do not have."""
        for each in (result.predictions for result in self.results if result.predictions):
            if name := each.facts.get("init", {}).get("name"):
                labels = f"the labels of {name.partition('@')[2]}" if "@" in name else "its labels"
                line = f"builds on {name}, and so on {labels}, which models trained on this data alone lack"
                yield f"{each.model}: {line}"

    def _partly_seen(self) -> Iterator[str]:
        """Yield a line for each model that was trained on some of the test images."""
        for each in (result.predictions for result in self.results if result.predictions):
            count = each.facts.get("seen_images")
            if count and each.model not in self.seen:
                learned = max(each.facts[key]["images"] for key in ("data", "drawn_from") if each.facts.get(key))
                about = "about " if learned > MOST_KEPT else ""
                yield f"{each.model}: was trained on {about}{count} of these {len(self.labels)} test images"

    def _other_backgrounds(self) -> Iterator[str]:
        """Yield a line for each model that saw transparent images on another color than these are shown on."""
        shown = self.facts.get("background", WHITE)
        for each in (result.predictions for result in self.results if result.predictions):
            learned = each.facts.get("background", WHITE)
            if "weights" in each.facts and learned != shown and self.left_out.get("alpha"):
                yield f"{each.model}: was trained with transparent images on {learned}; these are shown on {shown}"

    def _scores(self, predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
        """Return a model's probabilities, of the classes that count, and labels as indices into these."""
        if self.among == "data":
            return among(predictions.scores, predictions.classes, self.classes, self.labels)
        return predictions.scores, model_labels(predictions.classes, self.classes, self.labels)

    def _hits(self, predictions: Predictions, k: int = 1) -> np.ndarray:
        """Return (n,) booleans: is the label among a model's k largest scores?"""
        return top_k_hits(*self._scores(predictions), k)

    def _row(self, predictions: Predictions, hits: np.ndarray, best: np.ndarray) -> dict[str, Any]:
        """Return one model's row."""
        scores, labels = self._scores(predictions)
        five = top_k_hits(scores, labels, TOP) if scores.shape[1] > TOP else None
        accuracies = class_accuracies(confusion(scores, labels, scores.shape[1]))
        return {
            "model": predictions.model,
            "top1_error": float((~hits).mean()),
            "top1_interval": _error_interval(hits),
            "top5_error": None if five is None else float((~five).mean()),
            "top5_interval": None if five is None else _error_interval(five),
            "n": len(self.labels),
            "p": None if hits is best else mcnemar_exact(int((hits & ~best).sum()), int((best & ~hits).sum())),
            "mean_class_accuracy": float(np.nanmean(accuracies)),
            "train_seconds": predictions.train_seconds,
            "ms_per_image": predictions.milliseconds,
            "bytes": predictions.weights_bytes,
            "among": self.among,
            **predictions.facts,
        }


def _error_interval(hits: np.ndarray) -> list[float]:
    """Return the Wilson interval of the error."""
    return list(wilson(int((~hits).sum()), len(hits)))
