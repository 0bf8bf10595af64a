"""Rows of a result computed strip by strip, by one thread or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

STRIP_PIXELS = 1 << 18  # of a strip, unless its rows are too long: fewer strips of what the cache holds anyway
Fill = Callable[[int, int], None]  # computes the rows begin..end-1 of a result


def fill_by_strips(height: int, rows: int, make: Callable[[], Fill], threads: int) -> None:
    """Fill strips of so many rows, the last one perhaps shorter; each thread makes a function of its own for that.

    What the function keeps between strips saves the system from handing out the same memory again and again.
    """
    bounds = iter([(begin, min(begin + rows, height)) for begin in range(0, height, rows)])
    if threads <= 1 or height <= rows:
        _work(make, bounds)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(_work, make, bounds) for _ in range(threads - 1)]
        _work(make, bounds)
        for done in others:
            done.result()


def _work(make: Callable[[], Fill], bounds: Iterator[tuple[int, int]]) -> None:
    fill = make()
    with np.errstate(all="ignore"):  # a thread does not inherit it; NaN and infinity are looked for in the result
        for begin, end in bounds:
            fill(begin, end)


def strip_rows(least: int, shape: tuple[int, ...], pixels: int = STRIP_PIXELS) -> int:
    """Return how many rows a strip shall have: a multiple of `least`."""
    return least * max(1, pixels // (least * math.prod(shape[1:])))


def empty_aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an empty array that begins at a multiple of 64 bytes."""
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + 64, np.uint8)
    begin = -raw.ctypes.data % 64
    return raw[begin : begin + size].view(dtype).reshape(shape)
