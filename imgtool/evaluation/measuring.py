"""How good one model is on held-out images, as its model.json tells it."""

from __future__ import annotations

from typing import Any

import numpy as np

from imgtool.classifiers.protocol import Trainable
from imgtool.datasets.dataset import Dataset
from imgtool.evaluation.comparison import score
from imgtool.evaluation.statistics import wilson


def measure(model: Trainable, test: Dataset) -> dict[str, Any]:
    """Return where a model's weights come from, with its accuracy on held-out images and Wilson's 95 % interval."""
    scores, _ = score(model, test)
    right, n = int((scores.argmax(axis=1) == np.asarray(test.labels)).sum()), len(test)
    accuracy = {"right": right, "n": n, "value": right / n, "interval": list(wilson(right, n))}
    return {**model.provenance, "accuracy": accuracy}
