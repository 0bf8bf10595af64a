"""The only printer of rows: a readable table on a terminal, JSON Lines, CSV or TSV elsewhere.

A row is a dict. Its keys are the columns; values are text, numbers, None, NumPy arrays, or lists and dicts of
these. CSV begins with a line of names; TSV, made for sort, cut and awk, has none.
"""

from __future__ import annotations

import base64
import io
import math
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imgtool.cli.messages import harmless, printable

FORMATS = ("table", "jsonl", "csv", "tsv")
Row = Mapping[str, Any]


def default_format() -> str:
    """Return "table" on a terminal, "jsonl" in a pipe or file."""
    return "table" if sys.stdout.isatty() else "jsonl"


def write_rows(rows: Iterable[Row], *, format: str | None, columns: Sequence[str], unusual: Sequence[str] = ()) -> None:
    """Print rows as they come (a table when all have come).

    columns: what a table, CSV and TSV show, in order; unusual: further columns of a table where any row has something
    there; JSON Lines holds every key. An array column of CSV and TSV
    becomes as many cells as it has values. Rows that hold an "error" stand in JSON Lines only.
    """
    format = format or default_format()
    if format == "jsonl":
        for row in rows:
            emit(json_line(row))
    elif format == "table":
        good = [row for row in rows if "error" not in row]
        columns = [*columns, *(each for each in unusual if any(row.get(each) is not None for row in good))]
        emit(align(columns, [[cell(row.get(column)) for column in columns] for row in good]))
    else:
        _write_separated(rows, columns, format)


def emit(text: str) -> None:
    """Write text to standard output as UTF-8, at once: a closed pipe or full disk is met here, not at exit."""
    sys.stdout.flush()
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    stream.write(text.encode("utf-8", "surrogateescape"))
    stream.flush()


def json_line(row: Row) -> str:
    """Return a row as one line of JSON: NaN and infinity as null, a path that is not UTF-8 as path_bytes (base64)."""
    import json

    plain: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, str) and not _is_unicode(value):
            plain[f"{key}_bytes"] = base64.b64encode(os.fsencode(value)).decode()
        else:
            plain[key] = _plain(value)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
    if not text.isascii() or "\x7f" in text:  # DEL is the one control character that JSON leaves as it is
        text = "".join(c if harmless(c) else json.dumps(c)[1:-1].replace("\x7f", "\\u007f") for c in text)
    return text + "\n"


def _is_unicode(text: str) -> bool:
    """Tell whether text holds no byte that could not be decoded."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _plain(value: Any) -> Any:
    """Turn arrays into lists, numbers that JSON lacks into None; float32 keeps its own short digits."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if hasattr(value, "dtype"):
        return _plain_array(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _plain_array(array: Any) -> Any:
    """Turn a NumPy array or scalar into nested lists, or a number."""
    if array.dtype.kind != "f":
        return array.tolist()
    if array.dtype.itemsize < 8 and array.size:
        array = _shortest(array)
    finite = bool((abs(array) < math.inf).all())
    return array.tolist() if finite else _plain(array.tolist())


def _shortest(array: Any) -> Any:
    """Return the float64 numbers whose shortest text is that of the float32 numbers: 0.1, not 0.10000000149."""
    import numpy as np

    return np.asarray(array).astype("U").astype(np.float64).reshape(array.shape)


def cell(value: Any) -> str:
    """Return a value as a reader wants it in a table: four digits, the first few of many values."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if hasattr(value, "dtype") and getattr(value, "ndim", 0) > 0:
        first = " ".join(cell(float(each)) for each in value.reshape(-1)[:4])
        return first + (" ..." if value.size > 4 else "")
    if isinstance(value, float) or (hasattr(value, "dtype") and value.dtype.kind == "f"):
        return f"{float(value):.4g}"
    if type(value) in (list, tuple):
        return " ".join(cell(each) for each in value)
    return printable(str(value))


def align(names: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return lines as columns two blanks apart, under their names. Numbers stand to the right."""
    if not lines:
        return ""
    table = [list(names), *map(list, lines)]
    widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
    right = [_is_numeric(column[1:]) for column in zip(*table, strict=True)]
    text = ""
    for line in table:
        padded = [
            " " * (width - _width(each)) + each if to_right else each + " " * (width - _width(each))
            for each, width, to_right in zip(line, widths, right, strict=True)
        ]
        text += "  ".join(padded).rstrip() + "\n"
    return text


def fits(width: int, table: str) -> bool:
    """Tell whether no line of a table is wider than so many columns of a terminal."""
    return all(_width(line) <= width for line in table.splitlines())


def align_within(width: int, names: Sequence[str], lines: Sequence[Sequence[str]], *, kept: Sequence[str] = ()) -> str:
    """Return the same as several tables of about one width where one would be wider; each begins with the first column.

    kept: names of columns that stay beside the one before them.
    """
    table = [list(names), *map(list, lines)]
    widths = [max(map(_width, column)) + 2 for column in zip(*table, strict=True)]
    groups: list[list[int]] = []
    for place, name in enumerate(names[1:], 1):
        groups[-1:] = [[*groups[-1], place]] if name in kept and groups else [*groups[-1:], [place]]
    rooms = range(width + 2 - widths[0], 0, -1)
    divided = [_divided(groups, widths, room) for room in rooms] or [groups]
    parts = [each for each in divided if len(each) == len(divided[0])][-1]
    shown = [[[line[0], *(line[place] for place in part)] for line in table] for part in parts]
    return "\n".join(align(head, rest) for head, *rest in shown)


def _divided(groups: Sequence[Sequence[int]], widths: Sequence[int], room: int) -> list[list[int]]:
    """Return columns in parts that have room, as far as there is for the widest group."""
    parts: list[list[int]] = [[]]
    for group in groups:
        if parts[-1] and sum(widths[place] for place in (*parts[-1], *group)) > room:
            parts.append([])
        parts[-1].extend(group)
    return parts


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    marks = sum(unicodedata.combining(character) != 0 for character in text)
    return len(text) + wide - marks


def _is_numeric(column: Sequence[str]) -> bool:
    """Tell whether a column holds numbers, of which some may be missing."""
    present = [text.rstrip("%").replace(",", "") for text in column if text != "-"]
    try:
        return bool(present) and all(math.isfinite(float(text)) for text in present)
    except ValueError:
        return False


def _write_separated(rows: Iterable[Row], columns: Sequence[str], format: str) -> None:
    """Print CSV or TSV."""
    header = format == "csv"
    for row in rows:
        if "error" in row:
            continue
        named = [pair for column in columns for pair in _cells(column, row.get(column))]
        if header:
            emit(_separate([name for name, _ in named], format))
            header = False
        emit(_separate([text for _, text in named], format))


def _cells(column: str, value: Any) -> list[tuple[str, str]]:
    """Return the cells of one column: one for each value of an array."""
    if hasattr(value, "dtype") and getattr(value, "ndim", 0) > 0:
        flat = value.reshape(-1).tolist() if value.dtype.kind != "f" else _shortest(value.reshape(-1)).tolist()
        return [(f"{column}{index}", repr(each)) for index, each in enumerate(flat)]
    if isinstance(value, list | tuple | Mapping | bool):
        import json

        return [(column, json.dumps(_plain(value), ensure_ascii=False))]
    return [(column, "" if value is None else str(value))]


def _separate(texts: Sequence[str], format: str) -> str:
    """Return one line of CSV (quoted where needed) or TSV, dangerous characters escaped."""
    texts = [printable(text) for text in texts]
    if format == "tsv":
        return "\t".join(texts) + "\n"
    import csv

    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(texts)
    return line.getvalue()
