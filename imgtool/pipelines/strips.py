"""Filter one large image in strips: each thread reads, computes and writes some of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeGuard, TypeVar

import numpy as np

from imgtool.batch.memory import keep_freed_memory
from imgtool.batch.pool import ordered_map
from imgtool.events import Events, Progress
from imgtool.filters.strip_filter import Rows, StripFilter, merge_extremes
from imgtool.image.pixels import Extremes

Result = TypeVar("Result")


class Target(Protocol):
    """A destination for rows: an array or a file."""

    def __setitem__(self, rows: slice, pixels: np.ndarray, /) -> None:
        """Store some rows."""


class StripResult(NamedTuple):
    """The result's shape, and what `Pixels` holds beside the pixels."""

    shape: tuple[int, ...]
    clipped: int
    not_finite: int
    flattened: bool
    nodata: int


Opener = Callable[[tuple[int, ...], np.dtype, np.ndarray | None], AbstractContextManager[Target]]


class _Overwritten:
    """An array that its own result overwrites strip by strip: rows around the seams are kept as they were."""

    def __init__(self, image: np.ndarray, seams: Iterable[int], reach: int) -> None:
        self._image, self.shape, self.dtype = image, image.shape, image.dtype
        places = [slice(max(seam - reach, 0), seam + reach) for seam in seams]
        self._kept = [(place, image[place].copy()) for place in places]

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        """Return a copy of some rows of the image as it was: those of one strip, and around it those that are kept."""
        result = self._image[rows].copy()
        for place, kept in self._kept:
            begin, end = max(place.start, rows.start), min(place.start + len(kept), rows.stop)
            if begin < end:
                result[begin - rows.start : end - rows.start] = kept[begin - place.start : end - place.start]
        return result


def filter_in_strips(
    local: StripFilter, image: Rows, open_target: Opener, *, threads: int, events: Events | None
) -> StripResult:
    """Filter an image strip by strip.

    open_target: from the result's shape and type, and an array of these that may become the result or None, to the
    place for it, which is held open meanwhile. An image that is an array is used up.
    """
    keep_freed_memory(one_heap=True)
    local = local.of(image)
    first, *others = local.strips(image)
    extremes: Extremes | None = None
    if local.measure:
        measured = ordered_map(functools.partial(local.strip_extremes, image), [first, *others], threads)
        extremes = functools.reduce(merge_extremes, _with_events(measured, 1 + len(others), events))
    begin = local.strip_pixels(image, first, extremes)
    shape = (image.shape[0], *begin.pixels.shape[1:])
    clipped, not_finite, nodata = begin.clipped, begin.not_finite, begin.nodata
    spare = image if _is_like(image, begin.pixels.dtype, shape) and not local.wraps else None
    with open_target(shape, begin.pixels.dtype, spare) as target:
        if spare is not None and target is spare:
            image = _Overwritten(spare, [strip.start for strip in others], local.looks_at)
        target[first] = begin.pixels

        def store(rows: slice) -> tuple[int, int, int]:
            stored = local.strip_pixels(image, rows, extremes)
            target[rows] = stored.pixels
            return stored.clipped, stored.not_finite, stored.nodata

        for counts in _with_events(ordered_map(store, others, threads), len(others), events):
            clipped, not_finite, nodata = clipped + counts[0], not_finite + counts[1], nodata + counts[2]
    return StripResult(shape, clipped, not_finite, begin.flattened, nodata)


def _is_like(image: Rows, dtype: np.dtype, shape: tuple[int, ...]) -> TypeGuard[np.ndarray]:
    """Tell whether an image is an array that a result of that type and shape may overwrite."""
    return isinstance(image, np.ndarray) and image.flags.writeable and (image.dtype, image.shape) == (dtype, shape)


def _with_events(results: Iterable[Result], total: int, events: Events | None) -> Iterator[Result]:
    """Yield results, and report progress."""
    for done, result in enumerate(results, 1):
        yield result
        if events:
            events(Progress(done, total, "strips"))
