"""`imgtool compare`."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import click

from imgtool.cli import options
from imgtool.cli.comparisons import SHOWN, print_comparison
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
@click.option("--format", type=click.Choice(SHOWN), help="Output format [default: table on a terminal, else json].")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write a page of HTML.")
@options.force
@options.quiet
@options.verbose
def command(
    data: Path,
    names: tuple[str, ...],
    test_share: float,
    among: str,
    skip_bad: bool,
    background: str | None,
    settings: dict[str, Any],
    seed: int,
    device: str,
    jobs: int | None,
    format: str | None,
    report: Path | None,
    force: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Split, train and compare models, with statistics.

    An architecture (alexnet) is trained on DATA; weights (alexnet@imagenette) or a folder are used as they are.
    p is McNemar's exact test against the best model; intervals are Wilson's.
    """
    from imgtool.batch.conflicts import refuse_inputs
    from imgtool.batch.outputs import check_free, write_file
    from imgtool.classifiers.registry import model_files
    from imgtool.datasets.files import files_of
    from imgtool.device import resolve
    from imgtool.evaluation.comparing import compare

    device = resolve(device)
    if verbose:
        tell_device(device)
    if report is not None:
        refuse_inputs([str(report)], chain(model_files(*names), files_of(data, skip_bad=skip_bad)))
        check_free(str(report), overwrite=force)
    with naming_bad_files(), event_listener(quiet=quiet, verbose=verbose) as events:
        comparison = compare(
            names, data, test_share=test_share, seed=seed, device=device, settings=settings, among=among,
            skip_bad=skip_bad, background=background, jobs=jobs, events=events,
        )  # fmt: skip
    if report is not None:
        write_file(report, comparison.to_html().encode("utf-8", "backslashreplace"), overwrite=force)
    print_comparison(comparison, format, quiet=quiet)
