"""Search for the nearest of many vectors, by brute force in blocks that stay in the processor's cache.

Likeness is larger for what is more alike: the cosine of the angle, minus the Euclidean distance, or the histogram
intersection sum min(a, b) (Swain and Ballard, "Color indexing", IJCV 7(1), 1991).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import float_array, whole_number
from imgtool.errors import DataError, ParameterError
from imgtool.names import unknown_name

METRICS = ("cosine", "euclidean", "intersection")
_ROUNDING = 1e-6  # of a cosine: equal vectors are found with a threshold of 1
_TOO_LARGE = "there are numbers too large to be compared: their squares are beyond float32"
_BLOCK_VALUES = 1 << 21  # numbers of a block


def nearest(
    features: np.ndarray, query: ArrayLike, *, top: int = 10, metric: str = "cosine"
) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, scores) of the `top` vectors most like the query, best first, ties in their order.

    features: (N, D) float32; query: (D). Scores: cosine (0 for a vector of zeros), Euclidean distance (smaller is
    nearer), or intersection. Raises DataError where numbers are too large.
    """
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    top = whole_number(top, "top")
    vector = float_array(query, "the query", dimensions=1)
    if vector.shape != features.shape[1:]:
        raise DataError(f"the query has {vector.size} numbers, the file's vectors have {features.shape[1]}")
    likeness = _likeness(np.asarray(vector, np.float32), metric)
    with np.errstate(over="ignore", invalid="ignore"):
        scores = np.concatenate([likeness(block) for _, block in _blocks(features)] or [np.zeros(0, np.float32)])
    if not np.isfinite(scores).all():
        raise DataError(_TOO_LARGE)
    best = _best(scores, top)
    return best, np.abs(scores[best]) if metric == "euclidean" else scores[best]


def near_duplicates(
    features: np.ndarray, *, threshold: float = 0.99, others: np.ndarray | None = None
) -> Iterator[tuple[int, int, float]]:
    """Yield pairs (i, j, cosine), i < j, of vectors whose cosine is at least the threshold, in the order of i and j.

    others: (M, D), vectors of which j is one instead. Raises DataError where numbers are too large.
    """
    if not -1 <= threshold <= 1:
        raise ParameterError(f"threshold must be from -1 to 1, got {threshold}")
    directions = _directions(features)
    seconds = directions if others is None else _directions(others)
    height = max(1, _BLOCK_VALUES // max(len(seconds), 1))
    for start in range(0, len(features), height):
        first = start if others is None else 0
        cosines = directions[start : start + height] @ seconds[first:].T
        for i, j in np.argwhere(cosines >= threshold - _ROUNDING):
            if others is not None or j > i:
                yield start + int(i), first + int(j), min(max(float(cosines[i, j]), -1.0), 1.0)


def _blocks(features: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, some rows) until all have come."""
    height = max(1, _BLOCK_VALUES // max(features.shape[1], 1))
    for start in range(0, len(features), height):
        yield start, features[start : start + height]


def _likeness(query: np.ndarray, metric: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that tells how alike rows are to the query."""
    if metric == "intersection":
        return lambda rows: np.minimum(rows, query).sum(axis=1)
    if metric == "euclidean":
        return lambda rows: -np.sqrt(np.square(rows - query).sum(axis=1))
    direction = _directions(query[None])[0]
    return lambda rows: np.clip((rows @ direction) / _lengths(rows), -1, 1)  # rounding makes it 1.0000001


def _lengths(rows: np.ndarray) -> np.ndarray:
    """Return each row's Euclidean length, 1 for zeros."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    if not np.isfinite(lengths).all():
        raise DataError(_TOO_LARGE)
    return np.where(lengths > 0, lengths, np.float32(1))


def _directions(features: np.ndarray) -> np.ndarray:
    """Return rows of length 1; zeros stay zeros."""
    return np.asarray(features / _lengths(features)[:, None])


def _best(scores: np.ndarray, top: int) -> np.ndarray:
    """Return the rows of the largest scores, best first, equal ones in their order."""
    if top < len(scores):
        limit = np.partition(scores, len(scores) - top)[len(scores) - top]
        candidates = np.flatnonzero(scores >= limit)
    else:
        candidates = np.arange(len(scores))
    return candidates[np.argsort(-scores[candidates], kind="stable")][:top]
