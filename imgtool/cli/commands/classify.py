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
from imgtool.cli.tables import Row
from imgtool.errors import ImgtoolError, ParameterError
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.source import Source
from imgtool.remarks import Remark

if TYPE_CHECKING:
    import numpy as np

    from imgtool.classifiers.protocol import Classifier

UNSURE = "unsure"
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
@click.option("--top", type=click.IntRange(1), default=1, help="Number of labels in the table.  [1]")
@click.option(
    "--threshold", type=options.FloatRange(0, 1), help="Minimum score of a label, else 'unsure'.  [the model's, 0.5]"
)
@options.device
@options.backend
@options.rows
@options.images
def command(
    images: Images, rows: Rows, names: tuple[str, ...], top: int, threshold: float | None, device: str, backend: str
) -> None:
    """Label images with networks and classic models.

    A model knows only its own classes; the table says how many they are.
    """
    from imgtool.classifiers.registry import locate, open_model

    models = {name: open_model(name, device=device, backend=backend) for name in names}
    for name, model in models.items():
        if not images.quiet:
            note(f"{name}: one of {len(model.classes)} classes: {', '.join(model.classes[:12])}")
    columns = ("model", "classes", "label", "score") + (("top",) if top > 1 else ())
    labels = [
        functools.partial(_row, name, model, f"{locate(name).resolve().name} {model.weights_hash[:12]}", top, threshold)
        for name, model in models.items()
    ]
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


def _row(name: str, model: Classifier, weights: str, top: int, threshold: float | None, scores: np.ndarray) -> Row:
    """Return what one model says of one image."""
    best = (-scores).argsort(kind="stable")[: max(top, 5)]  # of equal ones the first, as `evaluate` counts
    ranked = [{"label": model.classes[index], "score": float(scores[index])} for index in best]
    score, least = ranked[0]["score"], model.threshold if threshold is None else threshold
    return {
        "model": name,
        "classes": len(model.classes),
        "label": ranked[0]["label"] if score >= least else UNSURE,
        "score": score,
        "top": Ranking(ranked[:top] if top > 1 else ranked),
        "weights": weights,
    }


class Ranking(list[dict[str, Any]]):
    """Labels with their scores, best first; in a table as text."""

    def __str__(self) -> str:
        return ", ".join(f"{each['label']} {each['score']:.2f}" for each in self)
