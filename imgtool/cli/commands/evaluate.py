"""`imgtool evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from imgtool.cli import comparisons, options
from imgtool.cli.comparison_progress import listening
from imgtool.cli.comparisons import Results
from imgtool.cli.progress import tell_device

EXAMPLES = """
imgtool evaluate photos/ --model photos-hog/ --model photos-lenet/
imgtool evaluate imagenette/ --model alexnet@imagenette --format json
imgtool evaluate photos/ --model photos-hog/ --report r.html
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
@comparisons.kept
@comparisons.results
@options.verbose
def command(
    data: Path,
    names: tuple[str, ...],
    device: str,
    skip_bad: bool,
    work: Path | None,
    verbose: bool,
    results: Results,
    **how: Any,
) -> None:
    """Measure trained models on a labeled data set.

    Uses the held-out part (test/, else val/) of DATA if there is one, else all images. An image is right when its
    class has the largest score of all classes of the model, as classify labels it.
    """
    from imgtool.device import resolve
    from imgtool.evaluation.comparing import evaluate

    device = resolve(device)
    results.check(names, data, skip_bad=skip_bad, work=work)
    with listening(work, quiet=results.quiet, verbose=verbose) as events:
        if verbose:
            tell_device(device)
        comparison = evaluate(
            names, data, device=device, skip_bad=skip_bad, work=work, overwrite=results.force, events=events, **how
        )
    results.write(comparison, names)
