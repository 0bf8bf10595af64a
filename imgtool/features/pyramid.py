"""Where in an image a descriptor lies: its place as two numbers, and the cells of a spatial pyramid.

Sources: Lazebnik, Schmid and Ponce, "Beyond bags of features", CVPR 2006 (cells); Sanchez, Perronnin and de Campos,
"Modeling the spatial layout of images beyond spatial pyramids", Pattern Recognition Letters, 2012 (places).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from imgtool.errors import ParameterError


def places(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return (N, 2) float32: x and y of each frame's center, from -0.5 (left, top) to 0.5 (right, bottom)."""
    size = np.array([width, height], np.float64)
    return ((frames[:, :2] + 0.5) / size - 0.5).astype(np.float32)


def parse_levels(levels: Sequence[str]) -> list[tuple[int, int]]:
    """Return (rows, columns) of each level, written as `1x1` or `3x1`."""
    parsed = [re.fullmatch(r"([1-9])x([1-9])", level.strip()) for level in levels]
    if not levels or not all(parsed):
        raise ParameterError(f"a pyramid is written as ROWSxCOLUMNS, such as 1x1,2x2,3x1; got {','.join(levels)!r}")
    return [(int(found[1]), int(found[2])) for found in parsed if found]


def cells(where: np.ndarray, levels: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield for each cell of each level, row by row, which of the places (N, 2) lie in it, as N booleans."""
    for size in parse_levels(levels):
        inside = _cell_numbers(where, *size)
        for number in range(math.prod(size)):
            yield inside == number


def groups(where: np.ndarray, levels: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the places (N, 2) that lie in the same cell of every level, as indices, and the numbers of these cells.

    Cells are numbered as `cells` yields them, so that what adds up over places is computed once for all levels.
    """
    numbers, first, group = [], 0, np.zeros(len(where), np.int64)
    for rows, columns in parse_levels(levels):
        inside = _cell_numbers(where, rows, columns)
        numbers.append(first + inside)
        first += rows * columns
        _, group = np.unique(group * (rows * columns) + inside, return_inverse=True)
    order = np.argsort(group, kind="stable")
    for indices in np.split(order, np.cumsum(np.bincount(group))[:-1]) if len(where) else ():
        yield indices, np.array([each[indices[0]] for each in numbers])


def count_cells(levels: Sequence[str]) -> int:
    """Return how many cells the levels have together."""
    return sum(rows * columns for rows, columns in parse_levels(levels))


def _cell_numbers(where: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return (N): in which cell of one level each place lies, row by row."""
    row = np.clip((where[:, 1] + 0.5) * rows, 0, rows - 1).astype(np.int64)
    column = np.clip((where[:, 0] + 0.5) * columns, 0, columns - 1).astype(np.int64)
    return np.asarray(row * columns + column)
