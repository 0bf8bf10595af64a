"""Numbers to pixels and back: depth, range, rounding.

An integer result is rounded half to even and saturated, never truncated or wrapped round.
"""

from __future__ import annotations

import builtins
import math
from typing import NamedTuple

import numpy as np

from imgtool.arrays import cast_rounding
from imgtool.errors import ParameterError
from imgtool.names import unknown_name

BLOCK_VALUES = 1 << 17  # numbers at a time: they stay in the cache from step to step
RANGE_NAMES = ("auto", "clip", "abs", "center", "stretch", "raw")
DEPTH_TYPES: dict[str, np.dtype] = {"8": np.dtype(np.uint8), "16": np.dtype(np.uint16), "float": np.dtype(np.float32)}


def white_level(dtype: np.dtype) -> float:
    """Return what white is: the largest value of an integer type, such as 255 or 65535; 1.0 for floats and bool."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0


Extremes = tuple[np.floating, np.floating]


class Pixels(NamedTuple):
    """Pixels; how many values lay outside their range and were clipped; how many were NaN or infinite.

    flattened: whether they are of a transparent image that was seen on its background; nodata: how many hold no data
    and were left as they are.
    """

    pixels: np.ndarray
    clipped: int = 0
    not_finite: int = 0
    flattened: bool = False
    nodata: int = 0


@np.errstate(over="ignore", invalid="ignore")
def to_pixels(
    values: np.ndarray,
    range: str = "auto",
    *,
    depth: str = "keep",
    like: np.dtype,
    signed: bool = False,
    extremes: Extremes | None = None,
) -> Pixels:
    """Return pixels, how many of them were clipped, and how many were no finite numbers.

    values: numbers on the scale of an image of type `like`, or pixels of it; range: `clip`, `abs` (absolute values),
    `center` (0 at mid-gray), `stretch` (smallest finite value black, largest white), `raw` (the numbers, as floats) or
    `auto` (`abs` for signed results, `clip` for others); depth: `keep` (that of `like`), `8`, `16`, `float`. Float
    results are not clipped. In integer pixels NaN becomes 0, infinity black or white. extremes: what `stretch` goes by
    where values are a part of an image.
    """
    if range not in RANGE_NAMES:
        raise unknown_name("range", range, RANGE_NAMES)
    if range == "raw":
        if depth in ("8", "16"):
            text = f"range raw keeps the numbers; it does not go with depth {depth}, which other ranges do"
            raise ParameterError(text, parameters=("range", "depth"))
        return Pixels(values.astype(np.float64 if values.dtype == np.float64 else np.float32))
    target = DEPTH_TYPES.get(depth, np.dtype(like))
    if range == "auto":
        range = "abs" if signed else "clip"
    if values.dtype == target == like and target.kind == "u" and range == "clip":
        return Pixels(values)
    if range == "stretch":
        extremes = extremes or extremes_of(values)
    pixels = np.empty(values.shape, target)
    step = max(1, BLOCK_VALUES // max(1, math.prod(values.shape[1:])))
    clipped = not_finite = 0
    for begin in builtins.range(0, len(values), step):
        part = slice(begin, begin + step)
        piece = _round_and_saturate(_scale(values[part], range, white_level(np.dtype(like)), target, extremes), target)
        pixels[part] = piece.pixels
        clipped += piece.clipped
        not_finite += piece.not_finite
    return Pixels(pixels, clipped, not_finite)


def _scale(values: np.ndarray, range: str, top: float, target: np.dtype, extremes: Extremes | None) -> np.ndarray:
    """Bring values, white being top, to the scale of the target type."""
    target_top = white_level(target)
    if range == "stretch" and extremes:
        return _stretch(values, extremes) * target_top
    values = np.abs(values) if range == "abs" else values
    scaled = values * (target_top / top) if target_top != top else values
    if range == "center":
        scaled = scaled + ((target_top + 1) / 2 if target.kind in "iu" else 0.5)
    return scaled


def extremes_of(values: np.ndarray) -> Extremes:
    """Return the smallest and the largest finite value; infinity and -infinity when there is none."""
    low, high = values.min(), values.max()
    if np.isfinite(low) and np.isfinite(high):
        return low, high
    finite = values[np.isfinite(values)]
    kind = values.dtype.type
    return finite.min(initial=kind(np.inf)), finite.max(initial=kind(-np.inf))


def _stretch(values: np.ndarray, extremes: Extremes) -> np.ndarray:
    """Bring the finite values to 0..1; a constant image becomes black."""
    low, high = extremes
    if low > high:
        return values
    if max(abs(low), abs(high)) > np.finfo(values.dtype).max / 2:
        values, low, high = values * 0.5, low * 0.5, high * 0.5
    return (values - low) / (high - low) if high > low else np.where(np.isfinite(values), 0.0, values)


def _round_and_saturate(values: np.ndarray, target: np.dtype) -> Pixels:
    """Round and saturate; floats stay as they are, signed integers keep what is negative."""
    if target.kind == "f":
        return Pixels(values.astype(target))
    bottom, top = float(np.iinfo(target).min), white_level(target)
    rounded = np.rint(values)
    low, high = rounded.min(initial=bottom), rounded.max(initial=top)
    if low == bottom and high == top and target.itemsize < 8:  # as nearly all are; NaN is neither
        return Pixels(rounded.astype(target))
    outside, inside = (rounded < bottom) | (rounded > top), np.clip(rounded, bottom, top)
    if np.isfinite(low) and np.isfinite(high):
        return Pixels(cast_rounding(inside, target), int(np.count_nonzero(outside)))
    finite = np.isfinite(rounded)
    clipped = int(np.count_nonzero(outside & finite))
    filled = cast_rounding(np.nan_to_num(inside, nan=0.0), target)
    return Pixels(filled, clipped, finite.size - int(np.count_nonzero(finite)))


def phase_pixels(phase: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return angles in radians as pixels: -pi black, pi white, linearly."""
    target = np.dtype(dtype)
    return _round_and_saturate((phase + np.pi) / (2 * np.pi) * white_level(target), target).pixels
