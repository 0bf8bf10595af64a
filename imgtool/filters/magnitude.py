"""Magnitude of a gradient in one pass: both derivatives and their length, strip by strip in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import DTypeLike

from imgtool.errors import ParameterError
from imgtool.filters.convolve import convolve_framed, known, margins
from imgtool.filters.framed import MARGINS, Framed
from imgtool.filters.holes import any_infinite
from imgtool.filters.plan import separated
from imgtool.filters.storing import rounded, store
from imgtool.filters.strips import by_strips

STRIP = 64  # rows
SOBEL = np.outer([1.0, 2, 1], [-1, 0, 1])  # as it lies on the image
ONE_PASS = {np.dtype(np.uint8), np.dtype(np.float32)}
Derivatives = Callable[[np.ndarray], Sequence[np.ndarray]]


def magnitude_by(
    image: np.ndarray,
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
        raise ParameterError(f"no border {border!r}; there are {', '.join(MARGINS)}")
    taps, rows, columns = _on_one_frame(across, down)
    return _magnitude(Framed(known(image), rows, columns, border), taps, dtype, threads)


def magnitude_padded(
    padded: np.ndarray,
    across: np.ndarray,
    down: np.ndarray,
    *,
    border: str,
    dtype: DTypeLike | None = None,
    threads: int = 1,
) -> np.ndarray:
    """Return the same, bit for bit, of a strip that carries its `magnitude_margins`, but no columns beyond its own."""
    taps, rows, columns = _on_one_frame(across, down)
    return _magnitude(Framed(known(padded), rows, columns, border, (True, False)), taps, dtype, threads)


def magnitude_margins(across: np.ndarray, down: np.ndarray) -> tuple[int, int]:
    """Return how many rows above and below a pixel the kernels reach."""
    return _on_one_frame(across, down)[1]


def _magnitude(framed: Framed, taps: list[np.ndarray], dtype: DTypeLike | None, threads: int) -> np.ndarray:
    source = framed.array.dtype
    floating = np.dtype(np.float32 if source == np.float32 else np.float64)
    wanted = floating if dtype is None else np.dtype(dtype)
    if {source, wanted} <= ONE_PASS and framed.shape[2:] in ((), (2,), (3,), (4,)):
        result = _one_pass(framed, taps, wanted if source == np.uint8 else floating, threads)
        if source == np.uint8 or not any_infinite(result):
            return result if result.dtype == wanted else rounded(result, wanted)
    gx, gy = (convolve_framed(framed, each, correlate=True, threads=threads) for each in taps)
    with np.errstate(over="ignore", invalid="ignore"):
        return rounded(np.hypot(gx, gy), wanted)


def _one_pass(framed: Framed, taps: list[np.ndarray], dtype: np.dtype, threads: int) -> np.ndarray:
    out = np.empty(framed.shape, dtype)
    above, left, width = framed.rows[0], framed.columns[0], framed.shape[1]
    derivatives = _derivatives(taps, (left, above), framed.array)

    def fill(begin: int, end: int) -> None:
        lines, inside = slice(above, above + end - begin), slice(left, left + width)
        gx, gy = (each[lines].astype(np.float32, copy=False) for each in derivatives(framed.block(begin, end)))
        # Not cv2.magnitude: its last bits depend on where in memory a row begins.
        gx *= gx
        gy *= gy
        gx += gy
        if dtype == np.float32:
            np.sqrt(gx[:, inside], out=out[begin:end])
        else:
            store(np.sqrt(gx[:, inside]), out[begin:end])

    by_strips(framed.shape[0], STRIP, fill, threads)
    return out


def _on_one_frame(*kernels: np.ndarray) -> tuple[list[np.ndarray], tuple[int, int], tuple[int, int]]:
    """Return the kernels as they lie on the image, zeros around them so that all reach equally far, and how far."""
    reaches = [margins(kernel) for kernel in kernels]
    (above, below), (left, right) = (tuple(map(max, *sides)) for sides in zip(*reaches, strict=True))
    taps = [np.zeros((above + 1 + below, left + 1 + right)) for _ in kernels]
    for frame, kernel, ((top, _), (first, _)) in zip(taps, kernels, reaches, strict=True):
        rows, columns = kernel.shape
        frame[above - top : above - top + rows, left - first : left - first + columns] = kernel[::-1, ::-1]
    return taps, (above, below), (left, right)


def _derivatives(taps: list[np.ndarray], anchor: tuple[int, int], image: np.ndarray) -> Derivatives:
    """Return what gives both derivatives of a block, of its size, right where the taps do not leave it."""
    if image.dtype == np.uint8 and image.ndim == 2 and _are_sobel(taps):
        return cv2.spatialGradient
    across, down = (_correlation(each, anchor) for each in taps)
    return lambda block: (across(block), down(block))


def _are_sobel(taps: list[np.ndarray]) -> bool:
    return np.array_equal(taps[0], SOBEL) and np.array_equal(taps[1], SOBEL.T)


def _correlation(taps: np.ndarray, anchor: tuple[int, int]) -> Callable[[np.ndarray], np.ndarray]:
    factors = separated(taps)
    if factors is None:
        return lambda block: np.asarray(cv2.filter2D(block, cv2.CV_32F, taps, anchor=anchor))
    column, row = factors
    return lambda block: np.asarray(cv2.sepFilter2D(block, cv2.CV_32F, row, column, anchor=anchor))
