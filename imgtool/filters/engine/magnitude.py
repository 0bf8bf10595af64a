"""Magnitude of a gradient in one pass: both derivatives and their length, strip by strip in the cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from imgtool.filters.convolve import convolve_view, margins, to_filter_type
from imgtool.filters.engine.padded_view import MARGINS, NATIVE, PaddedView
from imgtool.filters.engine.plan import separate
from imgtool.filters.engine.rounding import cast_saturating
from imgtool.filters.engine.strips import Fill, empty_aligned, fill_by_strips, strip_rows
from imgtool.names import unknown_name

STRIP_ROWS, STRIP_PIXELS = 64, 1 << 16  # rows of a strip, at least; and pixels, unless its rows are too long
DIRECT_MAX_TAPS = 9  # taps of a float image that are added up as they stand as fast as by a column and a row
SOBEL = np.outer([1.0, 2, 1], [-1, 0, 1])  # as it lies on the image
ONE_PASS_TYPES = {np.dtype(np.uint8), np.dtype(np.float32)}
Derivatives = Callable[[int, int], Sequence[np.ndarray]]
Operation = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (rows, where to) -> as many rows


def magnitude_by(
    image: ArrayLike,
    across: np.ndarray,
    down: np.ndarray,
    *,
    border: str = "reflect",
    dtype: DTypeLike | None = None,
    threads: int = 1,
) -> np.ndarray:
    """Return sqrt(gx^2 + gy^2): gx is the image convolved with the kernel `across`, gy with the kernel `down`.

    image: (height, width[, channels]), each channel alone. dtype: of the result; that of the derivatives unless told,
    floating; integer results are rounded half to even and saturated. 8-bit and float32 images give 8-bit and float32
    results in one pass, in float32.
    """
    if border not in MARGINS:
        raise unknown_name("border", border, MARGINS)
    taps, rows, columns = _align_kernels(across, down)
    return _magnitude(PaddedView(to_filter_type(image), rows, columns, border), taps, dtype, threads)


def _magnitude(view: PaddedView, taps: list[np.ndarray], dtype: DTypeLike | None, threads: int) -> np.ndarray:
    source = view.array.dtype
    floating = np.dtype(np.float32 if source == np.float32 else np.float64)
    wanted = floating if dtype is None else np.dtype(dtype)
    if {source, wanted} <= ONE_PASS_TYPES and view.shape[2:] in ((), (2,), (3,), (4,)):
        result = _one_pass(view, taps, wanted if source == np.uint8 else floating, threads)
        if source == np.uint8 or math.isfinite(result.max()):
            return result if result.dtype == wanted else cast_saturating(result, wanted)
    gx, gy = (convolve_view(view, each, correlate=True, threads=threads) for each in taps)
    with np.errstate(over="ignore", invalid="ignore"):
        return cast_saturating(np.hypot(gx, gy), wanted)


def _one_pass(view: PaddedView, taps: list[np.ndarray], dtype: np.dtype, threads: int) -> np.ndarray:
    shape = view.shape
    strip = strip_rows(STRIP_ROWS, shape, STRIP_PIXELS)
    # Where in memory a row begins decides, in cv2.magnitude, about last bits; in strips of 64 rows all begin alike.
    out = empty_aligned(shape, dtype)

    def make() -> Fill:
        derivatives = _derivatives(view, taps, strip)

        def fill(begin: int, end: int) -> None:
            gx, gy = derivatives(begin, end)
            if dtype == np.float32:
                cv2.magnitude(gx, gy, magnitude=out[begin:end])
            else:
                cv2.convertScaleAbs(cv2.magnitude(gx, gy, magnitude=gx), dst=out[begin:end])

        return fill

    fill_by_strips(shape[0], strip, make, threads)
    return out


def _align_kernels(*kernels: np.ndarray) -> tuple[list[np.ndarray], tuple[int, int], tuple[int, int]]:
    """Return the kernels as they lie on the image, zeros around them so that all reach equally far, and how far."""
    reaches = [margins(kernel) for kernel in kernels]
    if reaches[0] == reaches[1]:
        return [np.asarray(kernel, np.float64)[::-1, ::-1] for kernel in kernels], *reaches[0]
    (above, below), (left, right) = (tuple(map(max, *sides)) for sides in zip(*reaches, strict=True))
    taps = [np.zeros((above + 1 + below, left + 1 + right)) for _ in kernels]
    for frame, kernel, ((top, _), (first, _)) in zip(taps, kernels, reaches, strict=True):
        rows, columns = kernel.shape
        frame[above - top : above - top + rows, left - first : left - first + columns] = kernel[::-1, ::-1]
    return taps, (above, below), (left, right)


def _derivatives(view: PaddedView, taps: list[np.ndarray], strip: int) -> Derivatives:
    """Return a function that gives both derivatives of the rows begin..end-1, float32."""
    shape, (above, below), (left, _) = view.shape, view.rows, view.columns
    float32 = np.dtype(np.float32)
    if view.array.dtype == np.uint8 and len(shape) == 2 and _are_sobel(taps):
        results = empty_aligned((2, strip, shape[1]), float32)

        def sobel(begin: int, end: int) -> Sequence[np.ndarray]:
            inside = slice(above, above + end - begin), slice(left, left + shape[1])
            for each, result in zip(cv2.spatialGradient(view.block(begin, end)), results, strict=True):
                np.copyto(result[: end - begin], each[inside])
            return [result[: end - begin] for result in results]

        return sobel
    view = view.for_opencv()
    border = NATIVE.get(view.border, cv2.BORDER_CONSTANT)
    operations = [_correlation(each, (left, above), border, view.array.dtype) for each in taps]
    lead = -(-2 * (above + below) // 16) * 16  # 16 rows of anything are a multiple of 64 bytes
    results = empty_aligned((2, lead + strip + lead, *view.array.shape[1:]), float32)
    inside = slice(left, left + shape[1]) if view.carries[1] else slice(None)

    def general(begin: int, end: int) -> Sequence[np.ndarray]:
        rows, skipped = view.source_rows(begin, end)
        place = slice(lead - skipped, lead - skipped + len(rows))
        for operation, result in zip(operations, results, strict=True):
            operation(rows, result[place])
        return [result[lead : lead + end - begin, inside] for result in results]

    return general


def _are_sobel(taps: list[np.ndarray]) -> bool:
    return np.array_equal(taps[0], SOBEL) and np.array_equal(taps[1], SOBEL.T)


def _correlation(taps: np.ndarray, anchor: tuple[int, int], border: int, dtype: np.dtype) -> Operation:
    factors = None if dtype == np.float32 and taps.size <= DIRECT_MAX_TAPS else separate(taps)
    if factors is None:
        return lambda lines, dst: cv2.filter2D(lines, cv2.CV_32F, taps, dst=dst, anchor=anchor, borderType=border)
    column, row = factors
    return lambda lines, dst: cv2.sepFilter2D(lines, cv2.CV_32F, row, column, dst=dst, anchor=anchor, borderType=border)
