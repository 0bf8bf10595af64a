"""Data sets as lists: CSV or TSV with a line for each image, its path relative to the list.

A header names the columns: `path`, `filename`, `file` or `image`; `label` or `class`; perhaps `split`, `part`, `subset`
or `set`, with the names that parts have. Other columns are passed over. Without a header a line is `path,label`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from imgtool.datasets.folders import WHOLE, part_called, same_name
from imgtool.errors import DataError, ParameterError
from imgtool.files import read_regular
from imgtool.text import decode_text, read_table

SUFFIXES = (".csv", ".tsv")
PATH_COLUMNS, LABEL_COLUMNS = ("path", "filename", "file", "image"), ("label", "class")
SPLIT_COLUMNS = ("split", "part", "subset", "set")
MAX_BYTES = 1 << 30  # of a list
Row = list[str]


class Line(NamedTuple):
    """One image of a list; part: WHOLE where the list has no column for it."""

    path: Path
    label: str
    part: str


def read_list(path: Path) -> list[Line]:
    """Return the lines of a list. Raises DataError for what is none, naming the first row that is wrong."""
    try:
        rows = read_table(decode_text(read_regular(path, MAX_BYTES)), header=(*PATH_COLUMNS, *LABEL_COLUMNS))
    except ParameterError as error:
        raise DataError(f"{path}: {error}") from None
    must = "each line must hold a path and a label, or a first line must name the columns"
    header = bool(rows) and _is_header(rows[0])
    if len(rows) <= header:
        raise DataError(f"{path}: names no images: {must}")
    if not header and len(rows[0]) != 2:
        raise DataError(f"{path}: holds {len(rows[0])} columns: {must}")
    places = _columns(path, rows[0]) if header else (0, 1, None)
    if header and places[2] is None:
        _refuse_unnamed_parts(path, rows, places)
    return [_line(path, number, row, places) for number, row in enumerate(rows[header:], start=1 + header)]


def _line(path: Path, number: int, row: Row, places: tuple[int, int, int | None]) -> Line:
    """Return what one row says."""
    name, label = row[places[0]], same_name(row[places[1]])
    if not name or not label:
        raise DataError(f"{path}: row {number}: each line must hold a path and a label")
    split = "" if places[2] is None else row[places[2]]
    part = WHOLE if places[2] is None else part_called(split)
    if part is None:
        raise DataError(f"{path}: row {number}: no part is called {split!r}; parts are train, val and test")
    return Line(path.parent / name, label, part)


def _refuse_unnamed_parts(path: Path, rows: list[Row], places: tuple[int, int, int | None]) -> None:
    """Raise DataError for a column that holds nothing but names of parts, under a name that says nothing of it."""
    for place, name in enumerate(rows[0]):
        values = {row[place] for row in rows[1:] if place < len(row)}
        if place not in places and len(values) > 1 and all(part_called(value) for value in values):
            raise DataError(f"{path}: its column {name!r} holds names of parts: call it split, or remove it")


def _is_header(row: Row) -> bool:
    """Tell whether a line names a column for paths and one for labels."""
    names = [cell.casefold() for cell in row]
    return any(name in names for name in PATH_COLUMNS) and any(name in names for name in LABEL_COLUMNS)


def _columns(path: Path, header: Row) -> tuple[int, int, int | None]:
    """Return the places of path, label and split."""
    places: list[int | None] = []
    for wanted in (PATH_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS):
        found = [place for place, cell in enumerate(header) if cell.casefold() in wanted]
        if len(found) > 1:
            raise DataError(f"{path}: its header names two columns for the {wanted[0]}")
        places.append(found[0] if found else None)
    path_place, label_place, split_place = places
    assert path_place is not None  # a header has both
    assert label_place is not None
    return path_place, label_place, split_place
