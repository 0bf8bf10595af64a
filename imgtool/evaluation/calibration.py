"""Whether probabilities are as large as they should be: of the labels with a score of 0.8, 80 % should be right.

Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017: 15 intervals of equal width, as
most published figures have. The measure is Naeini, Cooper and Hauskrecht's, "Obtaining well calibrated probabilities
using Bayesian binning", AAAI 2015.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True)
class Bin:
    """The images whose best label has a score above low, and at most high.

    n: how many; score: their mean score; accuracy: the share of them that are labeled right; both NaN where n is 0.
    """

    low: float
    high: float
    n: int
    score: float
    accuracy: float


def reliability(scores: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Return the images in intervals of equal width of their best label's score, as a reliability diagram shows them.

    scores: (n,) of the best label; right: (n,) booleans.
    """
    places = np.clip(np.ceil(np.float64(bins) * scores) - 1, 0, bins - 1).astype(int)
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = np.bincount(places, scores, bins) / counts
        accuracies = np.bincount(places, right, bins) / counts
    return [
        Bin(place / bins, (place + 1) / bins, int(counts[place]), float(means[place]), float(accuracies[place]))
        for place in range(bins)
    ]


def calibration_error(scores: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error: how far score and accuracy lie apart, in the mean over images."""
    filled = [each for each in reliability(scores, right, bins) if each.n]
    return sum(each.n * abs(each.accuracy - each.score) for each in filled) / len(scores)
