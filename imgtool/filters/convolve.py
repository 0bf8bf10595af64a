"""Convolution of an image with any kernel, at any border, by several methods that agree.

g(y, x) = sum over v, u of k(v, u) f(y - v, x - u): the kernel is flipped, and its origin is at size // 2 on each axis.
Correlation leaves it as it is.

The rule of `auto` stands in `plan`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from imgtool.arrays import image_array, whole_number
from imgtool.errors import ParameterError
from imgtool.filters.borders import border_number
from imgtool.filters.engine.padded_view import MARGINS, PaddedView
from imgtool.filters.engine.plan import METHODS, Plan, dtype_of
from imgtool.filters.engine.rounding import OPENCV_DEPTHS, cast_saturating
from imgtool.filters.kernels import tap_matrix
from imgtool.filters.masked import checked_mask, convolve_valid
from imgtool.names import unknown_name

OPENCV_MAX_CHANNELS = 4  # at a time: OpenCV's scalars, which stand for what lies outside, have no more


def convolve(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    border: str = "reflect",
    border_value: float = 0.0,
    method: str = "auto",
    correlate: bool = False,
    mask: ArrayLike | None = None,
    dtype: DTypeLike | None = None,
    threads: int = 1,
) -> np.ndarray:
    """Convolve an image with a kernel.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, channels)
        Bool, integers or floats; each channel is filtered separately.
    kernel : array_like, (rows, columns)
        Taps. Even sizes, single rows or columns, and kernels larger than the image are allowed.
    border : {"reflect", "clip", "wrap", "copy", "mirror"}
        What lies outside the image: `cba|abc|cba`, black, the opposite side, the edge pixel, `cb|abc|ba`.
    border_value : float
        Value of the pixels outside a `clip` border (0), in the image's own units.
    method : {"auto", "direct", "separable", "fft", "gemm"}
        Algorithm: the fastest one, tap by tap, a column and a row (kernels of rank 1), Fourier transforms of tiles, or
        a matrix product of the windows.
    correlate : bool
        Compute a correlation: do not flip the kernel.
    mask : array_like of bool, (height, width), optional
        Pixels that count; the others stay as they are, and the rest is weighed by what is left: a normalized
        convolution. All True gives the same bits as no mask.
    dtype : dtype, optional
        Type of the result: float32, float64, or uint8, uint16, int16, rounded half to even and saturated. Default:
        float32 for a float32 image, float64 for others.
    threads : int
        Number of threads; any number gives the same result, bit for bit.

    Returns
    -------
    ndarray, shape of the image

    Raises
    ------
    ImageError
        The image is not valid, or has no pixels.
    ParameterError
        A name is unknown, the kernel is not a matrix of numbers, `method` is separable and its rank is not 1, or `mask`
        comes with taps that add up to 0 or less.

    Notes
    -----
    g(y, x) = sum over v, u of k(v, u) f(y - v, x - u), as `scipy.ndimage.convolve` computes it. An even kernel's origin
    is at index size // 2; that of `scipy.signal.convolve2d(mode="same")` is at size // 2 - 1. With every method, NaN
    and infinity spread exactly as far as the nonzero taps reach. Alpha is a channel like others; `filter_image` knows
    what it means. With a mask, g is sum(k f) / sum(k) over the pixels that count, times the sum of all taps (Knutsson
    and Westin, CVPR 1993); beyond a `clip` border pixels count.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> step = np.array([[0, 0, 200, 200]], np.uint8)
    >>> imgtool.convolve(step, [[1, 0, -1]])
    array([[  0., 200., 200.,   0.]])
    >>> imgtool.convolve(step, [[1, 2, 1]], dtype=np.uint8)
    array([[  0, 200, 255, 255]], dtype=uint8)
    """
    if border not in MARGINS:
        raise unknown_name("border", border, MARGINS)
    taps, threads = tap_matrix(kernel), whole_number(threads, "threads")
    if mask is not None and border_value:
        raise ParameterError("border_value does not go with mask", parameters=("border_value", "mask"))
    if mask is not None:
        image = image_array(image)
        if (counts := checked_mask(mask, image.shape)) is not None:
            run = partial(convolve, kernel=taps, border=border, method=method, correlate=correlate, threads=threads)
            wanted = dtype_of(dtype, np.dtype(np.float32 if image.dtype == np.float32 else np.float64))
            return cast_saturating(convolve_valid(image, counts, run, taps, clip=border == "clip"), wanted)
    down, across = (_margins(size, correlate=correlate) for size in taps.shape)
    array = to_filter_type(image)
    value = border_number(border_value, border, array.dtype) if border_value != 0 else 0.0
    view = PaddedView(array, down, across, border, value=value)
    return convolve_view(view, taps, method=method, correlate=correlate, dtype=dtype, threads=threads)


def cannot_clip(kernel: ArrayLike) -> bool:
    """Return whether no result can leave the range of the image's pixels: taps of 0 or more that add up to at most 1.

    Then an integer result has no pixel that was clipped, and may be asked for at once by `dtype`.
    """
    taps = tap_matrix(kernel)
    return bool(taps.min() >= 0 and taps.sum() <= 1 + 1e-9)


def margins(kernel: ArrayLike, *, correlate: bool = False) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return how many rows above and below, columns left and right of a pixel the kernel reaches."""
    rows, columns = tap_matrix(kernel).shape
    return _margins(rows, correlate=correlate), _margins(columns, correlate=correlate)


def _margins(size: int, *, correlate: bool) -> tuple[int, int]:
    origin = size // 2
    return (origin, size - 1 - origin) if correlate else (size - 1 - origin, origin)


def to_filter_type(image: ArrayLike) -> np.ndarray:
    """Return an image of a type that OpenCV filters. Raises ImageError for what is no image."""
    array = image_array(image)
    return array if array.dtype in OPENCV_DEPTHS else array.astype(np.float64)


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
        raise unknown_name("method", method, METHODS)
    plan = Plan.of(kernel if correlate else kernel[::-1, ::-1].copy(), method, view.array.dtype, dtype, threads)
    if view.array.ndim == 2:
        return plan.run(view)
    channels = [
        view.array[:, :, first : first + OPENCV_MAX_CHANNELS]
        for first in range(0, view.array.shape[2], OPENCV_MAX_CHANNELS)
    ]
    done = [plan.run(replace(view, array=part if part.shape[2] > 1 else part[:, :, 0])) for part in channels]
    return done[0].reshape(view.shape) if len(done) == 1 else np.dstack(done)
