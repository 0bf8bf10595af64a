"""How a comparison is printed: what `evaluate` and `compare` share."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli.messages import complain, printable
from imgtool.cli.tables import aligned, emit, write_rows

if TYPE_CHECKING:
    from imgtool.evaluation.comparison import Comparison

SHOWN = ("table", "markdown", "csv", "json")
COLUMNS = ("model", "top-1 error", "95 %", "top-5 error", "p", "train s", "ms/image", "MB")
PLAIN = (
    "model", "top1_error", "top1_low", "top1_high", "top5_error", "top5_low", "top5_high", "n", "p",
    "mean_class_accuracy", "train_seconds", "ms_per_image", "bytes",
)  # fmt: skip


def print_comparison(comparison: Comparison, format: str | None, *, quiet: bool = False) -> None:
    """Print the table; say which models failed. Ends with exit status 1 when one did."""
    rows = comparison.rows()
    shown = format or ("table" if sys.stdout.isatty() else "json")
    good = [row for row in rows if not row.get("error")]
    if shown == "json":
        record = {"images": len(comparison.labels), "classes": list(comparison.classes), "models": rows}
        emit(json.dumps({**record, "duplicates": comparison.duplicates, **comparison.facts}, ensure_ascii=False) + "\n")
    elif shown == "csv":
        write_rows(map(_flat, good), format="csv", columns=PLAIN)
    else:
        lines = [_cells(row) for row in good]
        emit(_markdown(lines) if shown == "markdown" else aligned(COLUMNS, lines))
    for row in rows:
        if row.get("error"):
            complain(f"{row['model']}: {row['error']}")
    if comparison.duplicates and not quiet:
        first = comparison.duplicates[0]
        complain(
            f"{len(comparison.duplicates)} pairs of equal images stand in both parts, such as {first[0]} and {first[1]}"
        )
    if comparison.failed:
        raise click.exceptions.Exit(1)


def _cells(row: dict[str, Any]) -> list[str]:
    """Return a row as a reader wants it."""
    low, high = row["top1_interval"]
    return [
        printable(row["model"]),
        f"{100 * row['top1_error']:.1f}%",
        f"{100 * low:.1f}-{100 * high:.1f}",
        "-" if row["top5_error"] is None else f"{100 * row['top5_error']:.1f}%",
        "-" if row["p"] is None else f"{row['p']:.2g}",
        "-" if row["train_seconds"] is None else f"{row['train_seconds']:.1f}",
        f"{row['ms_per_image']:.1f}",
        f"{row['bytes'] / 1e6:.2f}",
    ]


def _markdown(lines: list[list[str]]) -> str:
    """Return a table in Markdown."""
    table = [list(COLUMNS), ["---", *["--:"] * (len(COLUMNS) - 1)], *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in table)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without lists, for CSV."""
    flat = {key: value for key, value in row.items() if not key.endswith("interval")}
    for k in ("top1", "top5"):
        low, high = row[f"{k}_interval"] or (None, None)
        flat |= {f"{k}_low": low, f"{k}_high": high}
    return flat
