"""Feature files that are text: `.csv` with the columns path, label, 0, 1, ..., and `.jsonl`, one object an image."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from imgtool.datasets.feature_file.table import Blocks, FeatureTable
from imgtool.errors import DataError
from imgtool.files import read_regular
from imgtool.text import SEPARATORS, is_wide


def write_csv(file: BinaryIO, table: Blocks) -> None:
    """Write paths, labels and numbers (with as many digits as float32 needs)."""
    stream = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["path", "label", *range(table.shape[1])])
    for (path, label), row in zip(table.names(), _texts(table), strict=True):
        writer.writerow([path, label, *row])
    stream.detach()


def _texts(table: Blocks) -> Iterator[list[str]]:
    """Yield the shortest texts that read back as the same float32 numbers, row by row."""
    for block in table.features():
        for row in block:
            yield row.astype("U").tolist()


def read_csv(path: str) -> Blocks:
    """Read rows of path, label and numbers, all of them; the header tells what separates cells."""
    content = read_regular(path)
    if is_wide(content):
        raise DataError("is text in UTF-16; UTF-8 is read")
    text = content.decode("utf-8-sig", "surrogateescape")
    separator = next((each for each in SEPARATORS if text.startswith(f"path{each}label")), ",")
    try:
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    except (csv.Error, ValueError):
        raise DataError("is no CSV file") from None
    if header[:2] != ["path", "label"]:
        raise DataError("needs the columns path, label and then the numbers")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise DataError(f"row {number} has {len(row)} cells where the first has {len(header)}")
    numbers = [row[2:] for row in rows]
    features = _numbers(numbers if separator == "," else _with_points(numbers), len(header) - 2)
    return FeatureTable(features, [row[0] for row in rows], [row[1] for row in rows]).blocks()


def _with_points(rows: list[list[str]]) -> list[list[str]]:
    """Return texts of numbers with decimal points, where a spreadsheet wrote commas; both in one table are refused."""
    if not any("," in cell for row in rows for cell in row):
        return rows
    if any("." in cell for row in rows for cell in row):
        raise DataError("holds numbers with points and numbers with commas: which is for decimals is not certain")
    return [[cell.replace(",", ".") for cell in row] for row in rows]


def _numbers(rows: list[list[Any]], width: int) -> np.ndarray:
    """Return rows of numbers, or of their texts, as (N, width) float32."""
    try:
        with np.errstate(over="ignore"):
            return np.array(rows, np.float64).astype(np.float32).reshape(len(rows), width)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"holds something that is no number ({str(error)[:60]})") from None


def write_jsonl(file: BinaryIO, table: Blocks) -> None:
    """Write one object an image: path, label, meta's descriptor, the numbers."""
    descriptor = {key: table.meta[key] for key in ("descriptor", "parameters") if key in table.meta}
    for (path, label), row in zip(table.names(), _texts(table), strict=True):
        name: dict[str, Any] = {"path": path}
        if not is_unicode(path):
            name = {"path_bytes": base64.b64encode(os.fsencode(path)).decode()}
        values = [float(each) for each in row]
        line = json.dumps({**name, "label": label, **descriptor, "values": values}, ensure_ascii=False)
        file.write(f"{line}\n".encode("utf-8", "surrogateescape"))


def is_unicode(text: str) -> bool:
    """Tell whether text holds no byte that could not be decoded."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def read_jsonl(path: str) -> Blocks:
    """Read one object an image, all of them; what the first says of the descriptor is said of all."""
    objects = []
    for number, line in enumerate(read_regular(path).splitlines(), 1):
        try:
            objects.append(_require_object(json.loads(line)))
        except (ValueError, RecursionError):
            raise DataError(f"line {number} is no JSON object with path, label and values") from None
    widths = {len(each["values"]) for each in objects}
    if len(widths) != 1:
        raise DataError(f"holds rows of {' and '.join(map(str, sorted(widths))) or 'no'} numbers; they must be alike")
    features = _numbers([each["values"] for each in objects], widths.pop())
    meta: dict[str, Any] = {key: objects[0][key] for key in ("descriptor", "parameters") if key in objects[0]}
    return FeatureTable(
        features, [each["path"] for each in objects], [each["label"] for each in objects], meta
    ).blocks()


def _require_object(row: Any) -> dict[str, Any]:
    """Return a row of JSON with its path as text. Raises ValueError when it lacks something."""
    if not isinstance(row, dict):
        raise ValueError("no object")
    if isinstance(row.get("path_bytes"), str):
        row["path"] = os.fsdecode(base64.b64decode(row["path_bytes"]))
    row.setdefault("label", "")
    values = row.get("values")
    if not isinstance(row.get("path"), str) or not isinstance(row["label"], str) or not isinstance(values, list):
        raise ValueError("no path, label or values")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise ValueError("values are no numbers")
    return row
