"""`imgtool train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import options
from imgtool.cli.comparisons import event_listener
from imgtool.cli.tables import emit, json_line, write_rows

if TYPE_CHECKING:
    from imgtool.classifiers.protocol import Trainable
    from imgtool.datasets.formats import Parts

EXAMPLES = """
imgtool train photos/ --model hog-svm -o photos-hog
imgtool train photos/ --model lenet --epochs 20 --seed 1 -o photos-lenet
imgtool train photos/ --model lenet --init lenet@cifar10 --lr 0.003 -o tuned
imgtool train --model lenet --settings
"""
SETTING_COLUMNS = ("setting", "of", "default", "range", "meaning")


def list_settings(name: str) -> None:
    """Print the settings of a model."""
    from imgtool.classifiers.registry import settings_table

    write_rows(settings_table(name), format=None, columns=SETTING_COLUMNS)


@options.command("train", examples=EXAMPLES)
@click.argument("data", type=click.Path(path_type=Path), required=False)
@options.architecture
@click.option("--settings", "lists", is_flag=True, help="List the settings of --model, and exit.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Output folder.")
@options.settings
@click.option("--validation-share", type=options.FloatRange(0, 1, max_open=True), metavar="SHARE",
              help="Share of a network's training images for validation; 0 for none.  [0.1]")  # fmt: skip
@click.option("--init", metavar="NAME|FOLDER", help="Trained network to start from.")
@options.seed
@options.device
@click.option("--threads", type=click.IntRange(1), metavar="N", help="CPU threads.  [by the network's size]")
@click.option("--resume", is_flag=True, help="Resume an interrupted training (networks).")
@options.force
@click.option("--json", is_flag=True, help="Print a record of what was done.")
@options.quiet
@options.verbose
def command(
    data: Path | None,
    name: str,
    lists: bool,
    output: Path | None,
    settings: dict[str, Any],
    json: bool,
    force: bool,
    quiet: bool,
    verbose: bool,
    **how: Any,
) -> None:
    """Train a model on a data set.

    DATA is a folder of class folders (all images are used), or of train/ and val/ or test/ with class folders in each;
    MNIST's or CIFAR-10's files; or a CSV of path,label. The trained model is measured once on the held-out part, if
    any.
    """
    if lists:
        list_settings(name)
        return
    if data is None or output is None:
        raise click.UsageError("name a data set" if data is None else "name a folder for the model: -o FOLDER")
    from imgtool.classifiers.registry import create
    from imgtool.classifiers.training import train
    from imgtool.datasets.formats import load_dataset
    from imgtool.evaluation.measuring import measure

    create(name, **settings)  # wrong usage is told before a data set is looked for
    parts = load_dataset(data)
    with event_listener(quiet=quiet, verbose=verbose) as events:
        model = train(parts, name, output=output, overwrite=force, events=events, **how, **settings)
        if parts.test is not None:
            model.provenance = measure(model, parts.test)
            model.save(output, overwrite=True)
    _report(model, parts, data, output, json=json, quiet=quiet)


def _report(model: Trainable, parts: Parts, data: Path, output: Path, *, json: bool, quiet: bool) -> None:
    """Print what was trained, and how good it is where that was measured."""
    accuracy = model.provenance.get("accuracy")
    images = model.provenance["data"]["images"]
    if json:
        record = {"path": str(data), "output": str(output), "model": model.name, "images": images}
        record |= {"seed": model.provenance["seed"], "classes": list(model.classes), "settings": model.settings}
        emit(json_line({**record, "accuracy": accuracy}))
    elif not quiet:
        emit(f"{output}: {model.name}, {images} images of {len(model.classes)} classes{_accuracy_text(accuracy)}\n")


def _accuracy_text(accuracy: dict[str, Any] | None) -> str:
    """Return how many held-out images were labeled right, with the 95 % confidence interval."""
    if accuracy is None:
        return ""
    low, high = (100 * each for each in accuracy["interval"])
    return (
        f"; {100 * accuracy['value']:.1f} % of {accuracy['n']} held-out images right (95 % CI {low:.1f} to {high:.1f})"
    )
