"""Whether two models differ, and how many images it takes to tell.

McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", Psychometrika 12,
1947, exact.
Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
Connor, "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43, 1987.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from imgtool.errors import ParameterError

LEVEL = 0.05  # below which p tells two models apart
POWER = 0.8  # with which a difference is to be found


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p that two models err equally often.

    only_first, only_second: how many images just one of them labels right. The differences are a fair coin's under
    the null hypothesis: p = 2 P(X <= min) for X binomial, at most 1. To 1e-12 of its value for up to a million
    differences, in milliseconds.
    """
    n, least = only_first + only_second, min(only_first, only_second)
    if least < 0:
        raise ParameterError(f"counts cannot be negative: {only_first}, {only_second}")
    if n - 2 * least <= 1:
        return 1.0  # which a sum of half of all terms would miss by its rounding
    below = np.arange(least, 0, -1)
    # P(X <= k) = P(X = k) (1 + k / (n - k + 1) + ...), the ratios of one term to the one before it.
    sum_of_ratios = 1 + float(np.cumprod(below / (n - below + 1)).sum())
    # log P(X = k), k = least: the k factors (n - k + i) / i of the binomial coefficient, each with two halves of the
    # n that stand before it; added exactly, as the sum is small and its terms are many.
    factors = np.log((n - least + np.arange(1, least + 1)) / (4 * np.arange(1, least + 1)))
    logarithm = math.fsum(factors) - (n - 2 * least) * math.log(2)
    return min(1.0, 2 * math.exp(logarithm + math.log(sum_of_ratios)))


def holm(p: Sequence[float]) -> list[float]:
    """Return each p, corrected for there being several: below 5 % for any true hypothesis with 5 % probability at most.

    The smallest is multiplied by their number, the next by one less, and so on; none falls below the one before it.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1)
    return [float(each) for each in corrected]


def images_needed(only_first: int, only_second: int, n: int, tests: int = 1) -> int | None:
    """Return how many images would tell two models apart that differ as on these n; None where they err equally often.

    For McNemar's test at 5 %, divided by the number of tests, with 80 % power. With u the share of images that only one
    model labels right, and d the difference of errors, by the normal approximation (Connor, 1987):

        N = (z(1 - 0.05 / 2 / tests) sqrt(u) + z(0.8) sqrt(u - d^2))^2 / d^2

    but so many, at least, that the exact test could say so: of k differing images, all in favor of one, p is 2 / 2^k.
    """
    u, d = (only_first + only_second) / n, (only_first - only_second) / n
    if d == 0:
        return None
    z_level, z_power = NormalDist().inv_cdf(1 - LEVEL / 2 / tests), NormalDist().inv_cdf(POWER)
    number = ((z_level * math.sqrt(u) + z_power * math.sqrt(u - d * d)) / d) ** 2
    return math.ceil(max(number, math.log2(2 * tests / LEVEL) / u))
