"""What `evaluate` and `compare` print and write, and the options that say so."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgtool.cli import options
from imgtool.cli.comparison_outputs import OPTIONS, Further, require_no_field
from imgtool.cli.messages import complain, note
from imgtool.cli.tables import align, align_within, emit, fits, json_line

if TYPE_CHECKING:
    from imgtool.evaluation.comparison import Comparison

SHOWN = ("table", "markdown", "csv", "json")
WIDTH = 80  # characters of a line of words
INTERVALS = ("95 % CI",)  # columns that stay beside what they belong to


@dataclass(frozen=True)
class Results(Further):
    """Where the results of a comparison go: each option by its name, a file where one is to be written."""

    format: str | None
    report: Path | None
    force: bool
    quiet: bool

    def files(self, models: Sequence[str]) -> list[tuple[str, Path]]:
        """Return the files to be written, each with the name of its option."""
        report = [] if self.report is None else [("report", self.report)]
        if self.report is not None:
            require_no_field("report", self.report)
        return [*report, *self.further_files(models)]

    def check(self, models: Sequence[str], data: Path, *, skip_bad: bool = False, **folders: Path | None) -> None:
        """Refuse, before any work, files that are inputs, each other, or there without leave to overwrite them.

        folders: that are written to as well, by the names of their options; the library looks at the rest of them.
        """
        from imgtool.batch.conflicts import refuse_same

        self.require_one_table(self.format)
        files = self.files(models)
        written = [*files, *((name, path) for name, path in folders.items() if path is not None)]
        refuse_same([(name, str(path)) for name, path in written])
        check_outputs([path for _, path in files], models, data, skip_bad=skip_bad, force=self.force)

    def write(self, comparison: Comparison, models: Sequence[str]) -> None:
        """Print the tables, then write the files. Ends with exit status 1 when a model failed."""
        from imgtool.batch.outputs import write_file

        print_comparison(comparison, self)
        if self.report is not None:
            page = comparison.to_html(command=command_line()).encode("utf-8", "backslashreplace")
            write_file(self.report, page, overwrite=self.force)
        self.write_further(comparison, models, overwrite=self.force)
        if comparison.failed:
            raise click.exceptions.Exit(1)


results = options.bundle(
    "results",
    Results,
    click.option("--format", type=click.Choice(SHOWN), help="Output format [default: table on a terminal, else json]."),
    click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write a page of HTML."),
    *OPTIONS,
    options.force,
    options.quiet,
)


def kept(function: options.Command) -> options.Command:
    """Add --work and --resume."""
    work = click.option("--work", type=click.Path(path_type=Path), metavar="FOLDER",
                        help="Keep predictions and models here as they come.")  # fmt: skip
    resume = click.option("--resume", is_flag=True, help="Go on with what is in --work after an interruption.")
    decorated: options.Command = work(resume(function))
    return decorated


def check_outputs(
    files: Sequence[Path], models: Sequence[str], data: Path, *, skip_bad: bool = False, force: bool = False
) -> None:
    """Refuse files to be written that are inputs, or there without leave."""
    from imgtool.batch.conflicts import refuse_inputs
    from imgtool.batch.outputs import check_writable

    if not files:
        return
    if any(str(path) == "-" for path in files):
        raise click.UsageError("standard output carries the table: name a file")
    from imgtool.classifiers.registry import model_files
    from imgtool.datasets.files import files_of

    refuse_inputs(map(str, files), chain(model_files(*models), files_of(data, skip_bad=skip_bad)))
    for path in files:
        check_writable(path, overwrite=force)


def readable(comparison: Comparison) -> str:
    """Return what a terminal shows: the table in two blocks, errors and costs, and what they say in words.

    Less needed columns of costs are left out unless the terminal is wide enough for all in one line.
    """
    from textwrap import fill

    from imgtool.evaluation.sentences import sentences
    from imgtool.evaluation.table import blocks

    width = shutil.get_terminal_size().columns
    rows = comparison.rows()
    tables = [
        text if fits(width, text := align(*wide)) else align_within(width, *narrow, kept=INTERVALS)
        for wide, narrow in zip(blocks(rows, whole=True), blocks(rows), strict=True)
    ]
    return "\n".join([*tables, "".join(f"{fill(line, WIDTH)}\n" for line in sentences(comparison))])


def words(comparison: Comparison) -> str:
    """Return what a comparison says, as a paragraph of Markdown."""
    from imgtool.evaluation.sentences import sentences

    text = " ".join(sentences(comparison))
    return "\n" + re.sub(r"([\\`*_<>\[\]|])", r"\\\1", text) + "\n"


def command_line() -> str:
    """Return the command that is run, as a shell takes it."""
    return shlex.join(["imgtool", *click.get_current_context().meta["arguments"]])


def print_comparison(comparison: Comparison, results: Results) -> None:
    """Print the tables."""
    shown, quiet = results.format or ("table" if sys.stdout.isatty() else "json"), results.quiet
    if shown == "json":
        record = comparison.to_record()
        results.add_to_rows(record["models"], comparison)
        emit(json_line(record))
    elif shown == "table":
        emit(readable(comparison) + results.further_tables(comparison))
    elif shown == "csv":
        emit(results.csv(comparison) or comparison.to_csv())
    else:
        emit(comparison.to_markdown() + words(comparison) + results.further_tables(comparison, as_markdown=True))
    if (rows := comparison.facts.get("train_sizes")) and shown in ("table", "markdown"):
        from imgtool.evaluation import train_sizes

        emit("\n" + (align(*train_sizes.cells(rows)) if shown == "table" else train_sizes.to_markdown(rows)))
    if shown == "table" and not quiet:
        note(f"{len(comparison.labels)} held-out images of {len(comparison.classes)} classes")
    for remark in [] if quiet else [f"{comparison.data}: {comparison.found}", *comparison.remarks()]:
        complain(remark)
