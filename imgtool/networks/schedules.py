"""How the learning rate changes while a network is trained."""

from __future__ import annotations

import math

from imgtool.networks.recipe import Recipe

MIN_WARM_UP_FACTOR = 1e-3  # of the full learning rate, so that the first step is one


def rate_after(epochs: float, recipe: Recipe) -> float:
    """Return the learning rate after so many epochs, not always whole ones."""
    if recipe.schedule == "step":
        return recipe.learning_rate * recipe.drop_factor ** (int(epochs) // recipe.drop_epochs)
    warm_up = recipe.warm_up if recipe.schedule == "one-cycle" else 0.0  # without one, half a cosine is left
    return recipe.learning_rate * one_cycle(epochs / recipe.epochs, warm_up)


def one_cycle(progress: float, warm_up: float) -> float:
    """Return the share of the full learning rate after `progress`, a share of all steps.

    It rises linearly over the first `warm_up` share, then falls to zero as half a cosine (Smith and Topin, 2018;
    Loshchilov and Hutter, ICLR 2017).
    """
    if progress < warm_up:
        return max(progress / warm_up, MIN_WARM_UP_FACTOR)
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))
