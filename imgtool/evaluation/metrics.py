"""Metrics of probabilities (n, classes) and labels (n,): pure functions of predictions.

Errors are 1 minus accuracy. The first of several equal scores counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def among(
    scores: np.ndarray, known: Sequence[str], classes: Sequence[str], labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of a data set's classes, as far as a model knows them, and labels as indices into these."""
    there = [place for place, name in enumerate(classes) if name in known]
    columns = [known.index(classes[place]) for place in there]
    places = np.full(len(classes), -1)
    places[there] = np.arange(len(there))
    return scores[:, columns], places[labels]


def model_labels(known: Sequence[str], classes: Sequence[str], labels: np.ndarray) -> np.ndarray:
    """Return labels, indices into a data set's classes, as indices into a model's; -1 for a class it does not know."""
    places = np.array([known.index(name) if name in known else -1 for name in classes])
    return np.asarray(places[labels])


def top_k_hits(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return (n,) booleans: is the label among the k largest scores? With k classes or fewer it always is."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.asarray((best == labels[:, None]).any(axis=1))


def confusion(scores: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return counts (classes, classes): row the true class, column the one with the largest score."""
    guesses = scores.argmax(axis=1)
    return np.bincount(labels * classes + guesses, minlength=classes * classes).reshape(classes, classes)


def class_accuracies(counts: np.ndarray) -> np.ndarray:
    """Return the accuracy of each class of a confusion matrix; NaN for one without images."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diag(counts) / counts.sum(axis=1))
