"""`imgtool evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from imgtool.cli import options
from imgtool.cli.comparisons import SHOWN, print_comparison, shown_progress

EXAMPLES = """
imgtool evaluate photos/ --model photos-hog/ --model photos-lenet/
imgtool evaluate imagenette/ --model alexnet@imagenette --format json
"""


@options.command("evaluate", examples=EXAMPLES)
@click.argument("data", type=click.Path(path_type=Path))
@options.models
@options.device
@click.option("--format", type=click.Choice(SHOWN), help="[table on a terminal, else json]")
@options.quiet
def command(data: Path, names: tuple[str, ...], device: str, format: str | None, quiet: bool) -> None:
    """Measure trained models on a labeled data set.

    The held-out part (val/ or test/) where DATA has one, else all of it.
    """
    from imgtool.datasets.formats import load
    from imgtool.device import resolve
    from imgtool.evaluation.comparison import evaluate

    parts = load(data)
    test = parts.train if parts.test is None else parts.test
    with shown_progress(quiet=quiet) as progress:
        comparison = evaluate(names, test, device=resolve(device), progress=progress)
    print_comparison(comparison, data, format, quiet=quiet)
