"""Numbers as bars of text."""

from __future__ import annotations

from collections.abc import Sequence

FULL = "#"


def bars(numbers: Sequence[float], width: int, top: float | None = None) -> list[str]:
    """Return a bar for each number, as long as its share of the largest, or of `top`; at least one sign above 0.

    >>> bars([0, 0.01, 2, 4], 8)
    ['', '#', '####', '########']
    """
    largest = max(numbers, default=0.0) if top is None else top
    lengths = (round(width * number / largest) if largest > 0 else 0 for number in numbers)
    return [FULL * max(length, 1 if number > 0 else 0) for length, number in zip(lengths, numbers, strict=True)]
