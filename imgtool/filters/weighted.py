"""Filters of pixels that do not all count alike: transparent ones, and such as hold no data.

A convolution is normalized (Knutsson and Westin, CVPR 1993): sum of (taps x weights x pixels) / sum of (taps x
weights), times the sum of the taps, so that pixels of one value keep it. With alpha as the weight that is the
convolution of premultiplied color, divided by that of alpha. Neighborhood filters take premultiplied
color and alpha, each by itself; a color is then at most its alpha, and divided by it. Color where nothing is opaque is
0. Beyond a `clip` border lies opaque black, or another opaque value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from imgtool.image.pixels import white_level

NOISE_EPS = 8  # times eps, sum of |taps| and the largest value: what rounding alone may make of nothing
Convolve = Callable[[np.ndarray, float], np.ndarray]  # of an image, and the value of the pixels outside it


class Weighted(NamedTuple):
    """Colors, float64, and how much of each pixel there is, 0 to 1: (height, width)."""

    colors: np.ndarray
    shares: np.ndarray


def noise_level(taps_size: float, largest: float, dtype: np.dtype) -> float:
    """Return below which magnitude a result is rounding noise; taps_size: the sum of absolute taps."""
    return NOISE_EPS * float(np.finfo(dtype).eps) * taps_size * largest


def silence(numbers: np.ndarray, taps_size: float, peak: float) -> np.ndarray:
    """Return numbers, those that are rounding noise as 0; peak: the largest pixel of the image that they are of."""
    level = noise_level(taps_size, peak, numbers.dtype)
    return np.where(np.abs(numbers) < level, numbers.dtype.type(0), numbers) if level else numbers


def premultiply(color: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return color times weights (height, width), float64, exactly for integers; what weighs 0 is 0, NaN too."""
    weights = weights.astype(np.float64)
    weights = weights[:, :, None] if color.ndim == 3 else weights
    return np.asarray((color if color.dtype.kind in "iu" else np.where(weights > 0, color, 0)) * weights)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def convolve_weighted(
    color: np.ndarray, weights: np.ndarray, apply: Convolve, taps: np.ndarray, *, clip: bool, value: float = 0.0
) -> Weighted:
    """Return the normalized convolution, and the convolution of the weights; white of their type counts fully.

    apply: the convolution itself, of float64, and what lies outside; taps: its taps, which add up to more than 0; clip:
    outside lie pixels that count fully, of this value.
    """
    top, total = white_level(weights.dtype), float(taps.sum())
    weights = weights.astype(np.float64).clip(0, top)
    least = noise_level(float(np.abs(taps).sum()), top, np.dtype(np.float64))
    sums = apply(weights, 0.0)
    if clip:
        outside = (total - apply(np.ones(weights.shape), 0.0)) * top
        sums += np.where(np.abs(outside) < least, 0, outside)
    sums[sums < least] = 0
    numbers = apply(premultiply(color, weights), value * top)
    divisor = np.where(sums > 0, sums / total, np.inf)
    numbers /= divisor if color.ndim == 2 else divisor[:, :, None]
    numbers[sums == 0] = 0
    return Weighted(numbers, (sums / (total * top)).clip(0, 1))


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def neighborhood_of_visible(
    color: np.ndarray,
    alpha: np.ndarray,
    apply: Callable[[np.ndarray, np.ndarray | None, float], np.ndarray],
    radii: tuple[int, int],
    *,
    mask: np.ndarray | None = None,
    clip: bool,
    ranks: bool,
    value: float = 0.0,
) -> Weighted:
    """Return what a neighborhood filter makes of premultiplied color and of alpha, and the one divided by the other.

    apply: the filter of an image, the mask of its pixels that count, and what lies outside; radii: rows and columns
    that it looks away; clip: outside lies an opaque pixel of this value; ranks: it picks one of the values, so that no
    color exceeds its alpha; others are kept from it.
    """
    top, white = white_level(alpha.dtype), white_level(color.dtype)
    if alpha.dtype not in (np.uint8, np.uint16):
        alpha = alpha.astype(np.float64).clip(0, top)
    products = premultiply(color, alpha)
    if not ranks:
        floating = np.float64 if color.dtype == np.float64 else np.float32
        products, alpha = (products / (top * white)).astype(floating), alpha / top
    elif color.dtype == np.uint8:
        products = products.astype(np.uint16)  # whose median is faster
    seen = apply(products, mask, value * top if ranks else value / white).astype(np.float64)
    down, across = radii if clip else (0, 0)
    around = (down, down), (across, across)
    padded = np.pad(alpha, around, constant_values=top if ranks else 1)
    counts = None if mask is None else np.pad(mask, around, constant_values=True)
    sums = apply(padded, counts, 0.0)[down : down + len(alpha), across : across + alpha.shape[1]]
    cover = (sums if color.ndim == 2 else sums[:, :, None]).astype(np.float64)
    seen = seen if ranks else np.minimum(seen, cover) * white
    return Weighted(np.where(cover > 0, seen / np.where(cover > 0, cover, 1), 0), sums / (top if ranks else 1))
