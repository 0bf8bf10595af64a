"""Convolution of an image with any kernel, at any border.

g(y, x) = sum over v, u of k(v, u) f(y - v, x - u): the kernel is flipped, and its origin is at size // 2 on each axis.
Correlation leaves it as it is. Computed in float64, in float32 for float32 images.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from imgtool.errors import ParameterError
from imgtool.filters.borders import pad

METHODS = ("auto", "direct", "separable", "fft")
FFT_FROM_TAPS = 130  # OpenCV's own filter turns to a DFT at about 11 x 11 taps; beyond, ours over the whole image


def convolve(
    image: np.ndarray, kernel: np.ndarray, *, border: str = "reflect", method: str = "auto", correlate: bool = False
) -> np.ndarray:
    """Return the image convolved with the kernel, of the same size, float64 (float32 for a float32 image).

    image: (height, width[, channels]); kernel: (rows, columns), also even, 1xN, or larger than the image. border:
    see `borders`; method: `direct`, `separable` (kernels of rank 1), `fft`, or `auto`. correlate: do not flip. NaN and
    infinity reach exactly the pixels that a non-zero tap brings them to, by every method.
    """
    if not image.size:
        raise ParameterError(f"the image has no pixels: its shape is {image.shape}")
    down, across = margins(kernel, correlate=correlate)
    padded = pad(image, down, across, border)
    return convolve_padded(padded, kernel, method=method, correlate=correlate)


def convolve_padded(
    padded: np.ndarray,
    kernel: np.ndarray,
    *,
    method: str = "auto",
    correlate: bool = False,
    dtype: np.dtype | None = None,
) -> np.ndarray:
    """Return the part of the convolution that needs nothing from outside: the array carries its `margins`.

    dtype: of the result; float64 (float32 for a float32 array) unless told. uint8, uint16: rounded half to even,
    saturated.
    """
    taps = _matrix(kernel)
    if method not in METHODS:
        raise ParameterError(f"no method {method!r}; there are {', '.join(METHODS)}")
    work = padded if padded.dtype == np.float32 else padded.astype(np.float64)
    if not correlate:
        taps = taps[::-1, ::-1]
    factors = separated(taps)
    if method == "separable" and factors is None:
        raise ParameterError("this kernel is no product of a column and a row; --method direct or fft")
    if method == "auto":
        method = "separable" if factors else "fft" if taps.size >= FFT_FROM_TAPS else "direct"

    def applied(values: np.ndarray) -> np.ndarray:
        if method == "separable" and factors is not None:
            return _correlate(_correlate(values, factors[0]), factors[1])
        return _by_fft(values, taps) if method == "fft" else _correlate(values, taps)

    holes = ~np.isfinite(work)
    result = _around_holes(work, holes, taps, applied) if holes.any() else applied(work)
    return result if dtype is None else _as_type(result, np.dtype(dtype))


def _as_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round half to even and saturate where the type is an integer one."""
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    top = np.iinfo(dtype).max
    return np.asarray(np.nan_to_num(np.rint(values).clip(0, top), nan=0.0).astype(dtype))


def margins(kernel: np.ndarray, *, correlate: bool = False) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return how many rows above and below, columns left and right of a pixel the kernel reaches."""
    rows, columns = _matrix(kernel).shape
    return _margins(rows, correlate=correlate), _margins(columns, correlate=correlate)


def _matrix(kernel: np.ndarray) -> np.ndarray:
    taps = np.asarray(kernel, np.float64)
    if taps.ndim != 2 or not taps.size:
        raise ParameterError(f"a kernel is a matrix, got the shape {taps.shape}")
    return taps


def _margins(size: int, *, correlate: bool) -> tuple[int, int]:
    """Return how far the kernel reaches before and after a pixel, its origin being at size // 2."""
    origin = size // 2
    return (origin, size - 1 - origin) if correlate else (size - 1 - origin, origin)


def separated(taps: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a column and a row whose product the kernel is, or None when its rank is not 1.

    Rank 1 means that the product differs by no more than 1e-13 of the largest tap.
    """
    row, column = divmod(int(np.abs(taps).argmax()), taps.shape[1])
    peak = taps[row, column]
    if peak == 0:
        return None
    left, right = taps[:, column : column + 1] / peak, taps[row : row + 1]
    return (left, right) if np.abs(left * right - taps).max() <= 1e-13 * abs(peak) else None


def _correlate(padded: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Return every full overlap of the taps with the padded image."""
    rows, columns = taps.shape
    height, width = padded.shape[0] - rows + 1, padded.shape[1] - columns + 1
    planes = padded.reshape(*padded.shape[:2], -1)
    # OpenCV answers a kernel larger than about 11 x 11 with a DFT of its own, in the image's precision.
    done = cv2.filter2D(planes, -1, taps, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    return np.ascontiguousarray(np.asarray(done).reshape(padded.shape)[:height, :width])


def _by_fft(padded: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """The same by multiplying spectra, in float64."""
    from scipy import fft

    rows, columns = taps.shape
    height, width = padded.shape[0] - rows + 1, padded.shape[1] - columns + 1
    size = [fft.next_fast_len(side, real=True) for side in padded.shape[:2]]
    planes = np.moveaxis(padded.reshape(*padded.shape[:2], -1), 2, 0).astype(np.float64)
    spectrum = fft.rfft2(planes, size) * fft.rfft2(taps[::-1, ::-1], size)
    full = fft.irfft2(spectrum, size)[:, rows - 1 : rows - 1 + height, columns - 1 : columns - 1 + width]
    return np.ascontiguousarray(np.moveaxis(full, 0, 2).reshape(height, width, *padded.shape[2:]).astype(padded.dtype))


def _around_holes(
    padded: np.ndarray, holes: np.ndarray, taps: np.ndarray, applied: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Apply the taps to the finite values; set what NaN and infinity reach to what a sum, tap by tap, would give."""
    result = applied(np.where(holes, 0, padded))

    def reached(pixels: np.ndarray, by: np.ndarray) -> np.ndarray:
        if not (pixels.any() and by.any()):
            return np.zeros(result.shape, bool)
        return _correlate(pixels.astype(np.float64), by.astype(np.float64)) > 0.5  # a count of pixels

    above, below = padded == np.inf, padded == -np.inf
    plus = reached(above, taps > 0) | reached(below, taps < 0)
    minus = reached(above, taps < 0) | reached(below, taps > 0)
    result[plus], result[minus] = np.inf, -np.inf
    result[reached(np.isnan(padded), taps != 0) | (plus & minus)] = np.nan
    return result
