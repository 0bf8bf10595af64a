"""`imgtool models`."""

from __future__ import annotations

from typing import Any

import click

from imgtool.cli import options
from imgtool.cli.messages import complain
from imgtool.cli.tables import emit, json_line, write_rows

COLUMNS = ("model", "classes", "accuracy", "n", "kB")


@click.group("models", short_help="List, show and verify models.")
def command() -> None:
    """List, show and verify models.

    \b
      imgtool models list
      imgtool models show alexnet
      imgtool models layers lenet
      imgtool models verify my-model/
    """


@command.command("list")
@options.row_format
def list_models(format: str | None) -> None:
    """List the models that ship, and the architectures that can be trained."""
    from imgtool.classifiers.registry import names, shipped

    rows: list[dict[str, Any]] = [_summary(name) for name in shipped()]
    rows += [{"model": name, "classes": None, "accuracy": None, "n": None, "kB": None} for name in names()]
    write_rows(rows, format=format, columns=COLUMNS)


def _summary(name: str) -> dict[str, Any]:
    """Return what the list says of a model that ships."""
    from imgtool.classifiers.registry import locate
    from imgtool.classifiers.storage import load_description

    folder = locate(name)
    description = load_description(folder)
    accuracy = description.get("accuracy", {})
    size = sum(file.stat().st_size for file in folder.iterdir())
    return {
        "model": name,
        "classes": len(description["classes"]),
        "accuracy": accuracy.get("value"),
        "n": accuracy.get("n"),
        "kB": round(size / 1000),
    }


@command.command("layers")
@click.argument("name")
@options.row_format
def layers(name: str, format: str | None) -> None:
    """Show the layers of a network that ships or was trained: shapes, parameters, multiply-adds."""
    from imgtool.classifiers.network import NetworkClassifier
    from imgtool.classifiers.registry import open_model
    from imgtool.errors import ParameterError
    from imgtool.networks.summary import summary

    model = open_model(name)
    if not isinstance(model, NetworkClassifier):
        raise ParameterError(f"{name} is no network")
    shape = (model.settings["channels"], model.settings["side"], model.settings["side"])
    rows = summary(model.network(), shape)
    write_rows(rows, format=format, columns=("layer", "kind", "output", "parameters", "multiply-adds"))


@command.command("show")
@click.argument("name")
@click.option("--json", is_flag=True, help="Print model.json as one line.")
def show(name: str, json: bool) -> None:
    """Show what a model is: its card, or what its model.json says."""
    from imgtool.classifiers.registry import locate
    from imgtool.classifiers.storage import load_description

    folder = locate(name)
    description = load_description(folder)
    card = folder / "CARD.md"
    if json:
        emit(json_line(description))
    elif card.is_file():
        emit(card.read_text("utf-8"))
    else:
        emit("".join(f"{key:<14}{value}\n" for key, value in description.items() if key != "history"))


@command.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME|FOLDER]...")
def verify(names: tuple[str, ...]) -> None:
    """Check models: every field, the hash, names and shapes of all tensors. All that ship, if none is named."""
    from imgtool.classifiers.registry import open_model, shipped
    from imgtool.errors import ImgtoolError

    failed = False
    for name in names or shipped():
        try:
            model = open_model(name)
            emit(f"{name}: whole, {len(model.classes)} classes, sha256 {model.description['sha256'][:12]}\n")
        except ImgtoolError as error:
            failed = True
            complain(str(error))
    if failed:
        raise click.exceptions.Exit(1)
