"""`imgtool classify`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from imgtool.cli import options
from imgtool.cli.images import Images, Rows, each_image
from imgtool.cli.messages import note
from imgtool.cli.tables import Row

UNSURE = "unsure"
THOUSAND = "published weights for ImageNet's thousand classes: imgtool models fetch (in a later version)"
EXAMPLES = """
imgtool classify photo.jpg
imgtool classify --model alexnet --format tsv photos/ | sort
imgtool classify --model alexnet --model sift-fv-svm --top 5 photos/
imgtool classify --model my-model/ photo.jpg
"""


def model_names() -> Iterable[str]:
    """Return the models that ship, by their short and full names."""
    from imgtool.classifiers.registry import PREFERRED, shipped

    there = shipped()
    return [name for name in PREFERRED if f"{name}@{PREFERRED[name]}" in there] + there


@options.command("classify", examples=EXAMPLES)
@click.option(
    "--model", "names", multiple=True, default=["alexnet"], show_default=True, metavar="NAME|FOLDER",
    shell_complete=options.completer(model_names), help="A model that ships, or a trained one; repeatable.",
)  # fmt: skip
@click.option("--top", type=click.IntRange(1), default=1, help="Best labels in the table.  [1]")
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.5, help="Below it a label is 'unsure'.  [0.5]")
@options.device
@options.backend
@options.rows
@options.images
def command(
    images: Images, rows: Rows, names: tuple[str, ...], top: int, threshold: float, device: str, backend: str
) -> None:
    """Label images with networks and classic models.

    A label is one of the classes that the model knows; the table says how many those are.
    """
    from imgtool.classifiers.registry import locate, open_model

    models = {name: open_model(name, device=device, backend=backend) for name in names}
    weights = {name: f"{locate(name).resolve().name} {models[name].description['sha256'][:12]}" for name in names}
    for name, model in models.items():
        if not images.quiet:
            note(f"{name}: one of {len(model.classes)} classes: {', '.join(model.classes[:12])}")
    if not images.quiet and any("imagenette" in name or name == "alexnet" for name in names):
        note(THOUSAND)
    columns = ("model", "classes", "label", "score") + (("top",) if top > 1 else ())

    def labels(image: Any) -> list[Row]:
        found = ((name, _label(model, image, top, threshold)) for name, model in models.items())
        return [{"model": name, **label, "weights": weights[name]} for name, label in found]

    rows.write_many(each_image(images, labels), columns)


def _label(model: Any, image: Any, top: int, threshold: float) -> Row:
    """Return what one model says of one image."""
    scores = model.scores([image])[0]
    best = (-scores).argsort(kind="stable")[: max(top, 5)]  # of equal ones the first, as `evaluate` counts
    ranked = [{"label": model.classes[index], "score": float(scores[index])} for index in best]
    score = ranked[0]["score"]
    return {
        "classes": len(model.classes),
        "label": ranked[0]["label"] if score >= threshold else UNSURE,
        "score": score,
        "top": Ranking(ranked[:top] if top > 1 else ranked),
    }


class Ranking(list[dict[str, Any]]):
    """Labels with their scores, best first; in a table as text."""

    def __str__(self) -> str:
        return ", ".join(f"{each['label']} {each['score']:.2f}" for each in self)
