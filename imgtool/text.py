"""Text that other programs wrote: its encoding, and tables whose separator nobody stated.

Text is read in one way only where that is certain; what can be read in two is refused, and the message says which two.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Collection

from imgtool.errors import ParameterError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # UTF-32's begin or continue with them
_SNIFFED_BYTES = 4096


def is_wide(content: bytes, *, marked_only: bool = False) -> bool:
    """Tell text in UTF-16 or UTF-32: by its mark, or by zero bytes in places of one parity only.

    marked_only: where zero bytes may mean something else.
    """
    start = content[:_SNIFFED_BYTES]
    if b"\0" not in start:
        return False
    if start.startswith((*_WIDE_MARKS, codecs.BOM_UTF32_BE)):
        return True
    even, odd = start[::2].count(0), start[1::2].count(0)
    return not marked_only and max(even, odd) * 4 > len(start) and min(even, odd) == 0


def decode_text(content: bytes) -> str:
    """Return UTF-8 text without its byte order mark. Raises ParameterError for UTF-16 and what is no text."""
    if is_wide(content):
        raise ParameterError("is text in UTF-16; UTF-8 is read")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParameterError(f"is no text in UTF-8: byte {error.start + 1} is {content[error.start]:#04x}") from None


def is_writable(text: str) -> bool:
    """Tell whether text can be written: as UTF-8, but for bytes that stand for themselves in names of files.

    JSON and NumPy files may hold halves of characters that no file name and no UTF-8 can have.

    >>> is_writable("caf\\udce9"), is_writable("\\ud800")
    (True, False)
    """
    try:
        return text.isascii() or bool(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return False


def read_table(text: str, *, header: Collection[str] = ()) -> list[list[str]]:
    """Return the rows of a table, cells stripped, blank lines left out; all have the same number of cells.

    The separator is the one of SEPARATORS by which every row has equally many cells, two or more; cells may be quoted.
    Where none is, each line is one cell. Where several are, the one counts by which the first row holds a name of
    `header` (in any case). Raises ParameterError where rows differ in length or the separator is not certain.
    """
    readings = {separator: rows for separator in SEPARATORS if (rows := _cells(text, separator))}
    even = {separator: rows for separator, rows in readings.items() if len({len(row) for row in rows}) == 1}
    tables = {separator: rows for separator, rows in even.items() if len(rows[0]) > 1}
    names = {name.lower() for name in header}
    if len(tables) > 1:
        named = {each: rows for each, rows in tables.items() if names & {cell.lower() for cell in rows[0]}}
        tables = named or tables
    if len(tables) > 1:
        found = " or by ".join(SEPARATORS[separator] for separator in tables)
        raise ParameterError(f"can be divided by {found}; quote the cells that hold one of these")
    if tables:
        return next(iter(tables.values()))
    for separator, rows in readings.items():
        if rows not in even.values() and separator in text:
            raise _uneven(rows, SEPARATORS[separator])
    return next(iter(even.values()), [])


def _cells(text: str, separator: str) -> list[list[str]]:
    """Return the rows by one separator; none where quotes are wrong by it."""
    import csv

    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
        return [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    except csv.Error:
        return []


def _uneven(rows: list[list[str]], separators: str) -> ParameterError:
    """Return the error on the first row that is not as long as the one before it all."""
    number, row = next((number, row) for number, row in enumerate(rows, 1) if len(row) != len(rows[0]))
    cells = f"{len(row)} cell{'s' * (len(row) > 1)}"
    return ParameterError(f"row {number} has {cells} where the first has {len(rows[0])}, divided by {separators}")
