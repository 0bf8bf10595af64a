"""A separable kernel as two products with a banded matrix, which a long kernel repays.

The taps stand in the rows of a matrix, each row one further to the right: (T f)(i) = sum over j of t(j) f(i + j). On
an array that carries its margins the matrix is the same for every 64 rows, and for every 64 columns.
"""

from __future__ import annotations

import cv2
import numpy as np

from imgtool.filters.framed import Framed
from imgtool.filters.storing import store
from imgtool.filters.strips import by_strips

# Rows of a band. A result is bit for bit the same by whatever strips of whole bands it is computed: within one, sums
# begin at a row of the matrix, and where a product breaks a long sum depends on that.
BAND = 64
STRIP = 4 * BAND  # rows made floating at a time, each for all the bands that need it


def banded(
    framed: Framed, factors: tuple[np.ndarray, np.ndarray], wide: np.dtype, dtype: np.dtype, threads: int
) -> np.ndarray:
    """Return the correlation with a column and a row, added up as `wide`."""
    down, across = (toeplitz(factor.ravel(), BAND).astype(wide) for factor in factors)
    out = np.empty(framed.shape, dtype)

    def fill(begin: int, end: int) -> None:
        rows = framed.lines(begin, end).astype(wide, copy=False)
        for top in range(begin, end, BAND):
            bottom = min(top + BAND, end)
            band = rows[top - begin : bottom - begin + sum(framed.rows)]
            lines = down[: bottom - top, : len(band)] @ band.reshape(len(band), -1)
            lines = framed.across(lines.reshape(bottom - top, *rows.shape[1:]))
            planes = [_along_rows(plane, across, framed.shape[1]) for plane in cv2.split(lines)]
            store(cv2.merge(planes), out[top:bottom])

    by_strips(framed.shape[0], STRIP, lambda: fill, threads)
    return out


def toeplitz(taps: np.ndarray, rows: int) -> np.ndarray:
    """Return (rows, rows + taps - 1): the taps, one further to the right in each row."""
    line = np.concatenate([np.zeros(rows - 1), taps, np.zeros(rows - 1)])
    return np.lib.stride_tricks.sliding_window_view(line, rows + len(taps) - 1)[::-1]


def _along_rows(lines: np.ndarray, matrix: np.ndarray, width: int) -> np.ndarray:
    """Return (rows, width): every row of `lines` times the matrix, band by band."""
    out = np.empty((len(lines), width), lines.dtype)
    bands, rest = divmod(width, BAND)
    if bands:
        windows = np.lib.stride_tricks.sliding_window_view(lines, matrix.shape[1], axis=1)[:, ::BAND].swapaxes(0, 1)
        targets = np.lib.stride_tricks.sliding_window_view(out, BAND, axis=1, writeable=True)[:, ::BAND].swapaxes(0, 1)
        np.matmul(windows[:bands], matrix.T, out=targets)
    if rest:
        begin = bands * BAND
        out[:, begin:] = lines[:, begin:] @ matrix[:rest, : lines.shape[1] - begin].T
    return out
