"""Measure one model on held-out images, for its model.json."""

from __future__ import annotations

from typing import Any

from imgtool.classifiers.protocol import Trainable
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError
from imgtool.evaluation.intervals import wilson
from imgtool.evaluation.metrics import model_labels, top_k_hits
from imgtool.evaluation.runner import Runner
from imgtool.evaluation.splits import Split


def measure(model: Trainable, test: Dataset) -> dict[str, Any]:
    """Return a model's provenance with its accuracy on held-out images and Wilson's 95 % interval.

    Raises DataError when the model cannot predict them.
    """
    (result,) = Runner(Split(test)).run([model])
    if result.predictions is None:
        raise DataError(result.error or "")
    labels = model_labels(result.predictions.classes, test.classes, test.labels)
    right, n = int(top_k_hits(result.predictions.scores, labels, 1).sum()), len(test)
    accuracy = {"right": right, "n": n, "value": right / n, "interval": list(wilson(right, n))}
    return {**model.provenance, "accuracy": accuracy}
