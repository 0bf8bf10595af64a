"""Filters that leave out pixels which hold no data: these stay as they are, the others are filtered among themselves.

mask: (height, width), True for pixels that count; what lies beyond a `clip` border counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from imgtool.errors import ParameterError
from imgtool.filters.borders import pad
from imgtool.filters.entry import both
from imgtool.filters.weighted import convolve_weighted
from imgtool.filters.windows import NEIGHBORHOODS, bilateral, maximum, minimum
from imgtool.image.pixels import white_level

Apply = Callable[[np.ndarray], np.ndarray]
WINDOW_VALUES = 1 << 22  # values of windows that are ranked at a time
Pick = Callable[[np.ndarray], np.ndarray]  # from how many values each window has to the place of the one that is taken


def checked_mask(mask: ArrayLike, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return a mask, None where all pixels count. Raises ParameterError for what is no mask of such an image."""
    try:
        array = np.asarray(mask)
    except ValueError:  # rows of unequal length
        array = np.empty((), object)
    if array.dtype != np.bool_ or array.shape != shape[:2]:
        kind = f"shape {array.shape} and type {array.dtype}"
        raise ParameterError(f"mask must be bool, of {shape[0]} rows and {shape[1]} columns, got {kind}")
    return None if array.all() else array


def convolve_valid(image: np.ndarray, mask: np.ndarray, apply: Apply, taps: np.ndarray, *, clip: bool) -> np.ndarray:
    """Return the normalized convolution, float64; pixels without any that count around them stay too.

    apply, taps, clip: as of `convolve_weighted`. Raises ParameterError for taps that add up to 0 or less.
    """
    if not taps.sum() > 1e-9 * np.abs(taps).sum():
        raise ParameterError("mask goes with taps that add up to more than 0", parameters=("mask",))
    found = convolve_weighted(image, mask.astype(np.float64), lambda part, _: apply(part), taps, clip=clip)
    filtered = mask & (found.shares > 0)
    return np.where(filtered if image.ndim == 2 else filtered[:, :, None], found.colors, image)


def neighborhood_of_valid(image: np.ndarray, mask: np.ndarray, name: str, border: str, **own: Any) -> np.ndarray:
    """Return what a neighborhood filter makes of the pixels that count.

    image: of a type that `neighborhood` filters; own: all parameters of the filter.
    """
    outside = ~mask if image.ndim == 2 else ~mask[:, :, None]
    if name == "bilateral":
        white = white_level(image.dtype)
        unit = (image / white).astype(np.float64 if image.dtype == np.float64 else np.float32)
        done = bilateral(np.where(outside, unit.dtype.type(np.inf), unit), (border, 0.0), **own)
        done = (done * white).astype(done.dtype)
    elif name in ("minimum", "maximum"):
        limits = np.finfo(image.dtype) if image.dtype.kind == "f" else np.iinfo(image.dtype)
        neutral = image.dtype.type(limits.max if name == "minimum" else limits.min)
        done = (minimum if name == "minimum" else maximum)(np.where(outside, neutral, image), (border, 0.0), **own)
    else:
        return _ranked(image, mask, name, border, **own)
    return np.where(outside, image.astype(done.dtype), done)


def _ranked(image: np.ndarray, mask: np.ndarray, name: str, border: str, **own: Any) -> np.ndarray:
    """Return the filter's values where all of a window counts, else the value of the rank among those that count."""

    sides = both(own["size"])
    down, across = ((side // 2, (side - 1) // 2) for side in sides)
    left_out = np.where(mask, np.uint8(0), np.uint8(1))
    filled = np.where(mask if image.ndim == 2 else mask[:, :, None], image, image.dtype.type(0))
    result = NEIGHBORHOODS[name].make(filled, (border, 0.0), **own)
    rows, columns = np.nonzero((maximum(left_out, (border, 0.0), size=own["size"]) > 0) & mask)
    gaps = np.lib.stride_tricks.sliding_window_view(pad(left_out, down, across, border), sides)
    planes = filled.reshape(*filled.shape[:2], -1)
    for channel in range(planes.shape[2]):
        plane = np.ascontiguousarray(planes[:, :, channel])
        windows = np.lib.stride_tricks.sliding_window_view(pad(plane, down, across, border), sides)
        target = result.reshape(planes.shape)[:, :, channel]
        step = max(1, WINDOW_VALUES // (sides[0] * sides[1]))
        for begin in range(0, len(rows), step):
            here = rows[begin : begin + step], columns[begin : begin + step]
            target[here] = _pick(windows[here], gaps[here] > 0, _PLACES[name](own))
    return np.where(mask if image.ndim == 2 else mask[:, :, None], result, image)


def _pick(windows: np.ndarray, gaps: np.ndarray, place: Pick) -> np.ndarray:
    """Return one value of each window (n, rows, columns), NaN where one that counts is NaN."""
    count = len(windows)
    values = np.where(gaps, np.inf, windows).reshape(count, -1)
    lost = np.isnan(values).any(axis=1)
    values.sort(axis=1)
    counts = (~gaps).reshape(count, -1).sum(axis=1)
    taken = values[np.arange(count), place(counts)]
    return np.where(lost, np.nan, taken) if lost.any() else taken


_PLACES: dict[str, Callable[[dict[str, Any]], Pick]] = {
    "median": lambda own: lambda counts: counts // 2,
    "percentile": lambda own: lambda counts: np.minimum((counts * own["percentile"] / 100).astype(int), counts - 1),
    "rank": lambda own: (
        lambda counts: np.minimum(own["rank"], counts - 1) if own["rank"] >= 0 else np.maximum(counts + own["rank"], 0)
    ),
}
