"""Predictions of several models for the same held-out images, and the table of their errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from imgtool.classifiers.learning import NOT_DIVIDED, was_divided
from imgtool.classifiers.protocol import Classifier
from imgtool.classifiers.start import builds_on_others
from imgtool.datasets.equal_images import across_line
from imgtool.errors import ParameterError
from imgtool.evaluation import table
from imgtool.evaluation.calibration import calibration_error
from imgtool.evaluation.confusion import Confusion, confusion_of
from imgtool.evaluation.intervals import paired_bootstrap, wilson
from imgtool.evaluation.metrics import class_accuracies
from imgtool.evaluation.runner import Result
from imgtool.evaluation.scored import Pair, Scored, all_pairs, scored
from imgtool.evaluation.sentences import decision
from imgtool.image.alpha import WHITE

SHOWN = 24  # mistakes on a sheet
TOP = 5  # classes of the second error, where there are more
AMONG = ("model", "data")  # whose classes scores are compared among
NOT_IN_ROWS = {"history"}  # facts of a model that fill pages


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

    @cached_property
    def scored(self) -> list[Scored]:
        """How the models that did not fail label the images: the best first, of equal errors the smaller log loss."""
        good = [result.predictions for result in self.results if result.predictions]
        entries = [scored(each, self.classes, self.labels, self.among) for each in good]
        return sorted(entries, key=lambda each: (each.wrong, each.log_loss))

    @cached_property
    def pairs(self) -> Mapping[tuple[int, int], Pair]:
        """How each two of them differ, by their places in `scored`."""
        return all_pairs([each.hits for each in self.scored])

    def rows(self) -> list[dict[str, Any]]:
        """Return the table, best model first; the models that failed come last, with the reason."""
        rows = [self._row(place, each) for place, each in enumerate(self.scored)]
        return rows + [{"model": result.model, "error": result.error} for result in self.results if result.error]

    def by_class(self, model: str | None = None) -> list[dict[str, Any]]:
        """Return a model's errors by class, the worst first; of the best model, unless one is named.

        A row has class, n, error with its interval, and what the class is most often taken for and how often.
        """
        return self.confusion(model).by_class()

    def confusion(self, model: str | None = None) -> Confusion:
        """Return how often a model gave images of each class each name; of the best model, unless one is named."""
        return confusion_of(self._named(model), self.classes, self.labels)

    def confusion_picture(self, model: str | None = None) -> np.ndarray:
        """Return the same as a picture, RGB uint8."""
        from imgtool.evaluation.confusion_picture import confusion_picture

        return confusion_picture(self.confusion(model))

    def mistakes(self, model: str | None = None, count: int = SHOWN) -> np.ndarray:
        """Return the images that a model labels wrong most surely, with both names, as a sheet, RGB uint8.

        Raises DataError where there are no images.
        """
        from imgtool.evaluation.mistakes import mistakes_sheet

        return mistakes_sheet(self, self._named(model), count)

    def write_predictions(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write each model's five best labels of each image as CSV."""
        from imgtool.evaluation.predictions_file import write_predictions

        write_predictions(self, path, overwrite=overwrite)

    def _named(self, model: str | None) -> Scored:
        """Return how a model labels the images. Raises ParameterError for one that is not there, or failed."""
        for each in self.scored:
            if model in (None, each.model):
                return each
        there = ", ".join(each.model for each in self.scored) or "none"
        raise ParameterError(f"there are no predictions of {model or 'a model'}, but of {there}")

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        return table.to_markdown(self.rows())

    def to_csv(self) -> str:
        """Return the table as CSV."""
        return table.to_csv(self.rows())

    def to_json(self) -> str:
        """Return the complete record as JSON."""
        return json.dumps(self.to_record())

    def to_html(self, *, command: str = "") -> str:
        """Return a self-contained HTML page. command: how the comparison was made, to be shown there."""
        from imgtool.evaluation.report.page import page

        return page(self, command=command)

    def to_record(self) -> dict[str, Any]:
        """Return the complete record, as JSON values; `models` has the rows."""
        return {
            "path": self.data,
            "images": len(self.labels),
            "classes": list(self.classes),
            "decision": decision(self),
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
        beside = (*self._partly_seen(), *self._built_on_others(), *self._other_backgrounds(), *self._not_divided())
        lines = [*across_line(self.duplicates), *lines, *beside]
        if self.among == "data":
            lines.append(f"errors are among the data set's {len(self.classes)} classes, not all that a model knows")
        return [*self.notes, *lines, *(f"{each.model}: {each.doubt}" for each in self.results if each.doubt)]

    def _built_on_others(self) -> Iterator[str]:
        """Yield a line for each model that builds on labels that the others do not have, by its weights or as a whole.

        Weights that were trained on the same images as the model itself bring none.
        """
        for each in (result.predictions for result in self.results if result.predictions):
            name = each.facts.get("init", {}).get("name")
            if name and builds_on_others(each.facts):
                labels = f"the labels of {name.partition('@')[2]}" if "@" in name else "its labels"
                line = f"builds on {name}, and so on {labels}, which models trained on this data alone lack"
                yield f"{each.model}: {line}"
            if each.facts.get("published"):
                yield f"{each.model}: was trained by others, perhaps on some of these images"

    def _partly_seen(self) -> Iterator[str]:
        """Yield a line for each model that was trained on some of the test images."""
        for each in (result.predictions for result in self.results if result.predictions):
            count = each.facts.get("seen_images")
            if count and each.model not in self.seen:
                about = "about " if each.facts.get("seen_is_estimate") else ""
                yield f"{each.model}: was trained on {about}{count} of these {len(self.labels)} test images"

    def _other_backgrounds(self) -> Iterator[str]:
        """Yield a line for each model that saw transparent images on another color than these are shown on."""
        shown = self.facts.get("background", WHITE)
        for each in (result.predictions for result in self.results if result.predictions):
            learned = each.facts.get("background", WHITE)
            if "weights" in each.facts and learned != shown and self.left_out.get("alpha"):
                yield f"{each.model}: was trained with transparent images on {learned}; these are shown on {shown}"

    def _not_divided(self) -> Iterator[str]:
        """Yield a line for each machine that was not cross-validated: a class had a single image, or so it was set."""
        for each in (result.predictions for result in self.results if result.predictions):
            if not was_divided(each.facts.get("history", ())):
                yield f"{each.model}: was {NOT_DIVIDED}"

    def _row(self, place: int, each: Scored) -> dict[str, Any]:
        """Return one model's row."""
        five = each.ranks < TOP if len(each.classes) > TOP else None
        facts = {key: value for key, value in each.predictions.facts.items() if key not in NOT_IN_ROWS}
        return {
            "model": each.model,
            "n": len(self.labels),
            "top1_error": float((~each.hits).mean()),
            "top1_interval": _error_interval(each.hits),
            "top5_error": None if five is None else float((~five).mean()),
            "top5_interval": None if five is None else _error_interval(five),
            "mean_class_accuracy": float(np.nanmean(class_accuracies(each.hits, self.labels))),
            **self._against_best(place),
            "log_loss": each.log_loss,
            "calibration_error": calibration_error(each.score, each.hits),
            "train_seconds": each.predictions.train_seconds,
            "ms_per_image": each.predictions.milliseconds,
            **dict.fromkeys(("ms_per_image_p95", "images_per_second", "batch", "parameters")),
            "bytes": each.predictions.weights_bytes,
            **dict.fromkeys(("peak_bytes", "device")),
            "among": self.among,
            **facts,
        }

    def _against_best(self, place: int) -> dict[str, Any]:
        """Return how a model differs from the best one; nulls for that."""
        if place == 0:
            return dict.fromkeys(("difference", "difference_interval", "p", "p_uncorrected"))
        pair = self.pairs[0, place]
        return {
            "difference": pair.difference,
            "difference_interval": list(paired_bootstrap(pair.only_first, pair.only_second, pair.n)),
            "p": pair.p,
            "p_uncorrected": pair.p_uncorrected,
        }


def _error_interval(hits: np.ndarray) -> list[float]:
    """Return the Wilson interval of the error."""
    return list(wilson(int((~hits).sum()), len(hits)))
