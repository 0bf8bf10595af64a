"""`imgtool compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from imgtool.cli import comparisons, options
from imgtool.cli.comparison_progress import listening
from imgtool.cli.comparisons import Results
from imgtool.cli.progress import tell_device

EXAMPLES = """
imgtool compare photos/ --model sift-fv-svm --model alexnet --report r.html
imgtool compare photos/ --model hog-svm --model gist-svm --test-share 0.3
imgtool compare photos/ --model hog-svm --model lenet --folds 5 --work work
imgtool compare photos/ --model hog-svm --model lenet --train-sizes 5,10,20
imgtool compare imagenette/ --model alexnet@imagenette --model sift-fv-svm
"""


@options.command("compare", examples=EXAMPLES)
@click.argument("data", type=click.Path(path_type=Path))
@options.models
@click.option("--test-share", type=options.FloatRange(0, 1, min_open=True, max_open=True),
              metavar="SHARE", help="Share of each class to hold out, if DATA has no test part.  [0.25]")  # fmt: skip
@click.option("--folds", type=click.IntRange(2), metavar="K",
              help="Hold out each image once: train K times on K - 1 parts of the training images.")  # fmt: skip
@click.option("--train-sizes", type=options.Numbers(least=1), default=(), metavar="N,N",
              help="Train also on so many images of each class: 5,10,20,50,100.")  # fmt: skip
@options.among
@click.option("--near-duplicates", is_flag=True, help="Find held-out images that are copies of training images.")
@options.skip_bad
@options.background
@options.settings
@options.seed
@options.device
@options.jobs
@click.option("--keep", type=click.Path(path_type=Path), metavar="FOLDER", help="Leave the fitted models here.")
@comparisons.kept
@comparisons.results
@options.verbose
def command(
    data: Path,
    names: tuple[str, ...],
    device: str,
    skip_bad: bool,
    work: Path | None,
    keep: Path | None,
    verbose: bool,
    results: Results,
    **how: Any,
) -> None:
    """Split, train and compare models, with statistics.

    An architecture (alexnet) is trained on DATA; weights (alexnet@imagenette) or a folder are used as they are.
    p is McNemar's exact test against the best model; intervals are Wilson's.
    """
    from imgtool.device import resolve
    from imgtool.evaluation.comparing import TEST_SHARE, compare

    if how["test_share"] is not None and how["folds"]:
        raise click.UsageError("--test-share and --folds exclude each other: folds hold out every image once")
    how["test_share"] = TEST_SHARE if how["test_share"] is None else how["test_share"]
    device = resolve(device)
    results.check(names, data, skip_bad=skip_bad, work=work, keep=keep)
    with listening(work, quiet=results.quiet, verbose=verbose) as events:
        if verbose:
            tell_device(device)
        comparison = compare(
            names, data, device=device, skip_bad=skip_bad, work=work, keep=keep, overwrite=results.force,
            events=events, **how,
        )  # fmt: skip
    results.write(comparison, names)
