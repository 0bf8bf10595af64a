"""How a comparison is printed: what `evaluate` and `compare` share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from imgtool.cli.messages import complain, note
from imgtool.cli.tables import align, emit, json_line

if TYPE_CHECKING:
    from imgtool.evaluation.comparison import Comparison

SHOWN = ("table", "markdown", "csv", "json")


def print_comparison(comparison: Comparison, format: str | None, *, quiet: bool = False) -> None:
    """Print the table; say which models failed. Ends with exit status 1 when one did."""
    from imgtool.evaluation.table import cells

    shown = format or ("table" if sys.stdout.isatty() else "json")
    if shown == "json":
        emit(json_line(comparison.to_record()))
    elif shown == "table":
        emit(align(*cells(comparison.rows())))
    else:
        emit(comparison.to_csv() if shown == "csv" else comparison.to_markdown())
    if shown == "table" and not quiet:
        note(f"{len(comparison.labels)} held-out images of {len(comparison.classes)} classes")
    for result in comparison.results:
        if result.error:
            complain(f"{result.model}: {result.error}")
    for remark in [] if quiet else [f"{comparison.data}: {comparison.found}", *comparison.remarks()]:
        complain(remark)
    if comparison.failed:
        raise click.exceptions.Exit(1)
