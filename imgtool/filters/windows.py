"""Filters of a neighborhood that are no convolution: median and other ranks, minimum, maximum, bilateral.

A window of size n reaches n // 2 pixels before a pixel and (n - 1) // 2 after it, on each axis, as SciPy's. Borders are
those of convolution. OpenCV and SciPy are imported by the filter that needs them: names alone are wanted more often.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from imgtool.arrays import whole_number
from imgtool.errors import ImageError, ParameterError
from imgtool.filters.borders import pad
from imgtool.filters.entry import Entry, both
from imgtool.filters.kernels import gaussian_radius, require_positive, require_size
from imgtool.image.pixels import white_level

STRIP_ROWS = 64  # rows at a time where temporary arrays are many
# How many pixels a side the median of OpenCV takes (the counts of its histograms have 16 bits), and that of SciPy (its
# memory grows with the fourth power).
OPENCV_MEDIAN_MAX_SIZE = {"uint8": 255, "uint16": 5, "float32": 5}
SCIPY_RANK_MAX_SIZE = 63

Size = int | tuple[int, int]  # of a window: its side, or rows and columns
Outside = tuple[str, float]  # a border, and the value of the pixels outside `clip`
Windows = Callable[[np.ndarray, tuple[int, int]], np.ndarray]


def median(image: np.ndarray, outside: Outside, size: Size = 3) -> np.ndarray:
    """Return the middle value of each window; of an even number of values, the upper of the two middle ones."""
    return _filter_windows(image, outside, size, _medians)


def minimum(image: np.ndarray, outside: Outside, size: Size = 3) -> np.ndarray:
    """Return the smallest value of each window."""
    return _filter_windows(image, outside, size, _minima)


def maximum(image: np.ndarray, outside: Outside, size: Size = 3) -> np.ndarray:
    """Return the largest value of each window."""
    return _filter_windows(image, outside, size, _maxima)


def percentile(image: np.ndarray, outside: Outside, percentile: float = 50.0, size: Size = 3) -> np.ndarray:
    """Return the value of each window below which so many percent of its values lie: that of rank int(n p / 100)."""
    if not 0 <= percentile <= 100:
        raise ParameterError(f"percentile must be from 0 to 100, got {percentile}", parameters=("percentile",))
    rows, columns = _sides(size)
    count = rows * columns
    rank = min(int(count * percentile / 100), count - 1)
    return _filter_windows(image, outside, size, functools.partial(_ranks, rank=rank))


def rank(image: np.ndarray, outside: Outside, rank: int = 0, size: Size = 3) -> np.ndarray:
    """Return the value of each window of this rank: from 0, the smallest, or from -1, the largest, downwards."""
    rows, columns = _sides(size)
    count = rows * columns
    place = whole_number(rank, "rank", low=-count, high=count - 1)
    return _filter_windows(image, outside, size, functools.partial(_ranks, rank=place % count))


def _sides(size: Size) -> tuple[int, int]:
    """Return a window's rows and columns."""
    rows, columns = map(require_size, both(size))
    return rows, columns


def _filter_windows(image: np.ndarray, outside: Outside, size: Size, operation: Windows) -> np.ndarray:
    """Apply an operation on (height, width, channels) to every full window of the padded image, beside NaN."""
    sides = _sides(size)
    down, across = ((side // 2, (side - 1) // 2) for side in sides)
    padded = pad(image, down, across, *outside)
    planes = padded.reshape(*padded.shape[:2], -1)
    nan_mask = np.isnan(planes) if image.dtype.kind == "f" else np.zeros(1, bool)
    if not nan_mask.any():
        return np.ascontiguousarray(operation(planes, sides).reshape(image.shape))
    result = operation(np.where(nan_mask, 0, planes).astype(image.dtype), sides)
    result[_maxima(nan_mask.astype(np.uint8), sides) > 0] = np.nan
    return result.reshape(image.shape)


def _minima(planes: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    import cv2

    done = cv2.erode(planes, np.ones(sides, np.uint8), anchor=(0, 0))
    return _full_windows(np.asarray(done).reshape(planes.shape), planes, sides)


def _maxima(planes: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    import cv2

    done = cv2.dilate(planes, np.ones(sides, np.uint8), anchor=(0, 0))
    return _full_windows(np.asarray(done).reshape(planes.shape), planes, sides)


def _medians(planes: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """Return the median of every full window. OpenCV has it for odd squares and few types, SciPy for all."""
    size = sides[0]
    if sides != (size, size) or not size % 2 or size > OPENCV_MEDIAN_MAX_SIZE.get(planes.dtype.name, 0):
        return _ranks(planes, sides, rank=math.prod(sides) // 2)
    import cv2

    if planes.shape[2] in (1, 3, 4):
        done = np.asarray(cv2.medianBlur(planes, size)).reshape(planes.shape)
    else:
        done = _each_channel(planes, lambda plane: np.asarray(cv2.medianBlur(plane, size)))
    return _full_windows(done[size // 2 :, size // 2 :], planes, sides)


def _ranks(planes: np.ndarray, sides: tuple[int, int], *, rank: int) -> np.ndarray:
    """Return the value of a rank, counted from 0, of every full window."""
    if rank in (0, math.prod(sides) - 1):
        return (_maxima if rank else _minima)(planes, sides)
    if math.prod(sides) > SCIPY_RANK_MAX_SIZE**2:
        most = f"{SCIPY_RANK_MAX_SIZE}x{SCIPY_RANK_MAX_SIZE} pixels"
        text = f"is {planes.dtype}, whose values take size up to {most} to be ranked, not {sides[1]}x{sides[0]}"
        text += f" (the median of 8-bit images: odd sizes up to {OPENCV_MEDIAN_MAX_SIZE['uint8']})"
        raise ImageError(text, parameters=("size",))
    from scipy import ndimage

    done = _each_channel(planes, lambda plane: ndimage.rank_filter(plane, rank, size=sides, mode="nearest"))
    return _full_windows(done[sides[0] // 2 :, sides[1] // 2 :], planes, sides)


def _each_channel(planes: np.ndarray, operation: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply an operation to each channel."""
    channels = (np.ascontiguousarray(planes[:, :, channel]) for channel in range(planes.shape[2]))
    return np.stack([operation(channel) for channel in channels], axis=2)


def _full_windows(result: np.ndarray, planes: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """Return as much of the result as there are windows within the planes."""
    return result[: planes.shape[0] - sides[0] + 1, : planes.shape[1] - sides[1] + 1]


@np.errstate(over="ignore", invalid="ignore")
def bilateral(
    image: np.ndarray, outside: Outside, sigma: float = 2.0, sigma_color: float = 0.1, truncate: float = 4.0
) -> np.ndarray:
    """Return the mean of a disc around each pixel, float32 (float64 for a float64 image).

    Pixels count the less the farther they are (a Gaussian of sigma pixels, out to truncate sigmas) and the more their
    color differs: a Gaussian of sigma_color, as a share of white, of the sum of absolute differences over the channels,
    as OpenCV has it. An infinite pixel stays and counts nowhere else; NaN spreads to all discs that it lies in.
    """
    require_positive(sigma_color=sigma_color)
    radius = gaussian_radius(sigma, truncate)
    spread = sigma_color * white_level(image.dtype)
    padded = pad(image, (radius, radius), (radius, radius), *outside)
    work = padded if image.dtype == np.float64 else padded.astype(np.float32)
    planes = work.reshape(*work.shape[:2], -1)
    if radius and planes.dtype == np.float32 and planes.shape[2] in (1, 3) and np.isfinite(planes).all():
        import cv2

        done = cv2.bilateralFilter(planes, 2 * radius + 1, spread, sigma)
        inner = np.asarray(done).reshape(planes.shape)[radius:-radius, radius:-radius]
        return np.ascontiguousarray(inner.reshape(image.shape))
    tops = range(0, image.shape[0], STRIP_ROWS)
    strips = [_weighted_mean(planes[top : top + STRIP_ROWS + 2 * radius], radius, sigma, spread) for top in tops]
    return np.concatenate(strips).reshape(image.shape)


def _weighted_mean(padded: np.ndarray, radius: int, sigma: float, spread: float) -> np.ndarray:
    """Return the bilateral filter of the middle of a padded image, pixel after pixel of the disc."""
    height, width = (side - 2 * radius for side in padded.shape[:2])
    finite = np.isfinite(padded).all(axis=2)
    values = np.where(finite[:, :, None], padded, 0)
    middle = slice(radius, radius + height), slice(radius, radius + width)
    total, weights = np.zeros_like(values[middle]), np.zeros((height, width), padded.dtype)
    lost = np.zeros((height, width), bool)
    for y, x in _disc(radius):
        here = slice(radius + y, radius + y + height), slice(radius + x, radius + x + width)
        difference = np.abs(values[here] - values[middle]).sum(axis=2) / spread
        weight = np.exp(-0.5 * (difference**2 + (x * x + y * y) / sigma**2)) * finite[here]
        total += weight[:, :, None] * values[here]
        weights += weight
        lost |= np.isnan(padded[here]).any(axis=2)
    result = np.where(finite[middle][:, :, None], total / np.where(weights, weights, 1)[:, :, None], padded[middle])
    result[lost] = np.nan
    return result


def _disc(radius: int) -> list[tuple[int, int]]:
    """Return the offsets (y, x) within a radius."""
    reach = range(-radius, radius + 1)
    return [(y, x) for y in reach for x in reach if x * x + y * y <= radius * radius]


_SIZE = ("size",)
_MORPHOLOGY = "Serra, Mathematical Morphology, 1982"
_RANKS = "Heygster, Rank filters in digital image processing, 1982"

NEIGHBORHOODS = {
    "median": Entry(median, "middle value of a window", "Tukey, Exploratory Data Analysis, 1977", pairs=_SIZE),
    "minimum": Entry(minimum, "smallest value of a window: gray erosion", _MORPHOLOGY, pairs=_SIZE),
    "maximum": Entry(maximum, "largest value of a window: gray dilation", _MORPHOLOGY, pairs=_SIZE),
    "percentile": Entry(percentile, "value of a window, percentile % of the way up", _RANKS, pairs=_SIZE),
    "rank": Entry(rank, "value of a window of this rank: 0 smallest, -1 largest", _RANKS, pairs=_SIZE),
    "bilateral": Entry(
        bilateral,
        "mean of near pixels of like color, which weigh",
        "Tomasi and Manduchi, Bilateral filtering, 1998",
        "exp(-distance^2 / (2 sigma^2)) times\nexp(-difference^2 / (2 sigma-color^2)), white being 1",
    ),
}
