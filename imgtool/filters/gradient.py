"""Gradient of an image: x to the right, y downwards, magnitude and phase.

Both derivatives are convolutions, positive where brightness rises in the direction of the axis. Angles therefore
grow clockwise on the screen, from 0 at the right.
"""

from __future__ import annotations

import numpy as np

from imgtool.errors import ParameterError
from imgtool.filters.convolve import convolve
from imgtool.filters.kernels import gaussian, kernel

OPERATORS = ("sobel", "scharr", "prewitt", "central", "forward", "backward")


def gradient(
    image: np.ndarray, *, operator: str = "sobel", border: str = "reflect", sigma: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return (gx, gy), each of the image's size and floating.

    image: (height, width[, channels]); each channel alone. operator: whose kernels are used, not divided by anything;
    sigma: of a Gaussian that smooths first, in pixels, 0 for none.
    """
    if operator not in OPERATORS:
        raise ParameterError(f"no operator {operator!r}; there are {', '.join(OPERATORS)}")
    if sigma:
        image = convolve(image, gaussian(sigma), border=border)
    gx, gy = (convolve(image, kernel(f"{operator}-{axis}"), border=border) for axis in "xy")
    return gx, gy


def reach(operator: str, sigma: float) -> int:
    """Return how many rows above or below a pixel its gradient may depend on."""
    smoothing = len(gaussian(sigma)) // 2 if sigma else 0
    return smoothing + max(len(kernel(f"{operator}-{axis}")) for axis in "xy") // 2


@np.errstate(over="ignore", invalid="ignore")
def magnitude(gx: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """Return sqrt(gx^2 + gy^2)."""
    return np.asarray(np.hypot(gx, gy))


def phase(gx: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """Return atan2(gy, gx) in radians, above -pi and up to pi; 0 where both are 0."""
    return np.asarray(np.arctan2(gy + 0.0, gx + 0.0))  # + 0.0 turns -0 into 0, so that flat pixels have the angle 0


def strongest_channel(gx: np.ndarray, gy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (gx, gy) of the channel with the largest magnitude at each pixel, the first on ties."""
    if gx.ndim == 2:
        return gx, gy
    best = magnitude(gx, gy).argmax(axis=2)[:, :, None]
    return np.take_along_axis(gx, best, 2)[:, :, 0], np.take_along_axis(gy, best, 2)[:, :, 0]
