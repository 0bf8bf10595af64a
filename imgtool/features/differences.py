"""Differences of neighboring pixels, with which every form of HoG begins, strip by strip in the processor's cache.

They are central, not halved, and 0 at the ends of the image's lines, where a pixel lacks a neighbor. (A mirrored border
gives the same.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import DTypeLike

from imgtool.features.scratch import scratch

SIDE = 511  # differences of 8-bit values: -255 to 255
_SPLIT_TYPES = frozenset(map(np.dtype, ("u1", "u2", "i2", "f4", "f8")))
_EXACT_IN_SINGLE = frozenset(map(np.dtype, ("u1", "u2", "i1", "i2", "f4")))


class Differences:
    """Differences of the first columns of an image without alpha, at most so many rows at once."""

    def __init__(
        self,
        image: np.ndarray,
        *,
        rows: int,
        width: int,
        dtype: DTypeLike = np.float32,
        root: bool = False,
        keep: bool = False,
    ) -> None:
        self._image, self._root, self.width = image, root, width
        self.pixels = len(image) * width
        self._reach = min(image.shape[1], width + 1)  # columns that are looked at
        self.channels = image[0, 0].size
        self._values = scratch("values", (rows + 2, self._reach), dtype)
        self._pairs = [
            [scratch(f"g{axis}{channel}", (rows, self._reach), dtype) for axis in "xy"]
            for channel in range(self.channels if keep else min(self.channels, 2))
        ]

    def each(self, first: int, last: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (gx, gy) of each channel in the rows first..last-1; the next strip takes their memory.

        So do, unless kept, those of the third channel with the second's.
        """
        above, below = max(first - 1, 0), min(last + 1, len(self._image))
        rows = self._image[above:below, : self._reach]
        for channel, plane in enumerate(_planes(rows)):
            gx, gy = self._pairs[min(channel, len(self._pairs) - 1)]
            values = self._values[: below - above]
            self._copy(plane, values)
            yield (
                self._across(values[first - above : last - above], gx[: last - first]),
                self._down(values, gy[: last - first], above + 1 - first),
            )

    def _copy(self, plane: np.ndarray, values: np.ndarray) -> None:
        if not self._root:
            np.copyto(values, plane, casting="unsafe")
        elif plane.dtype in _EXACT_IN_SINGLE:
            np.copyto(values, plane, casting="unsafe")
            np.sqrt(values, out=values)
        else:
            np.copyto(values, np.sqrt(plane, dtype=np.float64), casting="unsafe")

    def _across(self, values: np.ndarray, gx: np.ndarray) -> np.ndarray:
        """Fill gx. As one line, the ends of its rows set right afterwards: rows of their own take longer."""
        line, result = values.reshape(-1), gx.reshape(-1)
        np.subtract(line[2:], line[:-2], out=result[1:-1])
        gx[:, 0] = 0
        if self._reach == self._image.shape[1]:
            gx[:, -1] = 0
        return gx[:, : self.width]

    def _down(self, values: np.ndarray, gy: np.ndarray, begin: int) -> np.ndarray:
        """Fill gy, whose rows from `begin` on have a neighbor above, as many as the values have rows below."""
        end = begin + max(len(values) - 2, 0)
        gy[:begin], gy[end:] = 0, 0
        np.subtract(values[2:], values[:-2], out=gy[begin:end])
        return gy[:, : self.width]

    def strongest(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (gx, gy) of the channel with the largest square of the magnitude, the first on ties.

        Square roots often make ties that the squares, in single precision, decide.
        """
        if self.channels == 1:
            return next(self.each(first, last))
        found = enumerate(self.each(first, last))
        channels = ([_squares(gx, gy, f"square{k > 0}"), gx, gy] for k, (gx, gy) in found)
        _, gx, gy = _strongest(channels, self.channels)
        return gx, gy

    def places(self, first: int, last: int) -> np.ndarray:
        """Return 511 gy + gx of the strongest channel, of an 8-bit image: whole numbers, exact in float32."""
        if self.channels == 1:
            return _place(*next(self.each(first, last)))
        return self._squares_and_places(first, last, self.channels)[1]

    def squares_and_places(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Return gx^2 + gy^2 as well, first."""
        square, place = self._squares_and_places(first, last, None)
        return square, place

    def _squares_and_places(self, first: int, last: int, count: int | None) -> list[np.ndarray]:
        found = enumerate(self.each(first, last))
        channels = ([_squares(gx, gy, f"square{k > 0}"), _place(gx, gy)] for k, (gx, gy) in found)
        return _strongest(channels, count)


def _strongest(channels: Iterable[list[np.ndarray]], count: int | None) -> list[np.ndarray]:
    """Return what belongs to the largest square, which stands first, at each pixel; in the first channel's memory.

    count: of channels, after whose last the square is needed no more; None where it is.
    """
    best: list[np.ndarray] = []
    for number, channel in enumerate(channels, 1):
        if best:
            stronger = cv2.compare(channel[0], best[0], cv2.CMP_GT)
            needed = slice(int(number == count), None)
            for new, kept in zip(channel[needed], best[needed], strict=True):
                cv2.copyTo(new, stronger, kept)
        else:
            best = channel
    return best


def _planes(rows: np.ndarray) -> list[np.ndarray]:
    if rows.ndim == 2:
        return [rows]
    if rows.dtype in _SPLIT_TYPES:
        return list(cv2.split(rows))
    return list(np.moveaxis(rows, 2, 0))


def _squares(gx: np.ndarray, gy: np.ndarray, name: str) -> np.ndarray:
    result = np.multiply(gx, gx, out=scratch(name, gx.shape))
    return np.asarray(cv2.accumulateSquare(gy, result))


def _place(gx: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """Return 511 gy + gx, in gx's memory."""
    return np.asarray(cv2.scaleAdd(gy, SIDE, gx, dst=gx))
