"""Windows of one value, of which a derivative is 0: exactly, whatever the method made of them by rounding."""

from __future__ import annotations

import cv2
import numpy as np

from imgtool.filters.engine.padded_view import PaddedView
from imgtool.filters.engine.strips import Fill, fill_by_strips, strip_rows

STRIP_ROWS = 64  # rows at least: more would not stay in the cache
SMALL_EPS = 64  # times eps, sum of |taps| and the largest pixel: no rounding of a sum of equal pixels is larger


def zero_flat_windows(view: PaddedView, result: np.ndarray, taps_size: float, threads: int) -> None:
    """Set results to 0 where all pixels that the kernel reaches are equal and finite, in each channel by itself.

    taps_size: the sum of absolute taps.
    """
    sides = sum(view.rows) + 1, sum(view.columns) + 1
    if not _may_hold_flat_windows(view, *sides):
        return
    small = SMALL_EPS * float(np.finfo(result.dtype).eps) * taps_size * _peak(view.array)

    def fill(begin: int, end: int) -> None:
        lines = result[begin:end]
        near = np.asarray(cv2.inRange(lines.reshape(len(lines), -1), -small, small))
        if cv2.countNonZero(near):
            flat = _flat_windows(view.block(begin, end), near.reshape(lines.shape) > 0, *sides)
            if flat is not None:
                lines[flat] = 0

    def make() -> Fill:
        return fill

    fill_by_strips(len(result), strip_rows(STRIP_ROWS, result.shape), make, threads)


def _may_hold_flat_windows(view: PaddedView, rows: int, columns: int) -> bool:
    """Return whether any window may hold one value: it then does so at one place at least of a grid within the image.

    A window that reaches beyond the image has so many rows and columns in it. Looked at are pairs of neighbors, and
    whether a pixel equals the one above or below.
    """
    array, (height, width) = view.array, view.array.shape[:2]
    down, across = rows - max(view.rows), columns - max(view.columns)
    if not (2 <= down <= height and 2 <= across <= width):
        return True
    y, x = np.arange(0, height, down), np.arange(0, width - 1, across - 1)
    here, above, below = (array[each][:, x] for each in (y, np.maximum(y - 1, 0), np.minimum(y + 1, height - 1)))
    equal = (here == array[y][:, x + 1]) & ((here == above) | (here == below))
    return bool(equal.any())


def _peak(array: np.ndarray) -> float:
    """Return the largest magnitude of a pixel, infinity where there is none."""
    if array.dtype.kind != "f":
        limits = np.iinfo(array.dtype)
        return float(max(limits.max, -int(limits.min)))
    peak = float(cv2.norm(array.reshape(len(array), -1), cv2.NORM_INF))
    return peak if np.isfinite(peak) else np.inf


def _flat_windows(block: np.ndarray, near: np.ndarray, rows: int, columns: int) -> np.ndarray | None:
    """Return which windows of a block hold one value, among those of results near 0; None where none does."""
    height, width = near.shape[:2]
    first = block[:height, :width]
    for corner in (block[rows - 1 :, columns - 1 :], block[rows - 1 :, :width], block[:height, columns - 1 :]):
        near &= first == corner
    if not near.any():  # as in most photographs: all of a window need not be looked at
        return None
    changes = _changes(block, rows, columns)
    size = max(columns - 1, 1), max(rows - 1, 1)
    counts = cv2.boxFilter(changes, cv2.CV_32S, size, anchor=(0, 0), normalize=False, borderType=cv2.BORDER_CONSTANT)
    near &= np.asarray(counts).reshape(changes.shape)[:height, :width] == 0
    return near & np.isfinite(first) if block.dtype.kind == "f" else near


def _changes(block: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return, as 0 and 1, where a pixel differs from the next one in the directions in which windows extend."""
    height, width = block.shape[0] - (rows > 1), block.shape[1] - (columns > 1)
    changes = np.zeros((height, width, *block.shape[2:]), bool)
    if columns > 1:
        changes |= block[:height, 1:] != block[:height, :-1]
    if rows > 1:
        changes |= block[1:, :width] != block[:-1, :width]
    return changes.view(np.uint8)
