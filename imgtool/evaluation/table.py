"""The table of a comparison: each column is defined once, for terminal, Markdown and CSV.

A row is a dictionary with a model's numbers, as JSON has them, or with `model` and `error` alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
ABSENT = "-"


def visible(text: object) -> str:
    """Return text in which characters that are no ink, or that reorder a line, are written as their codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(text))


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f}%"


def interval(ends: Sequence[float]) -> str:
    """Return an interval of shares in percent."""
    return f"{100 * ends[0]:.1f}-{100 * ends[1]:.1f}"


@dataclass(frozen=True)
class Column:
    """One column.

    key: of the rows; heading: in tables for readers, empty where only plain forms have it; text: what readers see of a
    value that is not None; names: of its cells in CSV, several where the value is a list; blocks: those tables of a
    terminal in which it stands.
    """

    key: str
    heading: str = ""
    text: Callable[[Any], str] = str
    names: tuple[str, ...] = ()
    blocks: tuple[int, ...] = ()

    def cell(self, row: Row) -> str:
        """Return what readers see of a row."""
        value = row.get(self.key)
        return ABSENT if value is None else self.text(value)

    def plain(self, row: Row) -> list[str]:
        """Return the cells of CSV, numbers in full."""
        value = row.get(self.key)
        values = value if isinstance(value, list | tuple) else [value] * len(self.plain_names)
        return ["" if each is None else visible(each) for each in values]

    @property
    def plain_names(self) -> tuple[str, ...]:
        """The names of the cells of CSV."""
        return self.names or (self.key,)


def difference(ends: Sequence[float]) -> str:
    """Return an interval of a difference, which may begin below 0, in percent."""
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


def millions(number: float) -> str:
    """Return a number in millions: bytes in MB."""
    return f"{number / 1e6:.2f}"


# The first block holds what the decision is made by, the second one what it costs, the third one why models failed;
# the rest stands in whole tables, and in the second block where a terminal is wide.
COLUMNS = (
    Column("model", "model", visible, blocks=(1, 2, 3)),
    Column("top1_error", "top-1 error", percent, blocks=(1,)),
    Column("top1_interval", "95 % CI", interval, ("top1_low", "top1_high"), blocks=(1,)),
    Column("top5_error", "top-5 error", percent, blocks=(2,)),
    Column("top5_interval", "95 % CI", interval, ("top5_low", "top5_high")),
    Column("n"),
    Column("difference", "worse by", percent, blocks=(1,)),
    Column("difference_interval", "95 % CI", difference, ("difference_low", "difference_high"), blocks=(1,)),
    Column("p", "p", "{:.2g}".format, blocks=(1,)),
    Column("p_uncorrected"),
    Column("mean_class_accuracy", "class acc.", percent, blocks=(2,)),
    Column("log_loss", "log loss", "{:.2f}".format, blocks=(2,)),
    Column("calibration_error", "ECE", percent, blocks=(2,)),
    Column("train_seconds", "train s", "{:.1f}".format, blocks=(2,)),
    Column("ms_per_image", "ms/image", "{:.1f}".format, blocks=(2,)),
    Column("ms_per_image_p95", "p95 ms", "{:.1f}".format),
    Column("images_per_second", "images/s", "{:.0f}".format, blocks=(2,)),
    Column("batch", "batch"),
    Column("parameters", "parameters", "{:,}".format),
    Column("bytes", "MB", millions, blocks=(2,)),
    Column("peak_bytes", "peak MB", lambda size: f"{size / 1e6:.0f}"),
    Column("device", "device", visible),
    Column("error", "reason", visible, ("reason",), blocks=(3,)),
    Column("among", "among", lambda among: "the data's classes" if among == "data" else "all classes", blocks=(1,)),
)


def visible_columns(rows: Sequence[Row], block: int | None = None) -> list[Column]:
    """Return the columns for readers, or those of a block: where any row has something; `among` where not all count."""
    return [
        column
        for column in COLUMNS
        if column.heading
        and (block is None or block in column.blocks)
        and any(row.get(column.key) is not None for row in rows)
        and (column.key != "among" or any(row.get("among") == "data" for row in rows))
    ]


def blocks(rows: Sequence[Row], *, whole: bool = False) -> list[tuple[list[str], list[list[str]]]]:
    """Return headings and lines of the tables for a terminal: errors, costs, why models failed.

    whole: the second one has all that is not in the first, for a wide terminal.
    """
    good, failed = ([row for row in rows if bool(row.get("error")) == wanted] for wanted in (False, True))
    first, second, third = visible_columns(good, 1), visible_columns(good, 2), visible_columns(failed, 3)
    if whole:
        second = [column for column in visible_columns(good) if column in second or column not in first]
    return [cells_of(some, them) for some, them in ((good, first), (good, second), (failed, third)) if some]


def cells_of(rows: Sequence[Row], columns: Sequence[Column]) -> tuple[list[str], list[list[str]]]:
    """Return headings and lines of some columns."""
    return [column.heading for column in columns], [[column.cell(row) for column in columns] for row in rows]


def cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return headings and the lines of the table, as readers see them."""
    return cells_of(rows, visible_columns(rows))


def to_markdown(rows: Sequence[Row]) -> str:
    """Return the table in Markdown."""
    return markdown(*cells(rows))


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return headings and lines as a table in Markdown."""
    table = [headings, ["---", *["--:"] * (len(headings) - 1)], *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in table)


def to_csv(rows: Sequence[Row], columns: Sequence[Column] = COLUMNS) -> str:
    """Return the table as CSV with a line of names, numbers in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name for column in columns for name in column.plain_names])
    writer.writerows([cell for column in columns for cell in column.plain(row)] for row in rows)
    return text.getvalue()
