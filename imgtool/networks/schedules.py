"""How the learning rate changes while a network is trained."""

from __future__ import annotations

import math

MIN_WARM_UP_FACTOR = 1e-3  # of the full learning rate, so that the first step is one


def one_cycle(progress: float, warm_up: float) -> float:
    """Return the share of the full learning rate after `progress`, a share of all steps.

    It rises linearly over the first `warm_up` share, then falls to zero as half a cosine (Smith and Topin, 2018;
    Loshchilov and Hutter, ICLR 2017).
    """
    if progress < warm_up:
        return max(progress / warm_up, MIN_WARM_UP_FACTOR)
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))
