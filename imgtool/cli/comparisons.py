"""How a comparison is printed: what `evaluate` and `compare` share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli.messages import complain, note, printable
from imgtool.cli.progress import Drawn, told
from imgtool.cli.tables import aligned, emit, json_line, write_rows

if TYPE_CHECKING:
    from imgtool.evaluation.comparison import Comparison

SHOWN = ("table", "markdown", "csv", "json")
COLUMNS = ("model", "top-1 error", "95 %", "top-5 error", "95 %", "p", "train s", "ms/image", "MB")
PLAIN = (
    "model", "top1_error", "top1_low", "top1_high", "top5_error", "top5_low", "top5_high", "n", "p",
    "mean_class_accuracy", "train_seconds", "ms_per_image", "bytes", "reason",
)  # fmt: skip


def print_comparison(comparison: Comparison, data: Path, format: str | None, *, quiet: bool = False) -> None:
    """Print the table; say which models failed. Ends with exit status 1 when one did."""
    rows = comparison.rows()
    shown = format or ("table" if sys.stdout.isatty() else "json")
    if shown == "json":
        emit(json_line(_record(comparison, data, rows)))
    elif shown == "csv":
        write_rows(map(_flat, rows), format="csv", columns=PLAIN)
    else:
        columns = (*COLUMNS, "reason") if comparison.failed else COLUMNS
        lines = [_cells(row)[: len(columns)] for row in rows]
        emit(_markdown(columns, lines) if shown == "markdown" else aligned(columns, lines))
    if shown == "table" and not quiet:
        note(f"{len(comparison.labels)} held-out images of {len(comparison.classes)} classes")
    for row in rows:
        if row.get("error"):
            complain(f"{row['model']}: {row['error']}")
    for remark in [] if quiet else _remarks(comparison):
        complain(remark)
    if comparison.failed:
        raise click.exceptions.Exit(1)


@contextmanager
def shown_progress(*, quiet: bool, verbose: bool = False) -> Iterator[Callable[[int, int, str], None] | None]:
    """Give the callback that tells of progress, and take its bar away at the end, however that comes."""
    progress = told(quiet=quiet, verbose=verbose)
    try:
        yield progress
    finally:
        if isinstance(progress, Drawn):
            progress.__exit__()


def _record(comparison: Comparison, data: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return everything that is known, for JSON."""
    return {
        "path": str(data),
        "images": len(comparison.labels),
        "classes": list(comparison.classes),
        "models": rows,
        "duplicates": comparison.duplicates,
        "seen": comparison.seen,
        "counts": comparison.counts,
        **comparison.facts,
    }


def _remarks(comparison: Comparison) -> Iterator[str]:
    """Yield what makes the errors look smaller than they are."""
    if comparison.duplicates:
        count, (first, second) = len(comparison.duplicates), comparison.duplicates[0]
        pairs = "1 pair of equal images stands" if count == 1 else f"{count} pairs of equal images stand"
        yield f"{pairs} in both parts, such as {first} and {second}"
    for name in comparison.seen:
        yield f"{name}: learned from these very images; its error says nothing of others"


def _cells(row: dict[str, Any]) -> list[str]:
    """Return a row as a reader wants it; the last cell holds why a model failed."""
    if row.get("error"):
        return [printable(row["model"]), *["-"] * (len(COLUMNS) - 1), printable(row["error"])]
    return [
        printable(row["model"]),
        *_share(row["top1_error"], row["top1_interval"]),
        *_share(row["top5_error"], row["top5_interval"]),
        "-" if row["p"] is None else f"{row['p']:.2g}",
        "-" if row["train_seconds"] is None else f"{row['train_seconds']:.1f}",
        f"{row['ms_per_image']:.1f}",
        f"{row['bytes'] / 1e6:.2f}",
        "",
    ]


def _share(error: float | None, interval: Sequence[float] | None) -> tuple[str, str]:
    """Return an error and its interval in per cent."""
    if error is None or interval is None:
        return "-", "-"
    return f"{100 * error:.1f}%", f"{100 * interval[0]:.1f}-{100 * interval[1]:.1f}"


def _markdown(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    table = [columns, ["---", *["--:"] * (len(columns) - 1)], *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in table)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without lists, for CSV; that of a model that failed has only its reason."""
    flat = {key: row.get(key) for key in PLAIN} | {"reason": row.get("error")}
    for k in ("top1", "top5"):
        flat[f"{k}_low"], flat[f"{k}_high"] = row.get(f"{k}_interval") or (None, None)
    return flat
