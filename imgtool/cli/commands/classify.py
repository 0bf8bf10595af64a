"""`imgtool classify`."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import options
from imgtool.cli.images import Images, Rows
from imgtool.cli.messages import note
from imgtool.cli.tables import Row, default_format
from imgtool.errors import ImgtoolError, ParameterError
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.source import Source
from imgtool.remarks import Remark

if TYPE_CHECKING:
    import numpy as np

    from imgtool.classifiers.protocol import Classifier

UNSURE = "unsure"
MARK = "?"  # behind a label that is not sure
RANKED, SHOWN = 5, 3  # labels in a row, and in a table, unless a number is asked for
EXAMPLES = """
imgtool classify photo.jpg
imgtool classify --model alexnet --format tsv photos/ | sort
imgtool classify --model alexnet --model sift-fv-svm --top 5 photos/
imgtool classify --model my-model/ photo.jpg
"""


def model_names() -> Iterable[str]:
    """Return the models that ship, by their short and full names."""
    from imgtool.classifiers.registry import DEFAULT_WEIGHTS, shipped

    there = shipped()
    return [name for name in DEFAULT_WEIGHTS if f"{name}@{DEFAULT_WEIGHTS[name]}" in there] + there


@options.command("classify", examples=EXAMPLES)
@click.option(
    "--model", "names", multiple=True, default=["alexnet"], show_default=True, metavar="NAME|FOLDER",
    shell_complete=options.completer(model_names), help="Model name or folder; may be repeated.",
)  # fmt: skip
@click.option(
    "--top", type=click.IntRange(1), metavar="N", help=f"Number of labels.  [{SHOWN} in a table, else {RANKED}]"
)
@click.option(
    "--threshold", type=options.FloatRange(0, 1), metavar="T",
    help="Label images with scores below T as 'unsure'.  [labels below the model's own threshold are marked]",
)  # fmt: skip
@options.device
@options.backend
@options.rows
@options.images
def command(
    images: Images,
    rows: Rows,
    names: tuple[str, ...],
    top: int | None,
    threshold: float | None,
    device: str,
    backend: str,
) -> None:
    """Label images with networks and classic models.

    A model knows only its own classes; the table says how many they are. A label that is not sure, its score being
    below the model's threshold, is marked with a question mark in a table, and "sure": false in rows.
    """
    from imgtool.classifiers.registry import locate, open_model

    models = {name: open_model(name, device=device, backend=backend) for name in names}
    for name, model in models.items():
        if not images.quiet:
            note(f"{name}: one of {len(model.classes)} classes: {', '.join(model.classes[:12])}")
    is_table = (rows.format or default_format()) == "table"
    row = _table_row if is_table else _row
    count = top or (SHOWN if is_table else RANKED)
    weights = {name: f"{locate(name).resolve().name} {model.weights_hash[:12]}" for name, model in models.items()}
    labels = [functools.partial(row, *each, weights[each[0]], count, threshold) for each in models.items()]
    columns = ["model", "classes", "label", "score", *([] if is_table else ["sure"])]
    if (top or SHOWN) > 1 and (is_table or top):
        columns.append("runners-up" if is_table else "top")
    rows.write_many(images.report(_outcomes(images.source.flat(), images.jobs, list(models.values()), labels)), columns)


def _outcomes(
    source: Source, jobs: int, models: Sequence[Classifier], labels: Sequence[Callable[[np.ndarray], Row]]
) -> Iterator[Outcome[list[Row]]]:
    """Yield what the models say of each image, or why it has no labels. Raises what no other image could help."""
    from imgtool.image.levels import as_levels
    from imgtool.pipelines.predict import predict

    remarks: defaultdict[int, list[Remark]] = defaultdict(list)

    def read(index: int) -> np.ndarray:
        return as_levels(source.read(index, remarks[index]), remarks[index])

    for each in predict(models, len(source), read, jobs=jobs):
        path, error = source.input(each.index), each.error
        if isinstance(error, MemoryError):
            error = ImgtoolError("needs more memory than there is")
        if error is None:
            found = [row(scores) for row, scores in zip(labels, each.scores, strict=True) if scores is not None]
            yield Outcome(each.index, path, found, remarks=tuple(remarks.pop(each.index, ())))
        elif isinstance(error, ImgtoolError | OSError) and not isinstance(error, ParameterError):
            yield Outcome(each.index, path, error=error)
        else:
            raise error


def _row(name: str, model: Classifier, weights: str, count: int, threshold: float | None, scores: np.ndarray) -> Row:
    """Return what one model says of one image."""
    best = (-scores).argsort(kind="stable")[:count]  # of equal ones the first, as `evaluate` counts
    ranked = [{**_label(model, index), "score": float(scores[index])} for index in best]
    score = float(scores[best[0]])
    is_sure = score >= (model.threshold if threshold is None else threshold)
    label = _label(model, best[0]) if is_sure or threshold is None else {"label": UNSURE}
    return {
        "model": name,
        "classes": len(model.classes),
        **label,
        "score": score,
        "sure": is_sure,
        "top": ranked,
        "weights": weights,
    }


def _label(model: Classifier, index: int) -> dict[str, str]:
    """Return a class's name, and its identifier where it has one."""
    key = model.identifiers[index] if model.identifiers else None
    return {"label": model.classes[index], **({"id": key} if key else {})}


def _table_row(*of_image: Any) -> Row:
    """Return the row of a table: a label that is not sure is marked, the others stand behind it."""
    row = dict(_row(*of_image))
    mark = "" if row["sure"] or row["label"] == UNSURE else f" {MARK}"
    others = ", ".join(f"{each['label']} {each['score']:.2f}" for each in row["top"][1:])
    return {**row, "label": f"{row['label']}{mark}", "runners-up": others}
