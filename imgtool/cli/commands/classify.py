"""`imgtool classify`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from imgtool.classifiers.shipped import DEFAULT_NETWORK
from imgtool.cli import options
from imgtool.cli.images import Images, Rows
from imgtool.cli.messages import note
from imgtool.cli.tables import Row, default_format
from imgtool.errors import ParameterError
from imgtool.pipelines.outcomes import Outcome

MARK = "?"  # behind a label that is not sure
NAMED = 12  # classes, of a model that has no more
SHOWN = 3  # labels in a table, unless a number is asked for
EXAMPLES = """
imgtool classify photo.jpg
imgtool classify --model alexnet --format tsv photos/ | sort
imgtool classify --model alexnet --model sift-fv-svm --top 5 photos/
imgtool classify --truth "tiger cat" photo.jpg
imgtool classify --model my-model/ --sort sorted/ photos/
"""


def model_names() -> Iterable[str]:
    """Return the models that ship, by their short and full names."""
    from imgtool.classifiers.registry import DEFAULT_WEIGHTS, shipped

    there = shipped()
    return [name for name in DEFAULT_WEIGHTS if f"{name}@{DEFAULT_WEIGHTS[name]}" in there] + there


def _layer_and_folder(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, str] | None:
    """Return the two halves of LAYER=DIR."""
    if value is None:
        return None
    layer, equals, folder = value.partition("=")
    if not (layer and equals and folder):
        raise click.BadParameter(f"{value!r} is not LAYER=DIR")
    return layer, folder


@options.command("classify", examples=EXAMPLES)
@click.option(
    "--model", "names", multiple=True, default=[DEFAULT_NETWORK], show_default=True, metavar="NAME|FOLDER",
    shell_complete=options.completer(model_names), help="Model name or folder; may be repeated.",
)  # fmt: skip
@click.option("--top", type=click.IntRange(1), metavar="N", help=f"Number of labels.  [{SHOWN} in a table, else 5]")
@click.option(
    "--threshold", type=options.FloatRange(0, 1), metavar="T",
    help="Label images with scores below T as 'unsure'.  [labels below the model's own threshold are marked]",
)  # fmt: skip
@click.option("--truth", metavar="LABEL",
              help="The images' true label: adds its rank, and the top-k errors for k = 1 to 5.")  # fmt: skip
@click.option(
    "--crops", type=click.Choice(["1", "10"]), default="1", metavar="N",
    help="Parts of each image that a network sees: 1, or 10 whose scores are averaged.  [1]",
)  # fmt: skip
@click.option("--sort", metavar="DIR", help="Folder that gets a folder of links to the images for each label.")
@click.option("--cam", metavar="OUT", help="Draw what speaks for the label: file, folder or template ({stem}).")
@click.option(
    "--maps", metavar="LAYER=DIR", callback=_layer_and_folder, help="Draw a layer's feature maps of each image."
)
@options.force
@options.device
@options.backend
@options.precision
@click.option(
    "--batch", type=click.IntRange(1, 4096), metavar="N", help="Images that a model looks at together.  [up to 32]"
)
@options.rows
@options.images
def command(
    images: Images,
    rows: Rows,
    names: tuple[str, ...],
    top: int | None,
    threshold: float | None,
    truth: str | None,
    crops: str,
    sort: str | None,
    cam: str | None,
    maps: tuple[str, str] | None,
    force: bool,
    device: str,
    backend: str,
    precision: str,
    batch: int | None,
) -> None:
    """Label images with networks and classic models.

    A model knows only its own classes; the table says how many they are. A label that is not sure, its score being
    below the model's threshold, is marked with a question mark in a table, and "sure": false in rows.
    """
    if "-" in (cam, sort, maps and maps[1]):
        raise ParameterError("standard output carries the rows: name a file or folder")
    from imgtool.pipelines.classify_images import TOP, classify_images, opened

    models = opened(list(names), device, backend, precision)
    is_table = (rows.format or default_format()) == "table"
    outcomes = classify_images(
        images.source, models, top=top or (SHOWN if is_table else TOP), threshold=threshold,
        truth=truth, crops=int(crops), sort=sort, cam=cam, maps=maps, overwrite=force,
        batch=batch, jobs=images.jobs, watch=images.report,
    )  # fmt: skip
    for name, model in models.items():
        if not images.quiet:
            named = f": {', '.join(model.classes)}" if len(model.classes) <= NAMED else ""
            note(f"{name}: one of {len(model.classes)} classes{named}")
        if images.verbose:
            note(f"{name}: device {model.device}, precision {model.precision}")
    columns = ["model", "classes", "label", "score", *([] if is_table else ["sure"])]
    if (top or SHOWN) > 1 and (is_table or top):
        columns.append("runners-up" if is_table else "top")
    if truth:
        columns += ["rank", "top-1..5 errors"] if is_table else ["truth", "rank", "top_errors"]
        outcomes = _summing(outcomes, len(images.source), quiet=images.quiet)
    rows.write_many((each.map(_table_rows) for each in outcomes) if is_table else outcomes, columns)


def _summing(outcomes: Iterator[Outcome[list[Row]]], count: int, *, quiet: bool) -> Iterator[Outcome[list[Row]]]:
    """Yield the outcomes; after several say what share of the images each model is wrong on, for each k."""
    found: dict[str, list[list[int]]] = {}
    for outcome in outcomes:
        for row in outcome.value or ():
            found.setdefault(row["model"], []).append(row["top_errors"])
        yield outcome
    for name, errors in found.items():
        if count > 1 and not quiet:
            shares = (100 * sum(column) / len(errors) for column in zip(*errors, strict=True))
            text = ", ".join(f"top-{k} {share:.1f}%" for k, share in enumerate(shares, 1))
            note(f"{name}: errors on {len(errors)} images: {text}")


def _table_rows(rows: list[Row]) -> list[Row]:
    """Return the rows of a table: a label that is not sure is marked, the others stand behind it."""
    from imgtool.batch.sorted_links import UNSURE

    return [
        {
            **row,
            "label": row["label"] if row["sure"] or row["label"] == UNSURE else f"{row['label']} {MARK}",
            "runners-up": ", ".join(f"{each['label']} {each['score']:.2f}" for each in row["top"][1:]),
            "top-1..5 errors": row.get("top_errors"),
        }
        for row in rows
    ]
