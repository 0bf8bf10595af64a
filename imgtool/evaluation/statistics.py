"""How sure a measured accuracy is, and whether two models differ.

Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927; McNemar, "Note on the
sampling error of the difference between correlated proportions or percentages", Psychometrika 12, 1947, exact.
"""

from __future__ import annotations

import math

from imgtool.errors import ParameterError

Z_95 = 1.959963984540054  # of the standard normal distribution at 97.5 %


def wilson(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Return the Wilson score interval for a share of successes among n; at 95 % unless z says otherwise."""
    if not 0 <= successes <= n or n < 1:
        raise ParameterError(f"{successes} successes of {n} make no share")
    share = successes / n
    middle = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    low = 0.0 if successes == 0 else (middle - half) / scale
    high = 1.0 if successes == n else (middle + half) / scale
    return low, high


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p that two models err equally often.

    only_first, only_second: how many images just one of them labels right. The differences are a fair coin's under
    the null hypothesis: p = 2 P(X <= min) for X binomial, at most 1.
    """
    n, least = only_first + only_second, min(only_first, only_second)
    if least < 0:
        raise ParameterError(f"counts cannot be negative: {only_first}, {only_second}")
    tail = sum(math.comb(n, k) for k in range(least + 1))
    return min(1.0, float(2 * tail / 2**n))
