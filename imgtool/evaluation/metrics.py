"""Metrics of probabilities (n, classes) and labels (n,): pure functions of predictions.

Errors are 1 minus accuracy. The first of several equal scores counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEAST_PROBABILITY = 2.0**-23  # float32's precision


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


def label_ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return (n,) how many classes stand before each image's label: 0 where it is right; all for a label of -1.

    Of equal scores the first one stands before the others.
    """
    own, places = scores[np.arange(len(labels)), labels][:, None], np.arange(scores.shape[1])
    before = np.count_nonzero(scores > own, axis=1)
    before += np.count_nonzero((scores == own) & (places < labels[:, None]), axis=1)
    return np.asarray(np.where(labels < 0, scores.shape[1], before))


def top_k_hits(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return (n,) booleans: is the label among the k largest scores? With k classes or fewer it always is."""
    return np.asarray(label_ranks(scores, labels) < k)


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Return (n, k) the classes of the k largest scores, the largest first; all of them where there are fewer."""
    left, rows = scores.copy(), np.arange(len(scores))
    best = np.empty((len(scores), min(k, scores.shape[1])), np.intp)
    for place in range(best.shape[1]):
        best[:, place] = left.argmax(axis=1)
        left[rows, best[:, place]] = -np.inf
    return best


def log_loss(probabilities: np.ndarray) -> float:
    """Return the mean of -log p, p being each image's probability of its label, (n,).

    Below float32's precision p counts as that, as in scikit-learn: one image costs 15.9 at most, not infinity.
    """
    return float(np.log(1 / np.clip(probabilities.astype(np.float64), LEAST_PROBABILITY, 1)).mean())


def confusion(said: np.ndarray, labels: np.ndarray, classes: int, names: int) -> np.ndarray:
    """Return counts (classes, names): how often an image of each class was given each name."""
    return np.bincount(labels * names + said, minlength=classes * names).reshape(classes, names)


def class_accuracies(hits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the share of each class's images that are labeled right; NaN for a class without images."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(labels, hits) / np.bincount(labels))
