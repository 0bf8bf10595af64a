"""Dense SIFT: descriptors on a regular grid.

Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 60(2), 2004, on a grid as VLFeat's `vl_dsift`
computes it. A descriptor has 4 x 4 spatial bins of 8 orientations: `d[t + 8 * (i + 4 * j)]`, orientation t fastest,
then the bin's column i, then its row j. Angles grow clockwise from the right; orientation t is centered at 45 t
degrees. Frames are the centers (x, y) in pixels from the top left one, y slow, x fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from imgtool.errors import ImageError, ParameterError
from imgtool.filters.kernels import gaussian_taps
from imgtool.image.color import to_gray

WINDOWS = ("gaussian", "flat")
_ORIENTATIONS, _BINS = 8, 4
_EPSILON = np.float32(2.0**-23)


@dataclass(frozen=True)
class Descriptors:
    """frames (N, 3): x, y, bin size; values (N, 128) of unit length, zeros where flat; norms (N): contrast."""

    frames: np.ndarray
    values: np.ndarray
    norms: np.ndarray


def dense_sift(
    image: np.ndarray,
    *,
    step: int = 4,
    bin_size: int = 4,
    window: str = "gaussian",
    window_size: float = 2.0,
    bounds: tuple[int, int, int, int] | None = None,
    vlfeat_angles: bool = False,
) -> Descriptors:
    """Return the descriptors of one scale, computed on the image as it is, without smoothing.

    image: (height, width[, channels]), gray of colors (Rec. 601), on any scale of brightness; step: pixels between
    centers; bin_size: pixels of a spatial bin; window: `gaussian` weights pixels around the center, `flat` weights
    whole bins and is faster; window_size: its deviation in bins. bounds: x0, y0, x1, y1 (inclusive) of the region.
    vlfeat_angles: VLFeat's approximate arctangent (off by up to 0.006 rad) instead of the true one.
    Raises ImageError when no descriptor fits or the image holds NaN or infinity.
    """
    if step < 1 or bin_size < 1 or window_size <= 0:
        raise ParameterError(f"step and bin must be at least 1, got {step} and {bin_size}")
    if window not in WINDOWS:
        raise ParameterError(f"no window {window!r}; there are {', '.join(WINDOWS)}")
    gray = to_gray(image).astype(np.float32)
    if not np.isfinite(gray).all():
        raise ImageError("holds NaN or infinity, which SIFT cannot describe")
    left, top = _corners(gray.shape, step, bin_size, bounds)
    histograms = _histograms(
        orientation_maps(gray, vlfeat_angles=vlfeat_angles), left, top, bin_size, window, window_size
    )
    norms = histograms.sum(axis=1) / np.float32((3 * bin_size + 1) ** 2)
    x, y = np.meshgrid(left + 1.5 * bin_size, top + 1.5 * bin_size)
    frames = np.stack([x.ravel(), y.ravel(), np.full(x.size, float(bin_size))], axis=1)
    return Descriptors(frames, normalised(histograms), norms)


def _corners(
    shape: tuple[int, ...], step: int, bin_size: int, bounds: tuple[int, int, int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns and rows at which the centers of the first bins lie."""
    height, width = shape[:2]
    x0, y0, x1, y1 = bounds or (0, 0, width - 1, height - 1)
    if not (0 <= x0 <= x1 < width and 0 <= y0 <= y1 < height):
        raise ParameterError(f"bounds {x0},{y0},{x1},{y1} do not lie in {width}x{height} pixels")
    left = np.arange(x0, x1 - 3 * bin_size + 1, step)
    top = np.arange(y0, y1 - 3 * bin_size + 1, step)
    if not left.size or not top.size:
        side = 3 * bin_size + 1
        raise ImageError(f"is {width}x{height} pixels; SIFT with bins of {bin_size} needs {side}x{side}")
    return left, top


def orientation_maps(gray: np.ndarray, *, vlfeat_angles: bool = False) -> np.ndarray:
    """Return (8, height, width) float32: gradient magnitude, divided between the two nearest orientations."""
    gx, gy = _half_differences(gray, 1), _half_differences(gray, 0)
    magnitude = cv2.magnitude(gx, gy)
    angle = _vlfeat_angle(gy, gx) if vlfeat_angles else np.arctan2(gy, gx)
    place = (angle * np.float32(_ORIENTATIONS / (2 * np.pi))) % np.float32(_ORIENTATIONS)
    lower = np.floor(place)
    share = (place - lower) * magnitude
    index = lower.astype(np.intp) % _ORIENTATIONS
    maps = np.zeros((_ORIENTATIONS, gray.size), np.float32)
    pixels = np.arange(gray.size)
    maps[index.ravel(), pixels] = (magnitude - share).ravel()
    maps[((index + 1) % _ORIENTATIONS).ravel(), pixels] = share.ravel()
    return maps.reshape(_ORIENTATIONS, *gray.shape)


def _half_differences(gray: np.ndarray, axis: int) -> np.ndarray:
    """Return half the central difference along an axis, at the border the whole one-sided difference."""
    values = np.moveaxis(gray, axis, 0)
    result = np.zeros_like(values)
    if len(values) > 1:
        result[1:-1] = (values[2:] - values[:-2]) * np.float32(0.5)
        result[0], result[-1] = values[1] - values[0], values[-1] - values[-2]
    return np.ascontiguousarray(np.moveaxis(result, 0, axis))


def _vlfeat_angle(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return VLFeat's approximation of atan2, a polynomial of third order."""
    size = np.abs(y) + _EPSILON
    right = x >= 0
    ratio = np.where(right, x - size, x + size) / np.where(right, x + size, size - x)
    angle = np.where(right, np.pi / 4, 3 * np.pi / 4).astype(np.float32)
    angle += (np.float32(0.1821) * ratio * ratio - np.float32(0.9675)) * ratio
    return np.where(y < 0, -angle, angle)


def _histograms(
    maps: np.ndarray, left: np.ndarray, top: np.ndarray, bin_size: int, window: str, window_size: float
) -> np.ndarray:
    """Return the unnormalised descriptors (N, 128): each bin a weighted sum over the maps around its center."""
    taps, gains = _bin_weights(bin_size, window, window_size)
    one = np.ones(1, np.float32)
    height = maps.shape[1]
    across = np.empty((height, _BINS, len(left), _ORIENTATIONS), np.float32)
    for i in range(_BINS):
        columns = left + i * bin_size
        for t in range(_ORIENTATIONS):
            row = cv2.sepFilter2D(maps[t], -1, taps[i], one, borderType=cv2.BORDER_REPLICATE)
            across[:, i, :, t] = row[:, columns] * gains[i]
    flat = across.reshape(height, -1)
    result = np.empty((len(top), len(left), _BINS, _BINS, _ORIENTATIONS), np.float32)
    for j in range(_BINS):
        down = cv2.sepFilter2D(flat, -1, one, taps[j], borderType=cv2.BORDER_REPLICATE)
        rows = down.reshape(height, _BINS, len(left), _ORIENTATIONS)[top + j * bin_size]
        result[:, :, j] = rows.transpose(0, 2, 1, 3) * gains[j]
    return result.reshape(-1, 128)


def _bin_weights(bin_size: int, window: str, window_size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return for each of 4 bins along an axis the taps over 2 bin_size - 1 pixels, and a factor."""
    u = np.arange(-bin_size + 1, bin_size)
    triangle = 1 - np.abs(u) / bin_size
    offsets = bin_size * (np.arange(_BINS) - 1.5)
    gauss = np.exp(-0.5 * ((u + offsets[:, None]) / (window_size * bin_size)) ** 2)
    if window == "gaussian":
        return (triangle * gauss).astype(np.float32), np.ones(_BINS, np.float32)
    return np.tile(triangle, (_BINS, 1)).astype(np.float32), gauss.mean(axis=1).astype(np.float32)


def normalised(histograms: np.ndarray) -> np.ndarray:
    """Scale to unit length, clip at 0.2, scale again; what is flat stays zero."""
    values = histograms / (np.linalg.norm(histograms, axis=1, keepdims=True) + _EPSILON)
    values = np.minimum(values, np.float32(0.2))
    return np.asarray(values / (np.linalg.norm(values, axis=1, keepdims=True) + _EPSILON))


def root(values: np.ndarray) -> np.ndarray:
    """Return RootSIFT: square roots after scaling to sum 1 (Arandjelovic and Zisserman, CVPR 2012)."""
    return np.asarray(np.sqrt(values / np.maximum(values.sum(axis=1, keepdims=True), _EPSILON)))


def quantised(values: np.ndarray) -> np.ndarray:
    """Return the descriptors as bytes: 512 times the values, cut off at 255, truncated."""
    return np.minimum(values * 512, 255).astype(np.uint8)


def phow(
    image: np.ndarray,
    *,
    sizes: Sequence[int] = (4, 6, 8, 10),
    step: int = 2,
    window: str = "flat",
    contrast: float = 0.005,
    vlfeat_angles: bool = False,
) -> Descriptors:
    """Return the descriptors of several scales, one after the other (VLFeat's `vl_phow`, gray).

    image: as `dense_sift`, in 0..1 (integers are divided by their largest value); for each bin size it is smoothed
    by a Gaussian of size / 6, centers agree over sizes, and descriptors below the contrast threshold become zeros.
    Sizes that do not fit into the image are left out. Raises ImageError when none fits.
    """
    gray = to_gray(image).astype(np.float32)
    if image.dtype.kind == "u":
        gray = gray / np.float32(np.iinfo(image.dtype).max)
    height, width = gray.shape
    parts = []
    for size in sizes:
        first = int(np.floor(1 + 1.5 * (max(sizes) - size))) - 1
        if min(height, width) - 1 - first < 3 * size:
            continue
        found = dense_sift(
            smoothed(gray, size / 6),
            step=step,
            bin_size=size,
            window=window,
            window_size=1.5,
            bounds=(first, first, width - 1, height - 1),
            vlfeat_angles=vlfeat_angles,
        )
        found.values[found.norms < contrast] = 0
        parts.append(found)
    if not parts:
        side = 3 * min(sizes) + 1 + int(1.5 * (max(sizes) - min(sizes)))
        raise ImageError(f"is {width}x{height} pixels; SIFT at bin sizes {tuple(sizes)} needs {side}x{side}")
    return Descriptors(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("frames", "values", "norms"))
    )


def smoothed(gray: np.ndarray, sigma: float) -> np.ndarray:
    """Return the image smoothed by a Gaussian of radius ceil(4 sigma), edge pixels repeated."""
    radius = int(np.ceil(4 * sigma))
    taps = gaussian_taps(sigma, radius / sigma).astype(np.float32)
    return np.asarray(cv2.sepFilter2D(gray, -1, taps, taps, borderType=cv2.BORDER_REPLICATE))
