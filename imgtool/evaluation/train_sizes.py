"""How the error falls with the number of training images: where one model overtakes another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imgtool.evaluation.candidates import Candidate
from imgtool.evaluation.fits import Fit, fits_on_few
from imgtool.evaluation.intervals import wilson
from imgtool.evaluation.runner import Runner
from imgtool.evaluation.splits import Split


def sizes_in(split: Split, sizes: Sequence[int]) -> list[int]:
    """Return those of the sizes, in order, of which at least one class has as many training images."""
    assert split.train is not None
    return [size for size in sorted(set(sizes)) if size <= max(split.train.counts().values())]


def plan(candidates: Sequence[Candidate], split: Split, sizes: Sequence[int]) -> list[tuple[int, Fit]]:
    """Return (images of each class, training) of each model that is fitted."""
    fitted = [each for each in candidates if each.fits and each.result.error is None]
    return list(fits_on_few(fitted, split, sizes))


def run_train_sizes(runner: Runner, planned: Sequence[tuple[int, Fit]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row for each training with the error on the held-out images, and a line for each one that failed.

    A model that failed on all training images is left out.
    """
    rows, failures, n = list[dict[str, Any]](), list[str](), len(runner.split.test)
    for size, fit in planned:
        if fit.candidate.result.error is not None:
            continue
        predictions = fit.result.predictions = runner.run_fit(fit)
        if runner.events:
            runner.events(runner.measured(fit.result, fit.part))
        if predictions is None:
            failures.append(f"{fit.candidate.label}, {fit.part}: {fit.result.error}")
            continue
        wrong = runner.wrong(predictions)
        found = {"error": wrong / n, "interval": list(wilson(wrong, n)), "n": n}
        rows.append({"model": fit.candidate.label, "per_class": size, "images": len(fit.train), **found})
    return rows, failures


def cells(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return headings and lines of a table: the errors of each model in percent, with their intervals, by size."""
    sizes, models = (list(dict.fromkeys(row[key] for row in rows)) for key in ("per_class", "model"))
    texts = {(row["model"], row["per_class"]): _cell(row) for row in rows}
    headings = ["top-1 error", *(f"{size} a class" for size in sizes)]
    return headings, [[model, *(texts.get((model, size), "-") for size in sizes)] for model in models]


def to_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return that table in Markdown."""
    headings, lines = cells(rows)
    table = [headings, ["---", *["--:"] * (len(headings) - 1)], *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in table)


def _cell(row: Mapping[str, Any]) -> str:
    """Return an error with its interval, in percent."""
    low, high = (100 * end for end in row["interval"])
    return f"{100 * row['error']:.1f}% ({low:.0f}-{high:.0f})"
