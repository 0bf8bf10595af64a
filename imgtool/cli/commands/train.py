"""`imgtool train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from imgtool.cli import options
from imgtool.cli.comparisons import shown_progress
from imgtool.cli.tables import emit, json_line
from imgtool.errors import OutputError

EXAMPLES = """
imgtool train photos/ --model hog-svm -o photos-hog
imgtool train photos/ --model lenet --epochs 20 --seed 1 -o photos-lenet
imgtool train mnist/ --model lenet --set channels=1 -o digits
"""


@options.command("train", examples=EXAMPLES)
@click.argument("data", type=click.Path(path_type=Path))
@options.architecture
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="The model.")
@options.settings
@options.seed
@options.device
@click.option("--resume", is_flag=True, help="Go on after an interruption (networks).")
@options.force
@click.option("--json", is_flag=True, help="Print a record of what was done.")
@options.quiet
@options.verbose
def command(
    data: Path,
    name: str,
    output: Path,
    settings: dict[str, Any],
    seed: int,
    device: str,
    resume: bool,
    force: bool,
    json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Train a model on a data set.

    DATA is a folder of class folders, with train/ and val/ or test/ or without (then all of it is used), MNIST's or
    CIFAR-10's files, or a CSV of path,label.
    """
    from imgtool.classifiers.registry import create
    from imgtool.classifiers.storage import prepare_place
    from imgtool.datasets.formats import load
    from imgtool.device import resolve

    model = create(name, **settings)
    train = load(data).train
    prepare_place(output, overwrite=force)
    checkpoint = output.with_name(output.name + ".checkpoint")
    if checkpoint.exists() and not (resume or force):
        raise OutputError(f"{checkpoint}: is left from an interrupted training; --resume goes on, --force begins anew")
    if not resume:
        checkpoint.unlink(missing_ok=True)
    keep = checkpoint if model.keeps_checkpoints else None
    with shown_progress(quiet=quiet, verbose=verbose) as progress:
        model.fit(train, seed=seed, device=resolve(device), resume=keep, progress=progress)
    model.save(output, overwrite=force)
    checkpoint.unlink(missing_ok=True)
    if json:
        record = {"path": str(data), "output": str(output), "model": name, "images": len(train), "seed": seed}
        emit(json_line({**record, "classes": list(model.classes), "settings": model.settings}))
    elif not quiet:
        emit(f"{output}: {name}, {len(train)} images of {len(model.classes)} classes\n")
