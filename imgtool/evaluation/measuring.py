"""How good one model is: on held-out images, for its model.json, and on those by which it was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgtool.classifiers.learning import best_row
from imgtool.classifiers.protocol import Trainable
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError
from imgtool.evaluation.candidates import candidates
from imgtool.evaluation.intervals import wilson
from imgtool.evaluation.metrics import model_labels, top_k_hits
from imgtool.evaluation.runner import Runner
from imgtool.evaluation.splits import Split


def measure(model: Trainable, test: Dataset) -> dict[str, Any]:
    """Return a model's provenance with its accuracy on held-out images and Wilson's 95 % interval.

    Raises DataError when the model cannot predict them.
    """
    (result,) = Runner(Split(test), has_costs=False).run(candidates([model]))
    if result.predictions is None:
        raise DataError(result.error or "")
    labels = model_labels(result.predictions.classes, test.classes, test.labels)
    right, n = int(top_k_hits(result.predictions.scores, labels, 1).sum()), len(test)
    accuracy = {"right": right, "n": n, "value": right / n, "interval": list(wilson(right, n))}
    return {**model.provenance, "accuracy": accuracy}


def validated(trained: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the error by which a trained model's epoch or cost was chosen, with Wilson's 95 % interval; None for none.

    trained: its provenance. Of the result, by is "validation", with the epoch, or "cross-validation"; wrong, n, error,
    interval. That they were chosen by makes these errors a little too small.
    """
    last: dict[str, Any] = next(iter(trained.get("history", [])[-1:]), {})
    if last.get("cross_validated_accuracy"):
        n = trained["data"]["images"]
        found = {"by": "cross-validation"}
        wrong = round((1 - max(last["cross_validated_accuracy"].values())) * n)
    elif "validation" in trained and "validation_error" in last:
        n, best = trained["validation"]["images"], best_row(trained["history"])
        found = {"by": "validation", "epoch": best["epoch"]}
        wrong = round(best["validation_error"] * n)
    else:
        return None
    return {**found, "wrong": wrong, "n": n, "error": wrong / n, "interval": list(wilson(wrong, n))}
