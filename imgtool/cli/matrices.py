"""Matrices as text: side by side under their titles where they fit, else one below the other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

GAP = "   "  # between two matrices
MAX_COLUMNS = 110  # of text, on wider terminals too


class Matrix(NamedTuple):
    """Rows of numbers as text, under a title."""

    title: str
    rows: Sequence[Sequence[str]]


def matrix(title: str, numbers: np.ndarray, mark: Callable[[int, int, str], str] | None = None) -> Matrix:
    """Return numbers as text. mark: from row, column and text to what is shown."""
    rows = [[short(each) for each in row] for row in numbers.tolist()]
    if mark is not None:
        rows = [[mark(y, x, text) for x, text in enumerate(row)] for y, row in enumerate(rows)]
    return Matrix(title, rows)


def short(number: float) -> str:
    """Return a number with four digits, whole ones as they are, and no minus before zero.

    >>> short(-0.0), short(1234567), short(0.123456)
    ('0', '1234567', '0.1235')
    """
    whole = float(number).is_integer() and abs(number) < 1e15
    text = str(int(number)) if whole else f"{number:.4g}"
    return "0" if text in ("-0", "0") else text


def beside(matrices: Iterable[Matrix]) -> str:
    """Return matrices as lines of text."""
    blocks = [_block(each) for each in matrices]
    width = sum(max(map(len, block)) for block in blocks) + len(GAP) * (len(blocks) - 1)
    if width > line_width():
        return "\n".join("\n".join(block) + "\n" for block in blocks)
    height = max(map(len, blocks))
    widths = [max(map(len, block)) for block in blocks]
    filled = [[*block, *[""] * (height - len(block))] for block in blocks]
    lines = (GAP.join(map(str.ljust, row, widths)).rstrip() for row in zip(*filled, strict=True))
    return "\n".join(lines) + "\n"


def line_width() -> int:
    """Return how many columns a line may take."""
    return min(shutil.get_terminal_size().columns, MAX_COLUMNS)


def _block(part: Matrix) -> list[str]:
    """Return the lines of one matrix, columns as wide as their widest number, to the right."""
    widths = [max(map(len, column)) for column in zip(*part.rows, strict=True)]
    return [part.title, *(" ".join(map(str.rjust, row, widths)) for row in part.rows)]


def plain(value: Any) -> Any:
    """Return an array as lists, for JSON, its negative zeros as zeros."""
    return (value + 0.0).tolist() if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
