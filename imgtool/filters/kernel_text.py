"""Kernels as text of unknown origin: numbers divided by blanks, tabs, commas or semicolons, with points or commas.

All ways to read the text are tried, and it is taken where one matrix comes out:

- rows end with a line or with `;`, numbers are divided by blanks and tabs, or by commas;
- rows are lines, numbers are divided by `;`, as spreadsheets write where the comma is for decimals;
- commas are for decimals where they do not divide numbers.

Of several lines with `;` inside, `;` divides numbers if that gives a matrix. In a file, a line `1;0;-1` is a row by one
reading and a column by the other; `0,5` is one number or two. A first line of width, height and perhaps scale and
offset, which the other lines fit, is that of a libvips mask; its taps are divided by the scale. (A first row of taps
that looks so is written `2.0 2.0`: sides have no decimals.)
"""

from __future__ import annotations

import contextlib
import io
import re
from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from imgtool.errors import ParameterError
from imgtool.filters.kernels import MAX_TAPS

_POINT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?(?:\d+(?:,\d+)?|,\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_SHOWN_CHARACTERS = 20  # of text that a message quotes


class Matrix(NamedTuple):
    """A kernel; what there is to say of how its text was read, or nothing."""

    taps: np.ndarray
    said: str = ""


class _Reading(NamedTuple):
    """A way to read lines: how it is called, what divides numbers (None: blanks), how a number looks."""

    name: str
    separator: str | None
    number: re.Pattern[str]


_BLANKS = _Reading("blanks between numbers", None, _POINT)
_COMMAS = _Reading("commas between numbers", ",", _POINT)
_DECIMALS = _Reading("decimal commas", None, _COMMA)
_SEMICOLONS = _Reading("';' between numbers", ";", _POINT)
_SEMICOLONS_DECIMALS = _Reading("';' between numbers and decimal commas", ";", _COMMA)


# What is read in one way, by whether a mask is the other.
_CERTAIN = (
    "points in decimals, blanks between numbers and a line for each row are read in one way",
    "a first row of taps is written 2.0 2.0",
)


class _Found(NamedTuple):
    """What a reading gives: taps, how it is called, and scale and offset of a mask."""

    taps: np.ndarray
    name: str
    scale: float = 1.0
    offset: float = 0.0
    is_mask: bool = False


_NO_NUMBER, _UNEVEN, _TOO_MANY = range(3)


class _UnreadableError(ParameterError):
    """A reading gives no matrix. stage: how far it came."""

    def __init__(self, stage: int, reason: str) -> None:
        super().__init__(reason)
        self.stage = stage


def read_matrix(text: str, *, inline: bool = False) -> Matrix:
    """Return the matrix that text holds. Raises ParameterError where it holds none, or more than one can be read.

    inline: it was typed, by somebody who knows that `;` ends a row of a single line.
    """
    lines = list(_lines(text))
    rows = [row for line in lines for row in line.split(";") if row.strip()]
    try:
        return _read_lines(lines, rows, inline and len(lines) == 1)
    except _UnreadableError:
        _refuse_mixture(lines if len(lines) > 1 else rows)
        raise


def _read_lines(lines: list[str], rows: list[str], inline: bool) -> Matrix:
    """Return the matrix that lines give, or rows, which `;` ends too."""
    divided = len(rows) > len(lines)
    blanks = _BLANKS._replace(name="rows that end with ';'") if divided else _BLANKS
    has_commas = any("," in row for row in rows)
    by_rows = [(rows, each) for each in ((blanks, _COMMAS, _DECIMALS) if has_commas else (blanks,))]
    if not divided or inline:
        return _only(by_rows)
    by_semicolons = [(lines, each) for each in (_SEMICOLONS, _SEMICOLONS_DECIMALS)]
    if len(lines) > 1:
        try:
            return _only(by_semicolons)
        except _UnreadableError as error:
            if error.stage > _NO_NUMBER:
                raise
            return _only(by_rows)
    return _only([*by_rows, *by_semicolons])


def _refuse_mixture(rows: list[str]) -> None:
    """Raise ParameterError where each row by itself has as many numbers as the others, but written in another way."""
    ways = [_ways(row) for row in rows]
    widths = set.intersection(*(set(way) for way in ways)) if ways else set()
    if not widths:
        return
    first, *others = (way[max(widths)] for way in ways)
    for number, other in enumerate(others, 2):
        if other != first:
            raise ParameterError(f"is written in more than one way: row 1 with {first}, row {number} with {other}")


def _ways(row: str) -> dict[int, str]:
    """Return how a row is read by itself, by how many numbers it then holds: two or more."""
    found: dict[int, str] = {}
    for reading in (_BLANKS, _COMMAS, _SEMICOLONS, _DECIMALS, _SEMICOLONS_DECIMALS):
        with contextlib.suppress(_UnreadableError):
            found.setdefault(len(_numbers(row, reading)), reading.name)
    return {count: name for count, name in found.items() if count > 1}


def require_kernel(taps: np.ndarray) -> np.ndarray:
    """Return the taps if there are any and all are finite."""
    if not taps.size or not np.isfinite(taps).all():
        raise ParameterError("a kernel's taps must be finite numbers")
    return taps


def require_taps(shape: tuple[int, ...]) -> None:
    """Raise ParameterError for a shape with too many taps a side."""
    if max(shape, default=1) > MAX_TAPS:
        raise ParameterError(f"a kernel may have at most {MAX_TAPS} taps a side")


def _lines(text: str) -> Iterator[str]:
    """Yield the lines that are not blank, no more than a kernel and the first line of a mask may have."""
    count = 0
    for line in io.StringIO(text):
        if line.strip(" \t\r\n\f\v;"):
            count += 1
            require_taps((count - 1,))
            yield line


def _only(ways: list[tuple[list[str], _Reading]]) -> Matrix:
    """Return the only matrix that lines give by these readings."""
    found: list[_Found] = []
    failures: list[_UnreadableError] = []
    for lines, reading in ways:
        try:
            found += _read(lines, reading)
        except _UnreadableError as error:
            failures.append(error)
    if not found:
        raise max(failures, key=lambda error: error.stage)
    first = found[0]
    for other in found[1:]:
        if not np.array_equal(first.taps, other.taps, equal_nan=True):
            raise ParameterError(f"may be {_described(first)} or {_described(other)}; {_CERTAIN[other.is_mask]}")
    require_kernel(first.taps)
    return _scaled(first) if first.is_mask else Matrix(first.taps)


def _described(found: _Found) -> str:
    """Return what a reading gives, in words."""
    rows, columns = found.taps.shape
    return f"{rows} row{'s' * (rows > 1)} of {columns} ({found.name})"


def _scaled(mask: _Found) -> Matrix:
    """Return a mask's taps, divided by its scale."""
    if mask.offset or not mask.scale:
        what = f"offset {mask.offset:g}, and kernels add nothing" if mask.offset else "scale 0"
        raise ParameterError(f"is a libvips mask with the {what}")
    size = f"{mask.taps.shape[1]}x{mask.taps.shape[0]}"
    scale = f", taps divided by its scale {mask.scale:g}" if mask.scale != 1 else ""
    return Matrix(require_kernel(mask.taps / mask.scale), f"read as a libvips mask of {size}{scale}")


def _read(lines: list[str], reading: _Reading) -> list[_Found]:
    """Return what lines give: a matrix, a mask after its first line, or either. Raises _UnreadableError for neither."""
    found = list(_mask(lines, reading))
    try:
        return [_Found(_taps(lines, reading), reading.name), *found]
    except _UnreadableError:
        if not found:
            raise
        return found


def _mask(lines: list[str], reading: _Reading) -> Iterator[_Found]:
    """Yield the mask of libvips that lines give, if they do: its first line may be divided in any way."""
    head = re.split(r"[\s,;]+", lines[0].strip()) if lines and len(lines[0]) < 200 else []
    if len(head) not in (2, 4) or not all(map(_POINT.fullmatch, head)) or not "".join(head[:2]).isdecimal():
        return
    width, height, scale, offset = map(float, head if len(head) == 4 else [*head, "1", "0"])
    if height != len(lines) - 1:
        return
    try:
        taps = _taps(lines[1:], reading)
    except _UnreadableError:
        return
    if taps.shape == (height, width):
        yield _Found(taps, "a libvips mask below its width and height", scale, offset, is_mask=True)


def _taps(lines: list[str], reading: _Reading) -> np.ndarray:
    """Return lines of numbers as a matrix. Raises _UnreadableError where they are none."""
    rows = [_numbers(line, reading) for line in lines]
    if not rows:
        raise _UnreadableError(_NO_NUMBER, "a kernel needs rows of numbers")
    if len(rows) > MAX_TAPS:
        raise _UnreadableError(_TOO_MANY, f"a kernel may have at most {MAX_TAPS} taps a side")
    if len({len(row) for row in rows}) != 1:
        raise _UnreadableError(_UNEVEN, "a kernel's rows must have the same length")
    return np.array(rows, np.float64)


def _numbers(line: str, reading: _Reading) -> array[float]:
    """Return the numbers of a line; a separator at its end is no other number."""
    separator = reading.separator
    text = line.strip().removesuffix(";" if separator is None else separator)
    numbers = array("d")
    for cell in text.split(separator, MAX_TAPS):
        cell = cell.strip()
        if not reading.number.fullmatch(cell) and not _NOT_FINITE.fullmatch(cell):
            shown = f"not {cell[:_SHOWN_CHARACTERS]!r}" if cell else "and each separator needs one on either side"
            raise _UnreadableError(_NO_NUMBER, f"a kernel holds numbers only, {shown}")
        numbers.append(float(cell.replace(",", ".")))
        if len(numbers) > MAX_TAPS:
            raise _UnreadableError(_TOO_MANY, f"a kernel may have at most {MAX_TAPS} taps a side")
    return numbers
