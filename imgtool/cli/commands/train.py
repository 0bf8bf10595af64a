"""`imgtool train`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import options
from imgtool.cli.data_sets import naming_bad_files, tell_parts
from imgtool.cli.interruptions import command_to_go_on, telling
from imgtool.cli.messages import complain
from imgtool.cli.progress import event_listener, tell_device, to_all
from imgtool.cli.tables import emit, json_line, write_rows
from imgtool.errors import ImgtoolError

if TYPE_CHECKING:
    from imgtool.classifiers.protocol import Trainable
    from imgtool.datasets.formats import Parts
    from imgtool.events import Events

EXAMPLES = """
imgtool train photos/ --model hog-svm -o photos-hog
imgtool train photos/ --model lenet --epochs 20 --seed 1 -o photos-lenet
imgtool train photos/ --model lenet --init lenet@cifar10 --lr 0.003 -o tuned
imgtool train gist.npz --model gist-svm -o photos-gist
imgtool train photos/ --model alexnet --preview crops.png
imgtool train photos/ --model lenet --backend numpy -o by-hand
imgtool train --model lenet --settings
"""
SETTING_COLUMNS = ("setting", "of", "default", "range", "meaning")


def list_settings(name: str) -> None:
    """Print the settings of a model."""
    from imgtool.classifiers.registry import settings_table

    write_rows(settings_table(name), format=None, columns=SETTING_COLUMNS)


def first_writes(function: Callable[..., None]) -> Callable[..., None]:
    """Of processes that train together, have the first one write and print, and one of each machine tell errors."""

    @functools.wraps(function)
    def wrapped(**values: Any) -> None:
        from imgtool.networks.launch import launched

        launch = launched()
        if launch.is_first:
            return function(**values)
        try:
            return function(**{**values, "quiet": True, "json": False, "preview": None, "curves": None})
        except ImgtoolError as error:
            if launch.speaks:
                raise
            raise click.exceptions.Exit(error.exit_status) from None

    return wrapped


@options.command("train", examples=EXAMPLES)
@click.argument("data", type=click.Path(path_type=Path), required=False)
@options.architecture
@click.option("--settings", "lists", is_flag=True, help="List the settings of --model, and exit.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Output folder.")
@options.settings
@click.option("--validation-share", type=options.FloatRange(0, 1, max_open=True), metavar="SHARE",
              help="Share of a network's training images for validation; 0 for none.  [0.1]")  # fmt: skip
@click.option("--init", metavar="NAME|FOLDER", help="Trained network to start from.")
@click.option("--no-augment", "augment", is_flag=True, flag_value=False, default=True,
              help="Change no training images at random (networks).")  # fmt: skip
@options.seed
@options.device
@options.backend
@click.option(
    "--threads", type=click.IntRange(1), metavar="N", help="CPU threads that a network computes with.  [by its size]"
)
@options.jobs
@click.option("--preview", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the images that a network sees first; without -o, end then.")  # fmt: skip
@click.option("--curves", type=click.Path(path_type=Path), metavar="FILE",
              help="Draw a network's loss, error and learning rate by epochs.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Resume an interrupted training (networks).")
@options.skip_bad
@options.background
@options.force
@click.option("--json", is_flag=True, help="Print a record of what was done.")
@options.quiet
@options.verbose
@first_writes
def command(
    data: Path | None,
    name: str,
    lists: bool,
    output: Path | None,
    settings: dict[str, Any],
    json: bool,
    skip_bad: bool,
    background: str | None,
    preview: Path | None,
    curves: Path | None,
    jobs: int | None,
    force: bool,
    quiet: bool,
    verbose: bool,
    **how: Any,
) -> None:
    """Train a model on a data set.

    DATA is a folder of class folders (all images are used), or of parts (train, val, test, by any of their usual names)
    with class folders in each; MNIST's, EMNIST's or CIFAR's files; a CSV of path,label[,split]; or, for classic models,
    a feature file with labels. The trained model is measured once on the held-out part, if any.
    """
    if lists:
        list_settings(name)
        return
    if data is None:
        raise click.UsageError("name a data set")
    if output is None and (preview is None or curves is not None or how["resume"]):
        raise click.UsageError("name a folder for the model: -o FOLDER")
    if str(output) == "-":
        raise click.UsageError("a model is a folder, which standard output cannot carry: -o FOLDER")
    from imgtool.batch.pool import at_once, job_count
    from imgtool.classifiers.storage import check_place
    from imgtool.classifiers.training import create_to_train, require_other_places, training_device
    from imgtool.datasets.formats import load_dataset
    from imgtool.datasets.survey import checked
    from imgtool.evaluation.training_pictures import CurvesFile, PreviewFile, check_pictures
    from imgtool.networks.launch import launched

    pictures = {"preview": preview, "curves": curves}
    renew = force or how["resume"]  # who goes on has the pictures of before
    # Wrong usage is told before data are looked for.
    device = how["device"] = training_device(how["device"], how["backend"], name)
    chosen = {key: how[key] for key in ("augment", "init", "backend", "device")}
    model = create_to_train(name, **chosen, **settings)
    check_pictures(model, output, **pictures, overwrite=renew)
    is_first = launched().is_first
    if output is not None and is_first:
        check_place(output, overwrite=force)
    parts = load_dataset(data, skip_bad=skip_bad, background=background)
    require_other_places(output, parts, how["init"], pictures=pictures)
    with ExitStack() as stack:
        stack.enter_context(at_once(job_count(jobs)))
        heard: list[Events] = []
        if curves:
            heard.append(stack.enter_context(CurvesFile(curves, title=f"{name}, {data}", overwrite=renew)))
        with naming_bad_files(), event_listener(quiet=quiet, verbose=verbose, epochs=True) as events:
            if verbose:
                tell_device(device)
            parts = checked(parts, skip_bad=skip_bad, events=events)
            if not quiet:
                tell_parts(str(data), parts, verbose=verbose)
            if preview:
                heard.append(stack.enter_context(PreviewFile(preview, parts.train.classes, overwrite=renew)))
            how |= {**settings, "events": to_all(*heard, *([events] if events else []))}
            if output is None:
                _preview(parts, name, **how)
            else:
                model = _train(parts, model, output, overwrite=force, **how)
        if output is not None and is_first:
            _report(model, parts, data, output, json=json, quiet=quiet)
        elif json or not quiet:
            emit(json_line({"path": str(data), "model": name, "preview": str(preview)}) if json else f"{preview}\n")


def _train(parts: Parts, planned: Trainable, output: Path, **how: Any) -> Trainable:
    """Train a model as planned, and measure it on the held-out part, if any."""
    from imgtool.classifiers.training import train
    from imgtool.evaluation.measuring import measure
    from imgtool.networks.launch import launched

    with telling(lambda: _left(planned, output)):
        model = train(parts, planned.name, output=output, **how)
    if parts.test is not None and launched().is_first:
        model.provenance = measure(model, parts.test)
        model.save(output, overwrite=True)
    return model


def _left(planned: Trainable, output: Path) -> str:
    """Return what is kept of a training that is interrupted, and how to go on with it."""
    from imgtool.classifiers.training import checkpoint_of
    from imgtool.networks.checkpoint import interruption_lines

    if not planned.keeps_checkpoints:
        how = " when it is trained in NumPy" if getattr(planned, "trainer", "") == "numpy" else ""
        return f"{output}: nothing is kept: {planned.name} keeps no checkpoint{how}"
    checkpoint = checkpoint_of(output)
    if not checkpoint.exists():
        return f"{output}: nothing is kept: no epoch is done"
    done = next(iter(interruption_lines()), f"{checkpoint}: is kept")
    return f"{done}; to go on: {command_to_go_on()}"


def _preview(parts: Parts, name: str, *, threads: int | None, resume: bool, **how: Any) -> None:
    """Go as far as the first batch, which is written when it comes."""
    from imgtool.evaluation.training_pictures import training_preview

    training_preview(parts, name, **how)


def _report(model: Trainable, parts: Parts, data: Path, output: Path, *, json: bool, quiet: bool) -> None:
    """Print what was trained, and how good it is where that was measured."""
    from imgtool.classifiers.learning import seen_before_lines
    from imgtool.evaluation.measuring import validated

    chosen_by, accuracy = validated(model.provenance), model.provenance.get("accuracy")
    images = model.provenance["data"]["images"]
    if json:
        record = {"path": str(data), "output": str(output), "model": model.name, "images": images}
        record |= {key: model.provenance[key] for key in ("device", "backend") if key in model.provenance}
        record |= {"seed": model.provenance["seed"], "classes": list(model.classes), "settings": model.settings}
        record |= {"background": parts.train.background} if parts.train.background else {}
        record |= {"left_out": parts.left_out()} if parts.remarks else {}
        emit(json_line({**record, "validation": chosen_by, "accuracy": accuracy}))
    elif not quiet:
        shares = f"{_validation_text(chosen_by, model)}{_accuracy_text(accuracy)}"
        emit(f"{output}: {model.name}, {images} images of {len(model.classes)} classes{shares}\n")
    doubt = model.doubt or _doubt_of_accuracy(accuracy, parts)
    for line in () if quiet else [*([doubt] if doubt else []), *seen_before_lines(model, parts.test)]:
        complain(f"{output}: {line}")


def _doubt_of_accuracy(accuracy: dict[str, Any] | None, parts: Parts) -> str:
    """Return why held-out images show that nothing was learned; "" where they do not, or there are none."""
    from imgtool.classifiers.learning import doubt_of_share

    if accuracy is None or parts.test is None:
        return ""
    return doubt_of_share(accuracy["right"], parts.test.labels, "held-out images")


def _validation_text(chosen_by: dict[str, Any] | None, model: Trainable) -> str:
    """Return the error by which the epoch or the cost was chosen, or that none was."""
    from imgtool.classifiers.learning import NOT_DIVIDED, was_divided

    if chosen_by is None:
        return "" if was_divided(model.provenance["history"]) else f"; {NOT_DIVIDED}"
    name, place = "cross-validated", ""
    if chosen_by["by"] == "validation":
        name, place = "validation", f" in epoch {chosen_by['epoch']}"
    share = f"{100 * chosen_by['error']:.1f} % of {chosen_by['n']} images"
    return f"; {name} error {share}{place} ({_interval_text(chosen_by['interval'])})"


def _accuracy_text(accuracy: dict[str, Any] | None) -> str:
    """Return how many held-out images were labeled right."""
    if accuracy is None:
        return ""
    share = f"{100 * accuracy['value']:.1f} % of {accuracy['n']} held-out images right"
    return f"; {share} ({_interval_text(accuracy['interval'])})"


def _interval_text(interval: Sequence[float]) -> str:
    """Return a 95 % confidence interval in percent."""
    low, high = (100 * each for each in interval)
    return f"95 % CI {low:.1f} to {high:.1f}"
