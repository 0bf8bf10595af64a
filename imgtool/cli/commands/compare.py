"""`imgtool compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import options
from imgtool.cli.comparisons import SHOWN, print_comparison, shown_progress

if TYPE_CHECKING:
    from imgtool.evaluation.comparison import Comparison

EXAMPLES = """
imgtool compare photos/ --model sift-fv-svm --model alexnet --report report.html
imgtool compare photos/ --model hog-svm --model gist-svm --test-share 0.3 --format markdown
imgtool compare imagenette/ --model alexnet@imagenette --model sift-fv-svm@imagenette
"""


@options.command("compare", examples=EXAMPLES)
@click.argument("data", type=click.Path(path_type=Path))
@options.models
@click.option("--test-share", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.25,
              help="Held out, where DATA has no test part.  [0.25]")  # fmt: skip
@options.settings
@options.seed
@options.device
@click.option("--format", type=click.Choice(SHOWN), help="[table on a terminal, else json]")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write a page of HTML.")
@options.force
@options.quiet
@options.verbose
def command(
    data: Path,
    names: tuple[str, ...],
    test_share: float,
    settings: dict[str, Any],
    seed: int,
    device: str,
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
    from imgtool.datasets.feature_file import check_free
    from imgtool.datasets.formats import load
    from imgtool.device import resolve
    from imgtool.evaluation.comparison import compare

    if report is not None:
        check_free(str(report), overwrite=force)
    with shown_progress(quiet=quiet, verbose=verbose) as progress:
        comparison = compare(
            names,
            load(data),
            test_share=test_share,
            seed=seed,
            device=resolve(device),
            settings=settings,
            progress=progress,
        )
    if report is not None:
        _write_report(report, comparison, data, force=force)
    print_comparison(comparison, data, format, quiet=quiet)


def _write_report(path: Path, comparison: Comparison, data: Path, *, force: bool) -> None:
    """Write the page."""
    from imgtool.batch.outputs import write_file
    from imgtool.evaluation.report import page

    text = page(comparison, str(data))
    write_file(path, text.encode("utf-8", "backslashreplace"), overwrite=force)
