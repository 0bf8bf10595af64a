"""An image with what lies outside it, block by block: no copy of the whole is made to give it margins."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from imgtool.filters.borders import indices

# Borders as OpenCV's filters take them; they refuse `wrap`, which its copyMakeBorder knows.
NATIVE = {
    "reflect": cv2.BORDER_REFLECT,
    "clip": cv2.BORDER_CONSTANT,
    "copy": cv2.BORDER_REPLICATE,
    "mirror": cv2.BORDER_REFLECT_101,
}
MARGINS = {**NATIVE, "wrap": cv2.BORDER_WRAP}


@dataclass(frozen=True)
class PaddedView:
    """An image (height, width[, channels]) and how far a kernel reaches beyond it: (above, below), (left, right).

    border: what lies there; value: of the pixels outside a `clip` border; carries: whether the array has those rows,
    and those columns, already. The image is what remains without them.
    """

    array: np.ndarray
    rows: tuple[int, int]
    columns: tuple[int, int]
    border: str
    carries: tuple[bool, bool] = (False, False)
    value: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image."""
        height = self.array.shape[0] - (sum(self.rows) if self.carries[0] else 0)
        width = self.array.shape[1] - (sum(self.columns) if self.carries[1] else 0)
        return (height, width, *self.array.shape[2:])

    def for_opencv(self) -> PaddedView:
        """Return the same, carrying the rows and columns that OpenCV's filters would not see outside themselves.

        They cannot wrap, see no value outside but 0, and reaching past a small image more than once is left to us.
        """
        ours = self.border not in NATIVE or self.value != 0
        across = ours or sum(self.columns) >= self.shape[1]
        down = ours or sum(self.rows) >= self.shape[0]
        if across and down and not any(self.carries):
            sides = (*self.rows, *self.columns)
            return replace(self, array=self._surround(self.array, *sides), carries=(True, True))
        view = self.with_columns() if across else self
        return view.with_rows() if down else view

    def with_rows(self) -> PaddedView:
        """Return the same, its rows above and below carried."""
        return (
            self
            if self.carries[0]
            else replace(self, array=self.lines(0, self.shape[0]), carries=(True, self.carries[1]))
        )

    def with_columns(self) -> PaddedView:
        """Return the same, its columns left and right carried."""
        return (
            self if self.carries[1] else replace(self, array=self.across(self.array), carries=(self.carries[0], True))
        )

    def block(self, begin: int, end: int) -> np.ndarray:
        """Return all that the rows begin..end-1 of a result need, margins on all sides included."""
        high, reach = len(self.array), sum(self.rows)
        top, bottom = begin - self.rows[0], end + self.rows[1]
        beyond = max(-top, 0), max(bottom - high, 0)
        if any(self.carries) or not any(beyond) or self.border == "wrap" or end - begin <= reach:
            return self.across(self.lines(begin, end))
        lines = self.array[max(top, 0) : bottom]
        return self._surround(lines, *beyond, *self.columns)

    def source_rows(self, begin: int, end: int) -> tuple[np.ndarray, int]:
        """Return rows from which an OpenCV filter gives the rows begin..end-1, after how many others; see `for_opencv`.

        Where it sees to the border itself it also needs the rows that lie there mirrored.
        """
        first, reach = self.rows[0] if self.carries[0] else 0, sum(self.rows)
        top, bottom = begin + first - self.rows[0], end + first + self.rows[1]
        if top < 0 or bottom > len(self.array):
            top, bottom = max(top - reach, 0), bottom + reach
        return self.array[top:bottom], begin + first - top

    def lines(self, begin: int, end: int) -> np.ndarray:
        """Return the same without margins left and right, unless the array carries them."""
        reach = end + sum(self.rows)
        if self.carries[0]:
            return self.array[begin:reach]
        top, bottom = begin - self.rows[0], end + self.rows[1]
        if top >= 0 and bottom <= len(self.array):
            return self.array[top:bottom]
        wanted = indices(len(self.array), *self.rows, self.border)[begin:reach]
        lines = self.array[wanted]
        lines[wanted < 0] = self.value
        return np.asarray(lines)

    def across(self, lines: np.ndarray) -> np.ndarray:
        """Return such lines with the margins left and right."""
        if self.carries[1]:
            return lines
        return self._surround(lines, 0, 0, *self.columns)

    def _surround(self, lines: np.ndarray, above: int, below: int, left: int, right: int) -> np.ndarray:
        """Return lines with what lies outside."""
        border, value = MARGINS[self.border], [self.value] * 4
        return np.asarray(cv2.copyMakeBorder(lines, above, below, left, right, border, value=value))
