"""`imgtool evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from imgtool.cli import options
from imgtool.cli.comparisons import SHOWN, print_comparison
from imgtool.cli.data_sets import naming_bad_files
from imgtool.cli.progress import event_listener

EXAMPLES = """
imgtool evaluate photos/ --model photos-hog/ --model photos-lenet/
imgtool evaluate imagenette/ --model alexnet@imagenette --format json
"""


@options.command("evaluate", examples=EXAMPLES)
@click.argument("data", type=click.Path(path_type=Path))
@options.models
@options.among
@options.skip_bad
@options.background
@options.device
@options.precision
@options.jobs
@click.option("--format", type=click.Choice(SHOWN), help="Output format [default: table on a terminal, else json].")
@options.quiet
def command(
    data: Path,
    names: tuple[str, ...],
    among: str,
    skip_bad: bool,
    background: str | None,
    device: str,
    precision: str,
    jobs: int | None,
    format: str | None,
    quiet: bool,
) -> None:
    """Measure trained models on a labeled data set.

    Uses the held-out part (test/, else val/) of DATA if there is one, else all images. An image is right when its
    class has the largest score of all classes of the model, as classify labels it.
    """
    from imgtool.evaluation.comparing import evaluate

    with naming_bad_files(), event_listener(quiet=quiet) as events:
        comparison = evaluate(
            names, data, among=among, skip_bad=skip_bad, background=background, device=device,
            precision=precision, jobs=jobs, events=events,
        )  # fmt: skip
    print_comparison(comparison, format, quiet=quiet)
