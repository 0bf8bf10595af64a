"""`imgtool models`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click

from imgtool.cli import options
from imgtool.cli.command import Group
from imgtool.cli.data_sets import naming_bad_files
from imgtool.cli.messages import complain, explain, note, printable
from imgtool.cli.pictures import write_picture
from imgtool.cli.shape import Shape
from imgtool.cli.tables import emit, json_line, write_rows

COLUMNS = ("model", "classes", "accuracy", "n", "kB", "fetched")
LAYER_COLUMNS = (
    "layer", "kind", "output", "kernel", "stride", "padding", *("parameters", "multiply-adds", "memory"),
    "receptive-field",
)  # fmt: skip
BENCH_COLUMNS = ("model", "input", "batch", "device", "processor", "backend", "inference", "training")
GRADIENT_COLUMNS = ("layer", "kind", "tensor", "difference", "ok")
MAX_CLASSES = 1_000_000


@click.group("models", Group, short_help="List, show, check and export models.")
def command() -> None:
    """List, show, check and export models.

    \b
      imgtool models list
      imgtool models show alexnet
      imgtool models layers lenet
      imgtool models filters alexnet -o filters.png
      imgtool models gradcheck lenet
      imgtool models bench alexnet
      imgtool models fetch resnet50@imagenet
      imgtool models verify my-model/
      imgtool models export my-model/ --quantize -o my-small-model
    """


@command.command("list")
@options.row_format
def list_models(format: str | None) -> None:
    """List the included models, those that can be fetched, and the trainable architectures."""
    from imgtool.classifiers.published import PUBLISHED
    from imgtool.classifiers.registry import names, shipped

    rows: list[dict[str, Any]] = [_summary(name) for name in shipped()]
    rows += [_published(name) for name in PUBLISHED]
    rows += [{"model": name, "classes": None, "accuracy": None, "n": None, "kB": None} for name in names()]
    write_rows(rows, format=format, columns=COLUMNS)


def _published(name: str) -> dict[str, Any]:
    """Return what the list says of published weights."""
    from imgtool.classifiers.published import IMAGES, PUBLISHED, find

    own = PUBLISHED[name]
    size, accuracy = round(own.megabytes * (1 << 20) / 1000), round(own.top1 / 100, 5)
    row = {"model": name, "classes": 1000, "accuracy": accuracy, "n": IMAGES, "kB": size}
    return {**row, "fetched": find(name) is not None}


def _summary(name: str) -> dict[str, Any]:
    """Return what the list says of a model that ships."""
    from imgtool.classifiers.registry import locate
    from imgtool.classifiers.storage import load_description

    folder = locate(name)
    description = load_description(folder)
    accuracy = description["provenance"].get("accuracy", {})
    size = sum(file.stat().st_size for file in folder.iterdir())
    return {
        "model": name,
        "classes": len(description["classes"]),
        "accuracy": accuracy.get("value"),
        "n": accuracy.get("n"),
        "kB": round(size / 1000),
    }


@command.command("layers")
@click.argument("name", metavar="NAME|FOLDER")
@click.option("--input", "shape", type=Shape(), metavar="CxHxW",
              help="Image: channels, rows, columns.  [the model's]")  # fmt: skip
@click.option(
    "--classes", type=click.IntRange(1, MAX_CLASSES), metavar="N", help="Number of classes.  [the model's, or 10]"
)
@options.row_format
def layers(name: str, shape: tuple[int, int, int] | None, classes: int | None, format: str | None) -> None:
    """Show a network's layers, trained or not.

    \b
      imgtool models layers lenet
      imgtool models layers resnet18 --input 3x224x224 --classes 1000

    Output shape, window, parameters, multiply-adds and bytes (of output and weights, in float32) of each layer, and the
    receptive field: how many pixels of a side one of its outputs depends on. The last row adds up. With an option, an
    architecture's name is the network as published, not that of the included weights.
    """
    from imgtool.classifiers.inspection import layers as layer_rows

    write_rows(layer_rows(name, shape, classes), format=format, columns=LAYER_COLUMNS)


@command.command("filters")
@click.argument("name", metavar="NAME|FOLDER")
@click.option("-o", "--output", metavar="OUT", help="Picture: file, folder or '-'.")
@options.force
def filters(name: str, output: str | None, force: bool) -> None:
    """Draw the kernels of a trained network's first layer.

    \b
      imgtool models filters alexnet -o filters.png

    Each kernel has a scale of its own, mid-gray being 0. A network whose first
    layer takes the whole image has an image of weights for each unit.
    """
    from imgtool.classifiers.inspection import first_kernels
    from imgtool.classifiers.registry import model_files
    from imgtool.networks.drawing import kernels_picture

    write_picture(
        output, name.rstrip("/") or name, lambda: kernels_picture(first_kernels(name)),
        what="filters", force=force, reads=model_files(name),
    )  # fmt: skip


@command.command("gradcheck")
@click.argument("name", metavar="NAME|FOLDER")
@options.seed
@options.row_format
@options.quiet
def gradcheck(name: str, seed: int, format: str | None, quiet: bool) -> None:
    """Compare a network's gradients, derived by hand, with numeric ones.

    \b
      imgtool models gradcheck lenet
      imgtool models gradcheck resnet18 --format jsonl

    Each layer's input and tensors are moved a little in a random direction, in float64; the difference is that between
    the slope by the chain rule and the real one, relative to the gradient's length. The last row is the whole network
    with its loss. Exit status 1 where one differs by more than 1e-5.
    """
    from imgtool.classifiers.inspection import gradients

    found = gradients(name, seed=seed)
    if not quiet:
        note(f"{name}: gradients derived by hand (backward passes) against differences of the loss, layer by layer")
    rows = list(found)
    write_rows(rows, format=format, columns=GRADIENT_COLUMNS)
    if wrong := [f"{row['layer']} {row['tensor']}" for row in rows if not row["ok"]]:
        complain(f"{name}: derived and numeric gradients differ: {', '.join(wrong)}")
        raise click.exceptions.Exit(1)


@command.command("bench")
@click.argument("name", metavar="NAME|FOLDER")
@options.devices
@click.option("--batch", type=click.IntRange(1), default=32, metavar="N", help="Images at once.  [32]")
@options.row_format
def bench(name: str, devices: tuple[str, ...], batch: int, format: str | None) -> None:
    """Measure a network's speed: images a second in inference and in training.

    \b
      imgtool models bench alexnet
      imgtool models bench resnet18 --device cpu --device cuda --batch 256

    On the CPU in NumPy and, where it is installed, in PyTorch; on a GPU in PyTorch. Images are random and stay on the
    device: the network alone is timed, for a second each.
    """
    from imgtool.classifiers.bench import bench as measured

    write_rows(measured(name, devices, batch=batch), format=format, columns=BENCH_COLUMNS)


@command.command("show")
@click.argument("name")
@click.option("--json", is_flag=True, help="Print model.json as one line.")
def show(name: str, json: bool) -> None:
    """Show a model's card, or its model.json."""
    from imgtool.classifiers.published import PUBLISHED, load
    from imgtool.classifiers.registry import locate
    from imgtool.classifiers.storage import card_of, load_description
    from imgtool.evaluation.measuring import validated

    folder, card = locate(name), None
    if name in PUBLISHED:
        data = load(name)
        description = {**data.to_json(), "weights": {"file": folder.name, "sha256": data.weights_hash}}
    else:
        description = load_description(folder)
        card = card_of(folder, description["weights"]["sha256"])
    if json:
        emit(json_line(description))
    elif card is not None:
        emit("".join(f"{printable(line)}\n" for line in card.splitlines()))
    else:
        told = description.pop("provenance").items()
        provenance = {key: value for key, value in told if key not in ("history", "seen")}
        if (chosen_by := validated(dict(told))) is not None:
            provenance["chosen by"] = chosen_by
        lines = {**description, "classes": [each["name"] for each in description["classes"]], **provenance}
        emit("".join(f"{key:<14}{printable(str(value))}\n" for key, value in lines.items()))


@command.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME|FOLDER]...")
def verify(names: tuple[str, ...]) -> None:
    """Check models: all fields, the hash, names and shapes of tensors. Default: all included models."""
    from imgtool.classifiers.published import PUBLISHED, check
    from imgtool.classifiers.registry import locate, open_model, shipped
    from imgtool.classifiers.storage import load_model
    from imgtool.errors import ImgtoolError

    failed = False
    for name in names or shipped():
        try:
            if name in PUBLISHED:
                check(name)
            else:
                load_model(locate(name), verify=True)
            model = open_model(name)
            emit(f"{name}: whole, {len(model.classes)} classes, sha256 {model.weights_hash[:12]}\n")
        except ImgtoolError as error:
            failed = True
            complain(explain(error))
    if failed:
        raise click.exceptions.Exit(1)


@command.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@options.force
@options.quiet
def fetch(names: tuple[str, ...], force: bool, quiet: bool) -> None:
    """Download published weights, unless they are here.

    \b
      imgtool models fetch alexnet@imagenet
      imgtool models fetch resnet50@imagenet vgg16@imagenet

    From their official address, by https, into IMGTOOL_CACHE or the system's folder for caches; PyTorch's own cache is
    looked in, too. The start of the SHA-256, which is in a file's name, is checked. With IMGTOOL_OFFLINE=1 nothing is
    fetched.
    """
    from imgtool.classifiers.fetching import fetch as get
    from imgtool.cli.progress import event_listener
    from imgtool.errors import ImgtoolError, ParameterError

    failed = False
    for name in names:
        try:
            with event_listener(quiet=quiet) as events:
                path = get(name, overwrite=force, events=events)
            if not quiet:
                emit(f"{name}: {printable(str(path))}, {path.stat().st_size / 1e6:.1f} MB\n")
        except ParameterError:
            raise
        except ImgtoolError as error:
            failed = True
            complain(explain(error))
    if failed:
        raise click.exceptions.Exit(1)


@command.command("export")
@click.argument("name", metavar="NAME|FOLDER")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="OUT",
              help="Output folder, or a file FILE.onnx.")  # fmt: skip
@click.option("--fold", is_flag=True, help="Fold a network's batch normalization into its convolutions.")
@click.option("--quantize", is_flag=True, help="Store matrices of weights as int8 with a scale for each row.")
@click.option("--names", type=click.Path(path_type=Path), metavar="FILE",
              help="Class names: a file with a line 'identifier name' for each.")  # fmt: skip
@click.option("--measure", "data", type=click.Path(path_type=Path), metavar="DATA",
              help="Measure the new model on the held-out part of DATA.")  # fmt: skip
@options.device
@options.force
@options.quiet
def export(
    name: str,
    output: Path,
    fold: bool,
    quantize: bool,
    names: Path | None,
    data: Path | None,
    device: str,
    force: bool,
    quiet: bool,
) -> None:
    """Write a trained model to another folder, or as an ONNX file.

    \b
      imgtool models export my-model/ --quantize -o my-small-model
      imgtool models export lenet@mnist -o lenet.onnx

    --quantize drops the stored accuracy, which is not that of the 8-bit weights; --measure adds a new one. An ONNX file
    holds a network from the normalization of pixels to probabilities, or a classic model's line from features to
    probabilities; classify takes the former.
    """
    from imgtool.classifiers.export import export_model
    from imgtool.datasets.files import files_of
    from imgtool.datasets.formats import load_dataset
    from imgtool.datasets.survey import checked
    from imgtool.evaluation.measuring import measure

    measured, reads = None, list[str]()
    if data is not None:
        with naming_bad_files():
            parts = checked(load_dataset(data))
        reads += files_of(parts)
        measured = functools.partial(measure, test=parts.train if parts.test is None else parts.test)
    export_model(
        name, output, fold=fold, quantize=quantize, names=names, overwrite=force, device=device, measure=measured,
        reads=reads,
    )  # fmt: skip
    if not quiet:
        files = output.iterdir() if output.is_dir() else [output]
        emit(f"{output}: {sum(file.stat().st_size for file in files) / 1e6:.2f} MB\n")
