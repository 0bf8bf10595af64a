"""One large image in strips: each thread reads, computes and writes some."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import numpy as np

from imgtool.batch.memory import keep_freed_memory
from imgtool.batch.pool import ordered_map
from imgtool.cli.progress import tracked
from imgtool.filters.strip_filter import Rows, StripFilter, merge_extremes
from imgtool.image.pixels import Extremes


class Target(Protocol):
    """What rows are assigned to: an array, or a file."""

    def __setitem__(self, rows: slice, pixels: np.ndarray, /) -> None:
        """Store some rows."""


class Made(NamedTuple):
    """What became of an image: the result's shape, how many of its values were clipped, how many were not finite."""

    shape: tuple[int, ...]
    clipped: int
    not_finite: int


Opener = Callable[[tuple[int, ...], np.dtype], AbstractContextManager[Target]]


def filter_in_strips(local: StripFilter, image: Rows, opened: Opener, *, threads: int, quiet: bool) -> Made:
    """Filter an image strip by strip.

    opened: from the result's shape and type to the place for it, which is held open meanwhile.
    """
    keep_freed_memory(one_heap=True)
    first, *others = local.strips(image)
    extremes: Extremes | None = None
    if local.measure:
        measured = ordered_map(functools.partial(local.strip_extremes, image), [first, *others], threads)
        extremes = functools.reduce(merge_extremes, tracked(measured, 1 + len(others), quiet=quiet))
    begun = local.strip_pixels(image, first, extremes)
    shape = (image.shape[0], *begun.pixels.shape[1:])
    clipped, not_finite = begun.clipped, begun.not_finite
    with opened(shape, begun.pixels.dtype) as target:
        target[first] = begun.pixels

        def made(rows: slice) -> tuple[int, int]:
            stored = local.strip_pixels(image, rows, extremes)
            target[rows] = stored.pixels
            return stored.clipped, stored.not_finite

        for counts in tracked(ordered_map(made, others, threads), len(others), quiet=quiet):
            clipped, not_finite = clipped + counts[0], not_finite + counts[1]
    return Made(shape, clipped, not_finite)
