"""Rows of a result computed strip by strip, by one thread or several."""

from __future__ import annotations

from collections.abc import Callable

Fill = Callable[[int, int], None]


def by_strips(height: int, rows: int, fill: Fill, threads: int) -> None:
    """Call fill(begin, end) for strips of so many rows, the last one perhaps shorter."""
    bounds = [(begin, min(begin + rows, height)) for begin in range(0, height, rows)]
    if threads <= 1 or len(bounds) == 1:
        for begin, end in bounds:
            fill(begin, end)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(fill, begin, end) for begin, end in bounds]:
            done.result()
