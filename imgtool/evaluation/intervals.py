"""Confidence interval of a measured share.

Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
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
