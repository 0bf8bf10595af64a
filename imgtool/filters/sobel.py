"""Sobel's derivatives and their Laplacian in 3, 5 or 7 taps, from binomial weights, as OpenCV has them."""

from __future__ import annotations

import numpy as np

from imgtool.errors import ParameterError

SIZES = (3, 5, 7)  # taps


def sobel_x(size: int = 3) -> np.ndarray:
    """Return Sobel's derivative to the right in 3, 5 or 7 taps: binomial weights across, their difference along."""
    smooth, slope, _ = _binomials(size)
    return np.outer(smooth, slope)


def sobel_y(size: int = 3) -> np.ndarray:
    """Return Sobel's derivative downwards."""
    return np.ascontiguousarray(sobel_x(size).T)


def laplacian(size: int = 3) -> np.ndarray:
    """Return the sum of Sobel's second derivatives along x and y, in 3, 5 or 7 taps."""
    smooth, _, bend = _binomials(size)
    return np.outer(smooth, bend) + np.outer(bend, smooth)


def _binomials(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return binomial weights, their first difference (for convolution) and their second, each of so many taps."""
    if size not in SIZES:
        raise ParameterError(f"size must be {', '.join(map(str, SIZES))} taps, got {size!r}", parameters=("size",))
    powers = [np.ones(1)]
    for _ in range(int(size) - 1):
        powers.append(np.convolve(powers[-1], (1, 1)))
    return powers[-1], np.convolve(powers[-2], (1, -1)), np.convolve(powers[-3], (1, -2, 1))
