"""What `evaluate` and `compare` tell beside the table: classes, confusions, predictions, mistakes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli.tables import align, fits
from imgtool.errors import ParameterError
from imgtool.names import distinct

if TYPE_CHECKING:
    from imgtool.evaluation.comparison import Comparison

PRINTED = "-"  # in place of a file
FIELD = "{model}"  # in a file's name: a file for each model
MARKDOWN_COLUMNS = 30  # names that a confusion in Markdown has columns for
Lines = tuple[str, Sequence[str], Sequence[Sequence[str]]]  # a title, headings, lines

OPTIONS = (
    click.option("--by-class", is_flag=True, help="Show the best model's error in each class, the worst first."),
    click.option("--confusion", is_flag=False, flag_value=PRINTED, metavar="[FILE]",
                 help="Show what the best model takes each class for, or write it: .csv or a picture."),
    click.option("--predictions", type=click.Path(path_type=Path), metavar="FILE",
                 help="Write each model's five best labels of each image as CSV."),
    click.option("--mistakes", type=click.Path(path_type=Path), metavar="FILE",
                 help="Draw the best model's surest mistakes; {model} in a name: a file for each model."),
)  # fmt: skip


@dataclass(frozen=True)
class Further:
    """The options. confusion: a file, "-" to print it, None for neither."""

    by_class: bool
    confusion: str | None
    predictions: Path | None
    mistakes: Path | None

    def further_files(self, models: Sequence[str]) -> Iterator[tuple[str, Path]]:
        """Yield the files to be written, each with the name of its option. Raises for a suffix that is not written."""
        from imgtool.image.write import format_of

        if self.predictions is not None:
            require_no_field("predictions", self.predictions)
            yield "predictions", self.predictions
        for option, file in (("confusion", self._confusion_file), ("mistakes", self.mistakes)):
            if file is not None:
                if option != "confusion" or file.suffix.lower() != ".csv":
                    format_of(str(file))
                yield from ((option, path) for path in files_for(file, models).values())

    def require_one_table(self, format: str | None) -> None:
        """Raise for CSV that would be two tables."""
        if format == "csv" and self.by_class and self.confusion == PRINTED:
            raise ParameterError(
                "by_class and confusion are two tables, and CSV is one", parameters=("by_class", "confusion")
            )

    def write_further(self, comparison: Comparison, models: Sequence[str], *, overwrite: bool) -> None:
        """Write the files; of models that failed there are none."""
        from imgtool.batch.image_files import write
        from imgtool.batch.outputs import write_file

        if self.predictions is not None:
            comparison.write_predictions(self.predictions, overwrite=overwrite)
        for path, model in _of_models(self._confusion_file, comparison, models):
            if path.suffix.lower() == ".csv":
                data = comparison.confusion(model).to_csv().encode("utf-8", "surrogateescape")
                write_file(path, data, overwrite=overwrite)
            else:
                write(path, comparison.confusion_picture(model), overwrite=overwrite)
        for path, model in _of_models(self.mistakes, comparison, models):
            write(path, comparison.mistakes(model), overwrite=overwrite)

    def add_to_rows(self, rows: Sequence[dict[str, Any]], comparison: Comparison) -> None:
        """Add what was asked for to each model's row of JSON."""
        for row, each in zip(rows, comparison.scored, strict=False):
            confusion = comparison.confusion(each.model)
            if self.by_class:
                row["by_class"] = confusion.by_class()
            if self.confusion == PRINTED:
                row["confusion"] = {"said": confusion.said, "counts": confusion.counts.tolist()}

    def further_tables(self, comparison: Comparison, *, as_markdown: bool = False) -> str:
        """Return the tables that were asked for, to stand below the models'; of the best model."""
        from imgtool.evaluation.confusion import BY_CLASS
        from imgtool.evaluation.table import cells_of, markdown, visible

        tables: list[Lines] = []
        for each in comparison.scored[:1]:
            confusion, name = comparison.confusion(each.model), visible(each.model)
            if self.by_class:
                tables.append((f"{name}, class by class", *cells_of(confusion.by_class(), BY_CLASS)))
            if self.confusion == PRINTED:
                tables.append(_confusion_lines(name, confusion, as_markdown=as_markdown))
        draw, gap = (markdown, "\n\n") if as_markdown else (align, "\n")
        return "".join(f"\n{title}{gap}{draw(headings, lines)}" for title, headings, lines in tables)

    def csv(self, comparison: Comparison) -> str:
        """Return the table that CSV holds in place of the models'; "" where none was asked for."""
        from imgtool.evaluation.confusion import BY_CLASS
        from imgtool.evaluation.table import Column, to_csv

        if self.confusion == PRINTED:
            return "".join(comparison.confusion(each.model).to_csv() for each in comparison.scored[:1])
        if not self.by_class:
            return ""
        models = [each.model for each in comparison.scored]
        rows = [{"model": model, **row} for model in models for row in comparison.by_class(model)]
        return to_csv(rows, (Column("model"), *BY_CLASS))

    @property
    def _confusion_file(self) -> Path | None:
        return None if self.confusion in (None, PRINTED) else Path(str(self.confusion))


def require_no_field(option: str, file: Path) -> None:
    """Raise ParameterError for a name with {model}, where one file holds all models."""
    if FIELD in str(file):
        text = f"{option}: {file} names {FIELD}, and one file holds all models"
        raise ParameterError(text, parameters=(option,))


def files_for(file: Path, models: Sequence[str]) -> dict[str, Path]:
    """Return the file of each model by its name, where the file's name holds {model}; else the file alone, by ""."""
    if FIELD not in str(file):
        return {"": file}
    stems = distinct(re.sub(r"[^\w@.+-]+", "-", model).strip("-.") or "model" for model in distinct(models))
    return {model: Path(str(file).replace(FIELD, stem)) for model, stem in zip(distinct(models), stems, strict=True)}


def _of_models(file: Path | None, comparison: Comparison, models: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Yield each file that is to be written, and its model: the best one, or each that did not fail."""
    if file is None or not comparison.scored:
        return
    there = {each.model for each in comparison.scored}
    for model, path in files_for(file, models).items():
        if not model:
            yield path, comparison.scored[0].model
        elif model in there:
            yield path, model


def _confusion_lines(name: str, confusion: Any, *, as_markdown: bool) -> Lines:
    """Return the counts, or where they have too many columns the commonest mistakes."""
    from imgtool.evaluation.confusion import MISTAKES
    from imgtool.evaluation.table import cells_of

    counts = confusion.lines()
    if as_markdown:
        has_room = len(confusion.said) <= MARKDOWN_COLUMNS
    else:
        has_room = fits(shutil.get_terminal_size().columns, align(*counts))
    if has_room:
        return f"{name}: a line for each class, a column for what was said", *counts
    return f"{name}: its commonest mistakes", *cells_of(confusion.commonest(), MISTAKES)
