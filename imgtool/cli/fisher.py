"""`imgtool fisher`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.vectors import Vectors

if TYPE_CHECKING:
    import numpy as np

    from imgtool.features.codebook import Codebook

EXAMPLES = """
imgtool fisher photos/ -o fisher.npz
imgtool features fit photos/ -o book.safetensors
imgtool fisher --codebook book.safetensors --pyramid 1x1,3x1 photos/ -o fisher.npz
"""
SHIPPED = "sift-fv-svm"


@options.command("fisher", examples=EXAMPLES)
@click.option("--codebook", metavar="FILE", help="Of 'imgtool features fit' [default: the one of sift-fv-svm].")
@click.option("--pyramid", default="1x1", show_default=True, metavar="LEVELS", help="Cells, as in 1x1,2x2,3x1.")
@options.vectors
@options.images
def command(images: Images, vectors: Vectors, codebook: str | None, pyramid: str) -> None:
    """Describe images by Fisher vectors of their dense SIFT.

    The improved Fisher vector (Perronnin, Sanchez and Mensink, ECCV 2010), as VLFeat computes it: signed square roots,
    unit length. The codebook says which SIFT; with the one that ships, images are first brought to that model's size.
    """
    levels, name = pyramid.split(","), codebook or SHIPPED
    describe = encoder(name, levels)
    vectors.write(images, describe, descriptor="fisher", codebook=name, pyramid=levels)


def encoder(name: str, levels: Sequence[str]) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function of an image that a codebook, a file or the one that ships, stands for."""
    from imgtool.features.encoding import LocalSettings, encode
    from imgtool.features.pyramid import parse_levels

    parse_levels(levels)
    book, prepare = _open(None if name == SHIPPED else name)
    LocalSettings.of(book)
    return lambda image: encode(prepare(image), book, levels=levels)


def _open(path: str | None) -> tuple[Codebook, Callable[[np.ndarray], np.ndarray]]:
    """Return a codebook and what to do to images first: nothing for that of a file, what the model that ships does."""
    if path is not None:
        from imgtool.features.codebook import load

        return load(path), lambda image: image
    from imgtool.classifiers.classic import SiftFisherSvm
    from imgtool.classifiers.registry import open_model

    model = open_model(SHIPPED)
    assert isinstance(model, SiftFisherSvm)
    assert model.codebook is not None
    return model.codebook, model.prepare
