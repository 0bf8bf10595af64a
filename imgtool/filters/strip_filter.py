"""Filters of images too large for memory: strips of rows, each with as many rows around it as the filter looks at.

A filter that looks no further than `reach` rows gives, for a strip with that many rows above and below, the rows that
it gives for the whole image, and wrong ones only at the strip's own edges; these are cut off. At the image's edges
the strip ends where the image ends, and the filter's border does what it does for the whole image; `wrap` finds the
rows of the other end there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from imgtool.filters.convolve import cannot_clip
from imgtool.filters.engine.banded import BAND_ROWS
from imgtool.filters.engine.plan import BANDED_FROM_TAPS
from imgtool.image.pixels import Extremes, Pixels

LARGE_PIXELS = 4_000_000  # pixels from which an image is worked on in strips
STRIP_BYTES = 1 << 22  # that the numbers of a strip may take
SHORT_REACH_STRIP_BYTES = 1 << 20  # that they take for filters that look at few rows
# From this reach on kernels work on bands of rows, which are to be the same ones in every strip.
BANDED_REACH_ROWS = min(BANDED_FROM_TAPS.values()) // 2


class Rows(Protocol):
    """An image that is sliced by rows: an array, or a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (height, width[, channels])."""

    @property
    def dtype(self) -> np.dtype:
        """Return the type of the samples."""

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        """Return some rows."""


@dataclass(frozen=True)
class StripFilter:
    """From an image to pixels, no row of which depends on rows further away than `reach`.

    values: from an image to numbers (height, width, ...); measure: the extremes of them all, where pixels depend on
    them; pixels: from (numbers, the image's rows, extremes) to what is stored. wraps: beyond its ends the image goes on
    at the other end. narrow: the numbers of integer images are of their own type; size: bytes of one, if they are not.
    adapt: from a whole image to the filter for it.
    """

    values: Callable[[np.ndarray], np.ndarray]
    pixels: Callable[[np.ndarray, np.ndarray, Extremes | None], Pixels]
    reach: int
    wraps: bool = False
    measure: Callable[[np.ndarray], Extremes] | None = None
    narrow: bool = False
    size: int = 8
    adapt: Callable[[Rows], StripFilter] | None = None

    def of(self, image: Rows) -> StripFilter:
        """Return the filter for one image: another one where the image as a whole decides."""
        return self.adapt(image) if self.adapt else self

    def __call__(self, image: np.ndarray) -> Pixels:
        """Return the pixels of a whole image."""
        own = self.of(image)
        values = own.values(image)
        return own.pixels(values, image, own.measure(values) if own.measure else None)

    def takes_strips(self, image: Rows) -> bool:
        """Tell whether an image is large enough for strips to pay."""
        return image.shape[0] * image.shape[1] >= LARGE_PIXELS

    def strips(self, image: Rows) -> Iterator[slice]:
        """Yield the rows to take at a time: many more than are looked at around them, if their numbers leave room."""
        height, across = image.shape[0], math.prod(image.shape[1:])
        own = self.narrow or image.dtype.kind == "f"
        row = across * (image.dtype.itemsize if own else self.size)  # bytes
        step = max(min(16 * self.reach, STRIP_BYTES // row), SHORT_REACH_STRIP_BYTES // row, self.reach, 1)
        step = _round_up_to_band(step) if self.reach >= BANDED_REACH_ROWS else step
        return (slice(begin, min(begin + step, height)) for begin in range(0, height, step))

    @property
    def looks_at(self) -> int:
        """Return how many rows around a strip are read, at most."""
        return _round_up_to_band(self.reach) if self.reach >= BANDED_REACH_ROWS else self.reach

    def strip_extremes(self, image: Rows, rows: slice) -> Extremes | None:
        """Return the extremes of some rows."""
        return self.measure(self._strip_values(image, rows)[0]) if self.measure else None

    def strip_pixels(self, image: Rows, rows: slice, extremes: Extremes | None) -> Pixels:
        """Return the pixels of some rows."""
        return self.pixels(*self._strip_values(image, rows), extremes)

    def _strip_values(self, image: Rows, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of some rows, and these rows."""
        surrounded, before = self._rows_with_reach(image, rows)
        kept = slice(before, before + rows.stop - rows.start)
        return self.values(surrounded)[kept], surrounded[kept]

    def _rows_with_reach(self, image: Rows, rows: slice) -> tuple[np.ndarray, int]:
        """Return the rows with those that the filter looks at, and how many of these come before."""
        height = image.shape[0]
        begin, end = rows.start - self.looks_at, rows.stop + self.reach
        if self.wraps and end - begin < height:
            ranges = [(begin + height, height), (max(begin, 0), min(end, height)), (0, end - height)]
            return np.concatenate([image[max(a, 0) : b] for a, b in ranges if a < b]), rows.start - begin
        begin, end = (0, height) if self.wraps else (max(begin, 0), min(end, height))
        return image[begin:end], rows.start - begin


def _round_up_to_band(rows: int) -> int:
    """Return the next multiple of BAND_ROWS."""
    return -(-rows // BAND_ROWS) * BAND_ROWS


def convolution_type(taps: np.ndarray | None, image: np.dtype, range: str, depth: str) -> np.dtype | None:
    """Return the type in which to convolve: the pixels' own where nothing can be clipped; None for the usual one."""
    as_pixels = taps is not None and cannot_clip(taps) and range in ("auto", "clip") and depth == "keep"
    return image if as_pixels and image.kind == "u" and image.itemsize <= 2 else None


def merge_extremes(first: Extremes | None, second: Extremes | None) -> Extremes | None:
    """Return the extremes of two parts together."""
    if first is None or second is None:
        return first or second
    return min(first[0], second[0]), max(first[1], second[1])
