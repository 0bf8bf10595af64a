"""NaN and infinity in a floating image: which results they reach, by whatever method those are computed."""

from __future__ import annotations

import cv2
import numpy as np


def any_reached(result: np.ndarray, taps: np.ndarray) -> bool:
    """Return whether the result may hold NaN or infinity, looking only at rows that the image's could not miss.

    A column of taps with a run of n that are not 0 spreads every pixel over n rows one below the other: one in n of
    the rows, and the last, need to be looked at. It may say yes in vain, never no.
    """
    runs = [_longest_run(column != 0) for column in taps.T if column.any()]
    every = min(runs, default=1)
    seen = (*cv2.sumElems(result[::every]), *cv2.sumElems(result[-1:]))
    return not np.isfinite(seen).all()


def _longest_run(present: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], present, [False]])))
    return int((edges[1::2] - edges[::2]).max())


def around_holes(padded: np.ndarray, taps: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Return the result of the finite values, what NaN and infinity reach set to what a sum, tap by tap, would give."""

    def reached(pixels: np.ndarray, by: np.ndarray) -> np.ndarray:
        if not (pixels.any() and by.any()):
            return np.zeros(result.shape, bool)
        counts = cv2.filter2D(pixels.astype(np.float64), -1, by.astype(np.float64), anchor=(0, 0), borderType=0)
        return np.asarray(counts)[: result.shape[0], : result.shape[1]] > 0.5

    above, below = padded == np.inf, padded == -np.inf
    plus = reached(above, taps > 0) | reached(below, taps < 0)
    minus = reached(above, taps < 0) | reached(below, taps > 0)
    result[plus], result[minus] = np.inf, -np.inf
    result[reached(np.isnan(padded), taps != 0) | (plus & minus)] = np.nan
    return result
