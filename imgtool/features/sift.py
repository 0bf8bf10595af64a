"""Dense SIFT: descriptors on a regular grid.

Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 60(2), 2004, on a grid as VLFeat's `vl_dsift`
computes it. A descriptor has 4 x 4 spatial bins of 8 orientations: `d[t + 8 * (i + 4 * j)]`, orientation t fastest,
then the bin's column i, then its row j. Angles grow clockwise from the right; orientation t is centered at 45 t
degrees. Frames are the centers (x, y) in pixels from the top left one, y slow, x fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import real_number, whole_number, whole_numbers
from imgtool.errors import ImageError, ParameterError
from imgtool.features.validation import require_finite
from imgtool.image.color import to_gray
from imgtool.names import unknown_name
from imgtool.parameters import checks_options

WINDOWS = ("gaussian", "flat")
_ORIENTATIONS, _BINS = 8, 4
EPSILON = np.float32(2.0**-23)
_STRIP_FRAME_ROWS = 8  # rows of frames that are worked on at once


@dataclass(frozen=True)
class Descriptors:
    """Local descriptors of an image.

    frames (N, 3): x, y, bin size, or (N, 4): x, y, diameter, angle; values (N, 128) of unit length, zeros where flat;
    norms (N): contrast.
    """

    frames: np.ndarray
    values: np.ndarray
    norms: np.ndarray


@checks_options
def dense_sift(
    image: ArrayLike,
    *,
    step: int = 4,
    bin_size: int = 4,
    window: str = "gaussian",
    window_size: float = 2.0,
    bounds: tuple[int, int, int, int] | None = None,
    vlfeat_angles: bool = False,
) -> Descriptors:
    """Compute SIFT descriptors on a regular grid, at one scale and without smoothing.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Bool, integers or floats on any scale. Transparent images are seen on white; colors are converted to gray
        (Rec. 601).
    step : int
        Pixels between centers.
    bin_size : int
        Side of a spatial bin in pixels; a descriptor has 4 x 4 bins.
    window : {"gaussian", "flat"}
        Weight each pixel, or each bin as a whole, which is faster.
    window_size : float
        Standard deviation of the window, in bins.
    bounds : (int, int, int, int), optional
        x0, y0, x1, y1 (inclusive) of the region to describe.
    vlfeat_angles : bool
        Use VLFeat's approximate arctangent (error up to 0.006 rad) instead of the exact one.

    Returns
    -------
    Descriptors
        `frames` (N, 3): x, y of the centers and bin size in pixels; `values` (N, 128) float32 of unit length, zeros
        where flat; `norms` (N,): contrast.

    Raises
    ------
    ImageError
        The image is not valid, contains NaN or infinity, or is too small for a descriptor.
    ParameterError
        A window is unknown, or a number is out of range.

    Notes
    -----
    Lowe, IJCV 60(2), 2004, on a grid as VLFeat's `vl_dsift` computes it. `values[n, t + 8 (i + 4 j)]`: orientation t
    fastest (45 t degrees, clockwise from the right), then the bin's column i, then its row j. Frames: x fast, y slow.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> found = imgtool.dense_sift(np.zeros((32, 32), np.uint8), step=8)
    >>> found.values.shape, found.frames[0].tolist()
    ((9, 128), [6.0, 6.0, 4.0])
    """
    step, bin_size = whole_number(step, "step"), whole_number(bin_size, "bin size")
    window_size = real_number(window_size, "window size")
    require_parameters(step, bin_size, window, window_size)
    gray = gray_of(image)
    left, top = corners(gray.shape, step, bin_size, bounds)
    weights = bin_weights(bin_size, window, window_size)
    values = np.empty((len(top), len(left), _BINS, _BINS * _ORIENTATIONS), np.float32)
    norms = np.empty(len(top) * len(left), np.float32)
    for rows, histograms in _histograms(gray, left, top, weights, step=step, vlfeat_angles=vlfeat_angles):
        values[rows] = histograms.swapaxes(1, 2)
        strip = values[rows].reshape(-1, _BINS * _BINS * _ORIENTATIONS)
        np.dot(strip, np.ones_like(strip[0]), out=norms[rows.start * len(left) : rows.stop * len(left)])
        normalize(strip)
    norms /= np.float32((3 * bin_size + 1) ** 2)
    return Descriptors(frames_of(left, top, bin_size), values.reshape(len(norms), -1), norms)


def require_parameters(step: int, bin_size: int, window: str, window_size: float) -> None:
    """Raise ParameterError for settings that mean nothing."""
    if step < 1 or bin_size < 1:
        raise ParameterError(f"step and bin must be at least 1, got {step} and {bin_size}")
    if not window_size > 0:
        raise ParameterError(f"window size must be positive, got {window_size}")
    if window not in WINDOWS:
        raise unknown_name("window", window, WINDOWS)


def frames_of(left: np.ndarray, top: np.ndarray, bin_size: int) -> np.ndarray:
    """Return (N, 3): x and y of the centers of descriptors whose first bins lie at these columns and rows; bin size."""
    x, y = np.meshgrid(left + 1.5 * bin_size, top + 1.5 * bin_size)
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, float(bin_size))], axis=1)


def gray_of(image: ArrayLike) -> np.ndarray:
    """Return (height, width) float32. Raises ImageError for values that SIFT cannot take."""
    gray = to_gray(image)
    require_finite(gray, "SIFT")
    return gray.astype(np.float32)


def resolve_bounds(shape: tuple[int, ...], bounds: tuple[int, int, int, int] | None) -> tuple[int, int, int, int]:
    """Return the bounds x0, y0, x1, y1, those of the image if there are none. Raises ImageError beyond the image."""
    height, width = shape
    found = (0, 0, width - 1, height - 1) if bounds is None else whole_numbers(bounds, "bounds", low=-(2**63))
    if len(found) != 4:
        raise ParameterError(f"bounds must be x0,y0,x1,y1, got {len(found)} numbers")
    x0, y0, x1, y1 = found
    if not (0 <= x0 <= x1 and 0 <= y0 <= y1):
        raise ParameterError(
            f"bounds must be x0,y0,x1,y1 from 0 on with x0 <= x1 and y0 <= y1, got {x0},{y0},{x1},{y1}"
        )
    if x1 >= width or y1 >= height:
        raise ImageError(f"is {width}x{height} pixels, and bounds {x0},{y0},{x1},{y1} do not lie in it")
    return x0, y0, x1, y1


def corners(
    shape: tuple[int, ...], step: int, bin_size: int, bounds: tuple[int, int, int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns and rows at which the centers of the first bins lie."""
    height, width = shape
    x0, y0, x1, y1 = resolve_bounds(shape, bounds)
    left = np.arange(x0, x1 - 3 * bin_size + 1, step)
    top = np.arange(y0, y1 - 3 * bin_size + 1, step)
    if not left.size or not top.size:
        side = 3 * bin_size + 1
        raise ImageError(f"is {width}x{height} pixels; SIFT with bins of {bin_size} needs {side}x{side}")
    return left, top


def _orientation_maps(gray: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, vlfeat_angles: bool) -> np.ndarray:
    """Return (rows, 8, columns) float32: the gradient's magnitude, divided between the two nearest orientations.

    rows, columns: which of the image's, rising; the first and last may stand there several times.
    """
    (top, bottom), (left, right) = ((int(each[0]), int(each[-1]) + 1) for each in (rows, columns))
    above, before = (int(np.count_nonzero(each == each[0])) - 1 for each in (rows, columns))
    around = gray[max(top - 1, 0) : bottom + 1]
    inside = slice(min(top, 1), min(top, 1) + bottom - top)
    gx = _half_differences(around[inside], 1)[:, left:right]
    gy = _half_differences(around, 0)[inside, left:right]
    turn = _vlfeat_angle(gy, gx) if vlfeat_angles else np.arctan2(gy, gx)
    turn *= np.float32(_ORIENTATIONS / (2 * np.pi))  # eighths of a turn, -4 to 4
    magnitude = np.sqrt(gx * gx + gy * gy)  # cv2.magnitude's last bit depends on where the arrays lie
    maps = np.empty((len(rows), _ORIENTATIONS, len(columns)), np.float32)
    inner = maps[above : above + bottom - top, :, before : before + right - left]
    share, half = np.empty_like(turn), _ORIENTATIONS // 2
    for t in range(_ORIENTATIONS):
        if t == half:  # where the turn begins and ends
            np.subtract(half, np.abs(turn, out=share), out=share)
        else:
            np.abs(np.subtract(turn, t if t < half else t - _ORIENTATIONS, out=share), out=share)
        np.subtract(1, np.minimum(share, 1, out=share), out=share)
        np.multiply(magnitude, share, out=inner[:, t])
    maps[:, :, :before] = maps[:, :, before, None]
    maps[:, :, before + right - left :] = maps[:, :, before + right - left - 1, None]
    maps[:above] = maps[above]
    maps[above + bottom - top :] = maps[above + bottom - top - 1]
    return maps


def _half_differences(gray: np.ndarray, axis: int) -> np.ndarray:
    """Return half the central difference along an axis, at the border the whole one-sided difference."""
    taps = np.array([-0.5, 0, 0.5], np.float32).reshape((3, 1) if axis == 0 else (1, 3))
    result = np.asarray(cv2.filter2D(gray, -1, taps, borderType=cv2.BORDER_REPLICATE))
    lines = result if axis == 0 else result.T
    lines[0] *= 2
    lines[-1] *= 2
    return result


def _vlfeat_angle(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return VLFeat's approximation of atan2, a polynomial of third order."""
    size = np.abs(y) + EPSILON
    right = x >= 0
    ratio = np.where(right, x - size, x + size) / np.where(right, x + size, size - x)
    angle = np.where(right, np.pi / 4, 3 * np.pi / 4).astype(np.float32)
    angle += (np.float32(0.1821) * ratio * ratio - np.float32(0.9675)) * ratio
    return np.where(y < 0, -angle, angle)


def _histograms(
    gray: np.ndarray, left: np.ndarray, top: np.ndarray, weights: np.ndarray, *, step: int, vlfeat_angles: bool
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows of frames, and their unnormalized descriptors (rows, 4, columns, 32).

    A small matrix takes the pixels around a frame to its bins, along x and then along y: only what is needed is
    computed, and a strip of the image stays in the processor's cache.
    """
    band, before = band_of(weights, step, 1), weights.shape[1] // 2
    around = band.shape[1]
    high = (_STRIP_FRAME_ROWS - 1) * step + around
    rows, columns = (
        clamp_indices(first[0] - before, (len(first) - 1) * step + around, size)
        for first, size in zip((top, left), gray.shape, strict=True)
    )
    strip = np.empty((high, len(left) * _BINS, _ORIENTATIONS), np.float32)
    kept = 0
    for first in range(0, len(top), _STRIP_FRAME_ROWS):
        lines = rows[first * step :][:high]
        maps = _orientation_maps(gray, lines[kept:], columns, vlfeat_angles=vlfeat_angles)
        across = cv2.transpose(maps.reshape(-1, len(columns)))  # with it the products take less time, its own included
        bins = band @ _windows(across, around, step)
        cv2.transpose(bins.reshape(strip.shape[1], -1, _ORIENTATIONS), dst=strip[kept : len(lines)])
        down = band @ _windows(strip[: len(lines)].reshape(len(lines), -1), around, step)
        yield slice(first, first + len(down)), down.reshape(len(down), _BINS, len(left), _BINS * _ORIENTATIONS)
        kept = max(high - _STRIP_FRAME_ROWS * step, 0)
        strip[:kept] = strip[high - kept :]


def _windows(lines: np.ndarray, around: int, step: int) -> np.ndarray:
    """Return (frames, around, numbers): views of the lines around each frame."""
    shape = ((len(lines) - around) // step + 1, around, lines.shape[1])
    return np.lib.stride_tricks.as_strided(lines, shape, (step * lines.strides[0], *lines.strides), writeable=False)


def clamp_indices(start: int, count: int, size: int) -> np.ndarray:
    """Return the indices start .. start + count - 1, the edge's repeated beyond the image."""
    return np.minimum(np.maximum(np.arange(start, start + count), 0), size - 1)


def bin_weights(bin_size: int, window: str, window_size: float) -> np.ndarray:
    """Return (4, 2 bin_size - 1): along one axis, each bin's triangle times its share of the Gaussian window."""
    u = np.arange(-bin_size + 1, bin_size)
    triangle = 1 - np.abs(u) / bin_size
    offsets = bin_size * (np.arange(_BINS) - 1.5)
    gauss = np.exp(-0.5 * ((u + offsets[:, None]) / (window_size * bin_size)) ** 2)
    return triangle * (gauss if window == "gaussian" else gauss.mean(axis=1, keepdims=True))


def band_of(weights: np.ndarray, step: int, at_once: int) -> np.ndarray:
    """Return the matrix (at_once * 4, pixels) that takes a run of pixels to the bins of neighboring frames."""
    taps = weights.shape[1]
    bin_size = (taps + 1) // 2
    band = np.zeros((at_once, _BINS, (at_once - 1) * step + 3 * bin_size + taps), np.float32)
    for frame, i in np.ndindex(at_once, _BINS):
        start = frame * step + i * bin_size
        band[frame, i, start : start + taps] = weights[i]
    return band.reshape(at_once * _BINS, -1)


def normalize(histograms: np.ndarray) -> None:
    """Scale rows to unit length, clip at 0.2, scale again, in place; what is flat stays zero."""
    lengths = _lengths(histograms) + EPSILON
    np.minimum(histograms, np.float32(0.2) * lengths, out=histograms)
    histograms *= 1 / (_lengths(histograms) + EPSILON * lengths)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the Euclidean lengths of the rows, (N, 1)."""
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None])


def root(values: np.ndarray) -> np.ndarray:
    """Return RootSIFT: square roots after scaling to sum 1 (Arandjelovic and Zisserman, CVPR 2012).

    values (N, 128), or several such side by side, each of which is scaled.
    """
    channels = values.reshape(-1, _BINS * _BINS * _ORIENTATIONS)
    roots = np.sqrt(channels / np.maximum(channels.sum(axis=1, keepdims=True), EPSILON))
    return np.asarray(roots.reshape(values.shape))


def mirrored(values: np.ndarray) -> np.ndarray:
    """Return the descriptors that the same places have in the image turned left to right.

    values (N, 128), or several such side by side: columns of bins and orientations change places.
    """
    bins = values.reshape(-1, _BINS, _BINS, _ORIENTATIONS)[:, :, ::-1]
    turned = (_ORIENTATIONS // 2 - np.arange(_ORIENTATIONS)) % _ORIENTATIONS
    return np.ascontiguousarray(bins[..., turned]).reshape(values.shape)


def quantize(values: np.ndarray) -> np.ndarray:
    """Return the descriptors as bytes: 512 times the values, cut off at 255, truncated."""
    return np.asarray(np.minimum(values * 512, 255), np.uint8)
