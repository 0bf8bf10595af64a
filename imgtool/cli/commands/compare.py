"""`imgtool compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from imgtool.cli import comparisons, options
from imgtool.cli.comparisons import Results
from imgtool.cli.data_sets import naming_bad_files
from imgtool.cli.progress import event_listener, tell_device

EXAMPLES = """
imgtool compare photos/ --model sift-fv-svm --model alexnet --report r.html
imgtool compare photos/ --model hog-svm --model gist-svm --test-share 0.3
imgtool compare imagenette/ --model alexnet@imagenette --model sift-fv-svm
"""


@options.command("compare", examples=EXAMPLES)
@click.argument("data", type=click.Path(path_type=Path))
@options.models
@click.option("--test-share", type=options.FloatRange(0, 1, min_open=True, max_open=True), default=0.25,
              metavar="SHARE", help="Share of each class to hold out, if DATA has no test part.  [0.25]")  # fmt: skip
@options.among
@options.skip_bad
@options.background
@options.settings
@options.seed
@options.device
@options.jobs
@comparisons.results
@options.verbose
def command(
    data: Path, names: tuple[str, ...], device: str, skip_bad: bool, verbose: bool, results: Results, **how: Any
) -> None:
    """Split, train and compare models, with statistics.

    An architecture (alexnet) is trained on DATA; weights (alexnet@imagenette) or a folder are used as they are.
    p is McNemar's exact test against the best model; intervals are Wilson's.
    """
    from imgtool.device import resolve
    from imgtool.evaluation.comparing import compare

    device = resolve(device)
    if verbose:
        tell_device(device)
    results.check(names, data, skip_bad=skip_bad)
    with naming_bad_files(), event_listener(quiet=results.quiet, verbose=verbose) as events:
        comparison = compare(names, data, device=device, skip_bad=skip_bad, events=events, **how)
    results.write(comparison)
