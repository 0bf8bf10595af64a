"""What `evaluate` and `compare` print and write, and the options that say so."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgtool.cli import options
from imgtool.cli.messages import complain, note
from imgtool.cli.tables import align, emit, json_line

if TYPE_CHECKING:
    from imgtool.evaluation.comparison import Comparison

SHOWN = ("table", "markdown", "csv", "json")
WIDTH = 80  # characters of a line of words


@dataclass(frozen=True)
class Results:
    """Where the results of a comparison go: each option by its name, a file where one is to be written."""

    format: str | None
    report: Path | None
    force: bool
    quiet: bool

    def files(self) -> dict[str, Path]:
        """Return the files to be written, by the names of their options."""
        named = {"report": self.report}
        return {name: path for name, path in named.items() if path is not None}

    def check(self, models: Sequence[str], data: Path, *, skip_bad: bool = False) -> None:
        """Refuse, before any work, files that are inputs, each other, or there without leave to overwrite them."""
        check_outputs(self.files(), models, data, skip_bad=skip_bad, force=self.force)

    def write(self, comparison: Comparison) -> None:
        """Write the files, then print the table. Ends with exit status 1 when a model failed."""
        from imgtool.batch.outputs import write_file

        if self.report is not None:
            page = comparison.to_html(command=command_line()).encode("utf-8", "backslashreplace")
            write_file(self.report, page, overwrite=self.force)
        print_comparison(comparison, self.format, quiet=self.quiet)


results = options.bundle(
    "results",
    Results,
    click.option("--format", type=click.Choice(SHOWN), help="Output format [default: table on a terminal, else json]."),
    click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write a page of HTML."),
    options.force,
    options.quiet,
)


def check_outputs(
    files: dict[str, Path], models: Sequence[str], data: Path, *, skip_bad: bool = False, force: bool = False
) -> None:
    """Refuse files to be written, by their options' names, that are inputs, each other, or there without leave."""
    from imgtool.batch.conflicts import refuse_inputs, refuse_same
    from imgtool.batch.outputs import check_free

    if not files:
        return
    from imgtool.classifiers.registry import model_files
    from imgtool.datasets.files import files_of

    paths = {name: str(path) for name, path in files.items()}
    refuse_same(paths.items())
    refuse_inputs(paths.values(), chain(model_files(*models), files_of(data, skip_bad=skip_bad)))
    for path in paths.values():
        check_free(path, overwrite=force)


def readable(comparison: Comparison) -> str:
    """Return what a terminal shows: the table in two blocks, errors and costs, and what they say in words."""
    from textwrap import fill

    from imgtool.evaluation.sentences import sentences
    from imgtool.evaluation.table import blocks

    tables = [align(*block) for block in blocks(comparison.rows())]
    return "\n".join([*tables, "".join(f"{fill(line, WIDTH)}\n" for line in sentences(comparison))])


def command_line() -> str:
    """Return the command that is run, as a shell takes it."""
    return shlex.join(["imgtool", *click.get_current_context().meta["arguments"]])


def print_comparison(comparison: Comparison, format: str | None, *, quiet: bool = False) -> None:
    """Print the table; say which models failed. Ends with exit status 1 when one did."""
    shown = format or ("table" if sys.stdout.isatty() else "json")
    if shown == "json":
        emit(json_line(comparison.to_record()))
    elif shown == "table":
        emit(readable(comparison))
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
