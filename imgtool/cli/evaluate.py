"""`imgtool evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from imgtool.cli import options
from imgtool.cli.comparisons import SHOWN, print_comparison

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
    """Measure trained models on a labelled data set.

    The held-out part (val/ or test/) where DATA has one, else all of it.
    """
    from imgtool.classifiers.registry import open_model
    from imgtool.datasets.formats import load
    from imgtool.device import resolve
    from imgtool.errors import ImgtoolError
    from imgtool.evaluation.comparison import Comparison, Result, score

    parts = load(data)
    test, device = parts.test or parts.train, resolve(device)
    results = []
    for name in names:
        try:
            model = open_model(name, device=device)
            scores, milliseconds = score(model, test)
            size = sum(array.nbytes for array in model.arrays().values())
            results.append(Result(name, None, scores, None, milliseconds, size))
        except ImgtoolError as error:
            results.append(Result(name, error=str(error)))
    print_comparison(Comparison(test.classes, test.labels, 0, results), format, quiet=quiet)
