"""A separable kernel as two products with a banded matrix, which a long kernel repays.

The taps stand in the rows of a matrix, each row one further to the right: (T f)(i) = sum over j of t(j) f(i + j). On
an array that carries its margins the matrix is the same for every 64 rows, and for every 64 columns.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from imgtool.filters.engine.padded_view import PaddedView
from imgtool.filters.engine.rounding import store
from imgtool.filters.engine.strips import Fill, fill_by_strips

# Rows of a band. A result is bit for bit the same by whatever strips of whole bands it is computed: within one, sums
# begin at a row of the matrix, and where a product breaks a long sum depends on that.
BAND_ROWS = 64
STRIP_ROWS = 4 * BAND_ROWS  # rows made floating at a time, each for all the bands that need it


def correlate_banded(
    view: PaddedView, factors: tuple[np.ndarray, np.ndarray], wide: np.dtype, dtype: np.dtype, threads: int
) -> np.ndarray:
    """Return the correlation with a column and a row, added up as `wide`."""
    down, across = (toeplitz(factor.ravel(), BAND_ROWS).astype(wide) for factor in factors)
    across = np.ascontiguousarray(across.T)  # as a transposed view it costs OpenBLAS nearly twice the time
    out = np.empty(view.shape, dtype)
    width, channels = view.shape[1], view.shape[2:]

    def make() -> Fill:
        lines = np.empty((BAND_ROWS, view.array.shape[1], *channels), wide)
        planes = [np.empty((BAND_ROWS, width), wide) for _ in range(math.prod(channels))]

        def fill(begin: int, end: int) -> None:
            rows = view.lines(begin, end).astype(wide, copy=False)
            for top in range(begin, end, BAND_ROWS):
                high = min(BAND_ROWS, end - top)
                band = rows[top - begin : top - begin + high + sum(view.rows)]
                np.matmul(down[:high, : len(band)], band.reshape(len(band), -1), out=lines[:high].reshape(high, -1))
                parts = cv2.split(view.across(lines[:high])) if channels else [view.across(lines[:high])]
                for part, plane in zip(parts, planes, strict=True):
                    _along_rows(part, across, plane[:high])
                done = [plane[:high] for plane in planes]
                store(cv2.merge(done) if channels else done[0], out[top : top + high])

        return fill

    fill_by_strips(view.shape[0], STRIP_ROWS, make, threads)
    return out


def toeplitz(taps: np.ndarray, rows: int) -> np.ndarray:
    """Return (rows, rows + taps - 1): the taps, one further to the right in each row."""
    line = np.concatenate([np.zeros(rows - 1), taps, np.zeros(rows - 1)])
    return np.lib.stride_tricks.sliding_window_view(line, rows + len(taps) - 1)[::-1]


def _along_rows(lines: np.ndarray, matrix: np.ndarray, out: np.ndarray) -> None:
    """Fill `out`, as many rows, with every row of `lines` times the matrix (taps lie in its columns), band by band."""
    bands, rest = divmod(out.shape[1], BAND_ROWS)
    if bands:
        windows = np.lib.stride_tricks.sliding_window_view(lines, len(matrix), axis=1)[:, ::BAND_ROWS].swapaxes(0, 1)
        targets = out[:, : bands * BAND_ROWS].reshape(len(out), bands, BAND_ROWS).swapaxes(0, 1)
        np.matmul(windows[:bands], matrix, out=targets)
    if rest:
        begin = bands * BAND_ROWS
        np.matmul(lines[:, begin:], matrix[: lines.shape[1] - begin, :rest], out=out[:, begin:])
