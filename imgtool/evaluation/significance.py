"""Whether two models differ.

McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", Psychometrika 12,
1947, exact.
"""

from __future__ import annotations

import math

import numpy as np

from imgtool.errors import ParameterError


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p that two models err equally often.

    only_first, only_second: how many images just one of them labels right. The differences are a fair coin's under
    the null hypothesis: p = 2 P(X <= min) for X binomial, at most 1. To 1e-12 of its value for up to a million
    differences, in milliseconds.
    """
    n, least = only_first + only_second, min(only_first, only_second)
    if least < 0:
        raise ParameterError(f"counts cannot be negative: {only_first}, {only_second}")
    below = np.arange(least, 0, -1)
    # P(X <= k) = P(X = k) (1 + k / (n - k + 1) + ...), the ratios of one term to the one before it.
    sum_of_ratios = 1 + float(np.cumprod(below / (n - below + 1)).sum())
    # log P(X = k), k = least: the k factors (n - k + i) / i of the binomial coefficient, each with two halves of the
    # n that stand before it; added exactly, as the sum is small and its terms are many.
    factors = np.log((n - least + np.arange(1, least + 1)) / (4 * np.arange(1, least + 1)))
    logarithm = math.fsum(factors) - (n - 2 * least) * math.log(2)
    return min(1.0, 2 * math.exp(logarithm + math.log(sum_of_ratios)))
