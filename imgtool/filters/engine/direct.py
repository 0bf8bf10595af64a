"""Correlation tap by tap, by OpenCV: the whole kernel, its column and row, or a running mean.

Every function fills a result of the type asked for; `wide` is the type in which sums are added up.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from imgtool.filters.engine.padded_view import NATIVE, PaddedView
from imgtool.filters.engine.rounding import OPENCV_DEPTHS, store
from imgtool.filters.engine.strips import Fill, fill_by_strips, strip_rows

INTEGER_MAX_TAPS = 16
STRIP_ROWS = 128  # rows at least: fewer would repeat too many, more not stay in the cache until they are rounded
Operation = Callable[[np.ndarray, int, np.ndarray | None], np.ndarray]  # (rows, OpenCV's border, where to) -> as many
Factors = tuple[np.ndarray, np.ndarray]  # a column and a row


def correlate_dense(view: PaddedView, taps: np.ndarray, wide: np.dtype, dtype: np.dtype, threads: int) -> np.ndarray:
    """Add up the whole kernel.

    OpenCV adds floats up faster than integers; only few taps do not repay making strips floating first, and rounding
    them while they are in the cache.
    """
    anchor = (view.columns[0], view.rows[0])
    few = wide == np.float32 and taps.size <= INTEGER_MAX_TAPS
    if view.array.dtype == dtype and (dtype == wide or (dtype == np.uint8 and few)):

        def whole(rows: np.ndarray, border: int, dst: np.ndarray | None) -> np.ndarray:
            return np.asarray(cv2.filter2D(rows, -1, taps, dst=dst, anchor=anchor, borderType=border))

        return _run_whole(view, whole, dtype, dtype, threads)
    out = np.empty(view.shape, dtype)
    reach, width, strip = sum(view.rows), view.shape[1], strip_rows(STRIP_ROWS, view.shape)

    def make() -> Fill:
        shape = (min(strip, len(out)) + reach, width + sum(view.columns), *view.shape[2:])
        floating, sums = np.empty((2, *shape), wide)  # one piece of memory: two are taken back and forth by the system

        def fill(begin: int, end: int) -> None:
            rows, result = floating[: end - begin + reach], sums[: end - begin + reach]
            np.copyto(rows, view.block(begin, end))
            cv2.filter2D(rows, -1, taps, dst=result, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
            store(result[: end - begin, :width], out[begin:end])

        return fill

    fill_by_strips(len(out), strip, make, threads)
    return out


def correlate_separable(
    view: PaddedView, factors: Factors, wide: np.dtype, dtype: np.dtype, threads: int
) -> np.ndarray:
    """A column and a row, one after the other. Of sums in float32, OpenCV rounds those of 8-bit images itself."""
    column, row = (factor.ravel() for factor in factors)
    anchor = (view.columns[0], view.rows[0])
    given = dtype if view.array.dtype == np.uint8 and wide == np.float32 else wide

    def whole(rows: np.ndarray, border: int, dst: np.ndarray | None) -> np.ndarray:
        done = cv2.sepFilter2D(rows, OPENCV_DEPTHS[given], row, column, dst=dst, anchor=anchor, borderType=border)
        return np.asarray(done)

    return _run_whole(view, whole, given, dtype, threads)


def correlate_box(view: PaddedView, tap: float, wide: np.dtype, dtype: np.dtype, threads: int) -> np.ndarray:
    """Every tap the same, 1 or 1 / their number: by running sums, which for pixels that are integers are exact.

    OpenCV rounds a mean just between two levels up; where it may be there, we round.
    """
    anchor, size = (view.columns[0], view.rows[0]), (sum(view.columns) + 1, sum(view.rows) + 1)
    odd = size[0] * size[1] % 2 == 1
    given = dtype if view.array.dtype == np.uint8 and (odd or dtype.kind == "f") else wide

    def whole(rows: np.ndarray, border: int, dst: np.ndarray | None) -> np.ndarray:
        mean = cv2.boxFilter(
            rows, OPENCV_DEPTHS[given], size, dst=dst, anchor=anchor, normalize=tap != 1, borderType=border
        )
        return np.asarray(mean)

    return _run_whole(view, whole, given, dtype, threads)


def _run_whole(view: PaddedView, operation: Operation, given: np.dtype, dtype: np.dtype, threads: int) -> np.ndarray:
    """Let OpenCV see to the border where it can: in one call, a piece for each thread, or strips to be rounded."""
    view = view.for_opencv()
    border = NATIVE.get(view.border, cv2.BORDER_CONSTANT)
    height, width = view.shape[:2]
    left, strip = view.columns[0] if view.carries[1] else 0, max(STRIP_ROWS, 8 * sum(view.rows))
    pieces = min(threads, height // strip)
    if given == dtype and pieces <= 1:
        rows, skipped = view.source_rows(0, height)
        return operation(rows, border, None)[skipped : skipped + height, left : left + width]
    out = np.empty(view.shape, dtype)

    def fill(begin: int, end: int) -> None:
        rows, skipped = view.source_rows(begin, end)
        done = operation(rows, border, None)[skipped : skipped + end - begin, left : left + width]
        store(done, out[begin:end])

    def fill_all_but_seams(begin: int, end: int) -> None:
        operation(view.array[begin:end], border, out[begin:end])

    if given != dtype or any(view.carries):
        fill_by_strips(height, strip, lambda: fill, threads)
        return out
    piece = -(-height // pieces)
    fill_by_strips(height, piece, lambda: fill_all_but_seams, threads)
    for seam in range(piece, height, piece) if sum(view.rows) else ():
        fill(seam - view.rows[1], seam + view.rows[0])
    return out
