"""Windows of one value, of which a derivative is 0: exactly, whatever the method made of them by rounding."""

from __future__ import annotations

import cv2
import numpy as np

from imgtool.filters.engine.nonfinite import any_nonfinite
from imgtool.filters.engine.padded_view import PaddedView
from imgtool.filters.engine.strips import Fill, fill_by_strips, strip_rows

STRIP_ROWS = 64  # rows at least: more would not stay in the cache
_COMPARED_BY_OPENCV = ("uint8", "int8", "uint16", "int16", "int32", "float32", "float64")


def zero_flat_windows(view: PaddedView, result: np.ndarray, threads: int) -> None:
    """Set results to 0 where all pixels that the kernel reaches are equal and finite, in each channel by itself."""
    sides = sum(view.rows) + 1, sum(view.columns) + 1
    if not _may_hold_flat_windows(view, *sides):
        return

    def fill(begin: int, end: int) -> None:
        block, lines = view.block(begin, end), result[begin:end]
        flat = _flat_windows(block, *sides) > 0
        if block.dtype.kind == "f" and any_nonfinite(block.reshape(len(block), -1)):  # equal infinities are not flat
            flat &= np.isfinite(block[: len(lines), : lines.shape[1]])
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
    step = across - 1
    here = array[::down, :-1:step]
    equal = here == array[::down, 1::step]
    if not equal.any():
        return False
    above, below = array[down - 1 :: down, :-1:step], array[1::down, :-1:step]  # of the rows but the first or last
    like_above, like_below = np.ones_like(equal), np.ones_like(equal)
    like_above[1:] = here[1:] == above[: len(here) - 1]
    like_below[: len(below)] = here[: len(below)] == below
    return bool((equal & (like_above | like_below)).any())


def _flat_windows(block: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return 255 at each pixel at which a window begins that holds one value, else 0.

    Each pixel but the last of a window is compared with the next one beside and below, the last one with the first.
    """
    equal = np.full(block.shape, 255, np.uint8)
    if columns > 1:
        equal[:, :-1] = _equal(block[:, 1:], block[:, :-1])
    if rows > 1:
        equal[:-1] &= _equal(block[1:], block[:-1])
    window = np.ones((max(rows - 1, 1), max(columns - 1, 1)), np.uint8)
    flat = np.asarray(cv2.erode(equal, window, anchor=(0, 0))).reshape(block.shape)
    height, width = block.shape[0] - rows + 1, block.shape[1] - columns + 1
    last = block[rows - 1 :, columns - 1 :]
    return np.asarray(flat[:height, :width] & _equal(block[:height, :width], last))


def _equal(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return 255 where two arrays are equal, else 0."""
    if one.dtype.name in _COMPARED_BY_OPENCV:
        return np.asarray(cv2.compare(one, other, cv2.CMP_EQ)).reshape(one.shape)
    return np.where(one == other, np.uint8(255), np.uint8(0))
