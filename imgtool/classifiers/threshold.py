"""The score from which on a label counts as sure: chosen once, on images that the model was not fitted to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from imgtool.batch.pool import ordered_map, processors
from imgtool.errors import DataError

if TYPE_CHECKING:
    from imgtool.datasets.dataset import Dataset

THRESHOLD = 0.5  # where nothing speaks for a higher one
HIGHEST = 0.95
STEP = 0.05
SHARE_RIGHT = 0.8  # of the labels that count as sure
CHUNK_IMAGES = 32  # that a model sees at once


def chosen_threshold(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the lowest of 0.5, 0.55 ... 0.95 at which 80 % of the labels with that score or more are right.

    scores: probabilities (N, classes) of images that were not fitted; labels: (N) what they show. 0.95 where none of
    these is enough; 0.5 where no label has a score of 0.5. Of a threshold that no score reaches nothing is known: it is
    passed over.
    """
    best, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    if not (best >= THRESHOLD).any():
        return THRESHOLD
    for step in range(round((HIGHEST - THRESHOLD) / STEP) + 1):
        threshold = round(THRESHOLD + step * STEP, 2)
        sure = right[best >= threshold]
        if len(sure) and sure.mean() >= SHARE_RIGHT:
            return threshold
    return HIGHEST


def validated_threshold(scores: Callable[[list[np.ndarray]], np.ndarray], validation: Dataset) -> float:
    """Return the threshold that a model's scores of validation images speak for."""

    def scores_from(begin: int) -> np.ndarray:
        chunk = range(begin, min(begin + CHUNK_IMAGES, len(validation)))
        return scores([validation.image(index) for index in chunk])

    try:
        found = list(ordered_map(scores_from, range(0, len(validation), CHUNK_IMAGES), processors()))
    except DataError:  # no probabilities: the weights are too large
        return THRESHOLD
    return chosen_threshold(np.concatenate(found), validation.labels)
