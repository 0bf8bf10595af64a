"""`imgtool embed`."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.tables import Row
from imgtool.cli.vectors import COLUMNS, Vectors

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """
imgtool embed photo.jpg | jq .shape
imgtool embed photos/ -o embed.npz
imgtool features search --query photo.jpg embed.npz
imgtool embed --model alexnet --layer features.12 photos/ -o maps.npz
imgtool embed --model my-model/ photos/ -o mine.npz
"""


def network_names() -> Iterable[str]:
    """Return the networks that ship."""
    from imgtool.classifiers.shipped import shipped_networks

    return shipped_networks()


@options.command("embed", examples=EXAMPLES)
@click.option(
    "--model", metavar="NAME|FOLDER", shell_complete=options.completer(network_names),
    help="Network, by its name or folder.  [efficientnet-lite0]",
)  # fmt: skip
@click.option("--layer", metavar="NAME", help="Layer, as 'imgtool models layers' names it.  [the last but one]")
@options.batch_device
@options.vectors
@options.images
def command(images: Images, vectors: Vectors, model: str | None, layer: str | None, device: str | None) -> None:
    """Describe images by a layer of a network.

    The last layer but one of a network that tells many classes apart describes images of other classes, too. Of a
    layer that gives rows and columns the mean over these is taken. Images are prepared as for 'imgtool classify'.
    """
    from imgtool.pipelines.descriptors import complete

    known = complete("embed", {"model": model, "layer": layer})
    row = functools.partial(_row, weights=f"{known['model']} {known['weights'][:12]}")
    columns = ("descriptor", "weights", *COLUMNS[1:])
    vectors.write(images, "embed", row=row, columns=columns, device=device, model=model, layer=layer)


def _row(values: np.ndarray, *, weights: str) -> Row:
    """Return what standard output says of one image. weights: the network's name, and the start of their hash."""
    return {"descriptor": "embed", "shape": list(values.shape), "values": values, "weights": weights}
