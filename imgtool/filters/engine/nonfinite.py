"""NaN and infinity in a floating image: which results they reach, by whatever method those are computed."""

from __future__ import annotations

import math

import cv2
import numpy as np


def any_nonfinite(values: np.ndarray) -> bool:
    """Return whether NaN or infinity may be among the values: it may say yes in vain, never no."""
    return not math.isfinite(cv2.norm(values, cv2.NORM_L1))  # faster than asking every value, or than a sum


def restore_nonfinite(padded: np.ndarray, taps: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Return the result of the finite values, what NaN and infinity reach set to what a sum, tap by tap, would give."""

    def reach(pixels: np.ndarray, by: np.ndarray) -> np.ndarray:
        if not (pixels.any() and by.any()):
            return np.zeros(result.shape, bool)
        counts = cv2.filter2D(pixels.astype(np.float64), -1, by.astype(np.float64), anchor=(0, 0), borderType=0)
        return np.asarray(counts)[: result.shape[0], : result.shape[1]] > 0.5

    above, below = padded == np.inf, padded == -np.inf
    plus = reach(above, taps > 0) | reach(below, taps < 0)
    minus = reach(above, taps < 0) | reach(below, taps > 0)
    result[plus], result[minus] = np.inf, -np.inf
    result[reach(np.isnan(padded), taps != 0) | (plus & minus)] = np.nan
    return result
