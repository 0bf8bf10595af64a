"""Correlation tap by tap, by OpenCV: the whole kernel, its column and row, or a running mean.

Every function fills a result of the type asked for; `wide` is the type in which sums are added up.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from imgtool.filters.engine.padded_view import NATIVE, Framed
from imgtool.filters.engine.rounding import DEPTHS, store
from imgtool.filters.engine.strips import Fill, by_strips, strip_of

FEW = 16
STRIP = 128  # rows at least: fewer would repeat too many, more not stay in the cache until they are rounded
Operation = Callable[[np.ndarray, int, np.ndarray | None], np.ndarray]  # (rows, OpenCV's border, where to) -> as many
Factors = tuple[np.ndarray, np.ndarray]  # a column and a row


def dense(framed: Framed, taps: np.ndarray, wide: np.dtype, dtype: np.dtype, threads: int) -> np.ndarray:
    """Add up the whole kernel.

    OpenCV adds floats up faster than integers; only few taps do not repay making strips floating first, and rounding
    them while they are in the cache.
    """
    anchor = (framed.columns[0], framed.rows[0])
    few = wide == np.float32 and taps.size <= FEW
    if framed.array.dtype == dtype and (dtype == wide or (dtype == np.uint8 and few)):

        def whole(rows: np.ndarray, border: int, dst: np.ndarray | None) -> np.ndarray:
            return np.asarray(cv2.filter2D(rows, -1, taps, dst=dst, anchor=anchor, borderType=border))

        return _whole(framed, whole, dtype, dtype, threads)
    out = np.empty(framed.shape, dtype)
    reach, width, strip = sum(framed.rows), framed.shape[1], strip_of(STRIP, framed.shape)

    def make() -> Fill:
        shape = (min(strip, len(out)) + reach, width + sum(framed.columns), *framed.shape[2:])
        floating, sums = np.empty((2, *shape), wide)  # one piece of memory: two are taken back and forth by the system

        def fill(begin: int, end: int) -> None:
            rows, result = floating[: end - begin + reach], sums[: end - begin + reach]
            np.copyto(rows, framed.block(begin, end))
            cv2.filter2D(rows, -1, taps, dst=result, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
            store(result[: end - begin, :width], out[begin:end])

        return fill

    by_strips(len(out), strip, make, threads)
    return out


def separable(framed: Framed, factors: Factors, wide: np.dtype, dtype: np.dtype, threads: int) -> np.ndarray:
    """A column and a row, one after the other. Of sums in float32, OpenCV rounds those of 8-bit images itself."""
    column, row = (factor.ravel() for factor in factors)
    anchor = (framed.columns[0], framed.rows[0])
    given = dtype if framed.array.dtype == np.uint8 and wide == np.float32 else wide

    def whole(rows: np.ndarray, border: int, dst: np.ndarray | None) -> np.ndarray:
        done = cv2.sepFilter2D(rows, DEPTHS[given], row, column, dst=dst, anchor=anchor, borderType=border)
        return np.asarray(done)

    return _whole(framed, whole, given, dtype, threads)


def box(framed: Framed, tap: float, wide: np.dtype, dtype: np.dtype, threads: int) -> np.ndarray:
    """Every tap the same, 1 or 1 / their number: by running sums, which for pixels that are integers are exact.

    OpenCV rounds a mean just between two levels up; where it may be there, we round.
    """
    anchor, size = (framed.columns[0], framed.rows[0]), (sum(framed.columns) + 1, sum(framed.rows) + 1)
    odd = size[0] * size[1] % 2 == 1
    given = dtype if framed.array.dtype == np.uint8 and (odd or dtype.kind == "f") else wide

    def whole(rows: np.ndarray, border: int, dst: np.ndarray | None) -> np.ndarray:
        mean = cv2.boxFilter(rows, DEPTHS[given], size, dst=dst, anchor=anchor, normalize=tap != 1, borderType=border)
        return np.asarray(mean)

    return _whole(framed, whole, given, dtype, threads)


def _whole(framed: Framed, operation: Operation, given: np.dtype, dtype: np.dtype, threads: int) -> np.ndarray:
    """Let OpenCV see to the border where it can: in one call, a piece for each thread, or strips to be rounded."""
    framed = framed.for_opencv()
    border = NATIVE.get(framed.border, cv2.BORDER_CONSTANT)
    height, width = framed.shape[:2]
    left, strip = framed.columns[0] if framed.carries[1] else 0, max(STRIP, 8 * sum(framed.rows))
    pieces = min(threads, height // strip)
    if given == dtype and pieces <= 1:
        rows, skipped = framed.seen(0, height)
        return operation(rows, border, None)[skipped : skipped + height, left : left + width]
    out = np.empty(framed.shape, dtype)

    def fill(begin: int, end: int) -> None:
        rows, skipped = framed.seen(begin, end)
        done = operation(rows, border, None)[skipped : skipped + end - begin, left : left + width]
        store(done, out[begin:end])

    def fill_all_but_seams(begin: int, end: int) -> None:
        operation(framed.array[begin:end], border, out[begin:end])

    if given != dtype or any(framed.carries):
        by_strips(height, strip, lambda: fill, threads)
        return out
    piece = -(-height // pieces)
    by_strips(height, piece, lambda: fill_all_but_seams, threads)
    for seam in range(piece, height, piece) if sum(framed.rows) else ():
        fill(seam - framed.rows[1], seam + framed.rows[0])
    return out
