"""Convolution of an image with any kernel, at any border, by several methods that agree.

g(y, x) = sum over v, u of k(v, u) f(y - v, x - u): the kernel is flipped, and its origin is at size // 2 on each axis.
Correlation leaves it as it is.

The rule of `auto` stands in `plan`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import DTypeLike

from imgtool.errors import ParameterError
from imgtool.filters.engine.padded_view import MARGINS, PaddedView
from imgtool.filters.engine.plan import METHODS, Plan
from imgtool.filters.engine.rounding import OPENCV_DEPTHS

OPENCV_MAX_CHANNELS = 4  # at a time: OpenCV's scalars, which stand for what lies outside, have no more


def convolve(
    image: np.ndarray,
    kernel: np.ndarray,
    *,
    border: str = "reflect",
    method: str = "auto",
    correlate: bool = False,
    dtype: DTypeLike | None = None,
    threads: int = 1,
) -> np.ndarray:
    """Return the image convolved with the kernel, of the same size.

    image: (height, width[, channels]); kernel: (rows, columns), also even, 1xN, or larger than the image. border:
    see `borders`; method: `direct`, `separable` (kernels of rank 1), `fft`, `gemm` (a matrix product of the windows),
    or `auto`. correlate: do not flip. dtype: of the result; float64 (float32 for a float32 image) unless told; integer
    results (uint8, uint16, int16) are rounded half to even and saturated. threads: the result is the same for any
    number. NaN and infinity reach exactly the pixels that a non-zero tap brings them to, by every method.
    """
    if border not in MARGINS:
        raise ParameterError(f"no border {border!r}; there are {', '.join(MARGINS)}")
    down, across = margins(kernel, correlate=correlate)
    view = PaddedView(to_filter_type(image), down, across, border)
    return convolve_view(view, kernel, method=method, correlate=correlate, dtype=dtype, threads=threads)


def cannot_clip(kernel: np.ndarray) -> bool:
    """Return whether no result can leave the range of the image's pixels: taps of 0 or more that add up to at most 1.

    Then an integer result has no pixel that was clipped, and may be asked for at once by `dtype`.
    """
    taps = _kernel_matrix(kernel)
    return bool(taps.min() >= 0 and taps.sum() <= 1 + 1e-9)


def margins(kernel: np.ndarray, *, correlate: bool = False) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return how many rows above and below, columns left and right of a pixel the kernel reaches."""
    rows, columns = _kernel_matrix(kernel).shape
    return _margins(rows, correlate=correlate), _margins(columns, correlate=correlate)


def _margins(size: int, *, correlate: bool) -> tuple[int, int]:
    origin = size // 2
    return (origin, size - 1 - origin) if correlate else (size - 1 - origin, origin)


def _kernel_matrix(kernel: np.ndarray) -> np.ndarray:
    taps = np.asarray(kernel, np.float64)
    if taps.ndim != 2 or not taps.size:
        raise ParameterError(f"a kernel is a matrix, got the shape {taps.shape}")
    return taps


def to_filter_type(image: np.ndarray) -> np.ndarray:
    """Return an image of a type that OpenCV filters. Raises ParameterError if it has no pixels."""
    if not image.size:
        raise ParameterError(f"the image has no pixels: its shape is {image.shape}")
    return image if image.dtype in OPENCV_DEPTHS else image.astype(np.float64)


def convolve_view(
    view: PaddedView,
    kernel: np.ndarray,
    *,
    method: str = "auto",
    correlate: bool = False,
    dtype: DTypeLike | None = None,
    threads: int = 1,
) -> np.ndarray:
    """Complete the plan, and carry it out for 1 to 4 channels at a time."""
    if method not in METHODS:
        raise ParameterError(f"no method {method!r}; there are {', '.join(METHODS)}")
    taps = _kernel_matrix(kernel)
    plan = Plan.of(taps if correlate else taps[::-1, ::-1].copy(), method, view.array.dtype, dtype, threads)
    if view.array.ndim == 2:
        return plan.run(view)
    channels = [
        view.array[:, :, first : first + OPENCV_MAX_CHANNELS]
        for first in range(0, view.array.shape[2], OPENCV_MAX_CHANNELS)
    ]
    done = [plan.run(replace(view, array=part if part.shape[2] > 1 else part[:, :, 0])) for part in channels]
    return done[0].reshape(view.shape) if len(done) == 1 else np.dstack(done)
