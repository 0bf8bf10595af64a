"""`imgtool fisher`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.vectors import Vectors
from imgtool.errors import DataError, ParameterError

if TYPE_CHECKING:
    import numpy as np

    from imgtool.features.codebook import Codebook, Dictionary

EXAMPLES = """
imgtool fisher photos/ -o fisher.npz
imgtool features fit photos/ -o book.safetensors
imgtool fisher --codebook book.safetensors --pyramid 1x1,3x1 photos/ -o fisher.npz
imgtool fisher --codebook book.safetensors --encoding vlad photos/ -o vlad.npz
imgtool features fit --dictionary 1024 photos/ -o atoms.safetensors
imgtool fisher --codebook atoms.safetensors --encoding sparse photos/ -o sparse.npz
"""
SHIPPED = "sift-fv-svm"
SPARSE = "sparse"
ENCODINGS = {"fisher": "1x1", "vlad": "1x1", "bow": "1x1", SPARSE: "1x1,2x2,4x4"}  # each with its usual pyramid


@options.command("fisher", examples=EXAMPLES)
@click.option("--codebook", metavar="FILE", help="Of 'imgtool features fit' [default: the one of sift-fv-svm].")
@click.option(
    "--encoding", type=click.Choice(list(ENCODINGS)), default="fisher", show_default=True,
    help="Fisher vector, VLAD, bag of words, sparse codes.",
)  # fmt: skip
@click.option("--pyramid", metavar="LEVELS", help="Cells, as in 1x1,2x2,3x1  [1x1; sparse: 1x1,2x2,4x4]")
@click.option("--solver", type=click.Choice(["feature-sign", "llc"]), help="Of sparse codes  [feature-sign]")
@options.vectors
@options.images
def command(
    images: Images, vectors: Vectors, codebook: str | None, encoding: str, pyramid: str | None, solver: str | None
) -> None:
    """Describe images by Fisher vectors or other encodings of dense SIFT.

    The improved Fisher vector (Perronnin, Sanchez and Mensink, ECCV 2010), as VLFeat computes it: signed square roots,
    unit length. The codebook says which SIFT; with the one that ships, images are first brought to that model's size.
    Sparse codes need a dictionary, from 'imgtool features fit --dictionary'.
    """
    if solver and encoding != SPARSE:
        raise ParameterError("--solver is for --encoding sparse")
    parameters: dict[str, Any] = {"codebook": codebook or SHIPPED}
    parameters["pyramid"] = (pyramid or ENCODINGS[encoding]).split(",")
    if encoding == SPARSE:
        parameters["solver"] = solver or "feature-sign"
    vectors.write(images, encoder(encoding, **parameters), descriptor=encoding, **parameters)


def encoder(
    encoding: str, codebook: str, pyramid: Sequence[str], solver: str = ""
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function of an image that encodes it by a codebook, that of a file or the one that ships."""
    from imgtool.features.codebook import Codebook
    from imgtool.features.encoding import LocalSettings, encode, encode_sparsely
    from imgtool.features.pyramid import parse_levels

    parse_levels(pyramid)
    book, prepare = _open(None if codebook == SHIPPED else codebook)
    LocalSettings.of(book)
    if isinstance(book, Codebook):
        if encoding == SPARSE:
            raise DataError(f"{codebook}: is no dictionary, which --encoding sparse needs (features fit --dictionary)")
        return lambda image: encode(prepare(image), book, encoding=encoding, levels=pyramid)
    if encoding != SPARSE:
        raise DataError(f"{codebook}: is a dictionary, which is for --encoding sparse")
    return lambda image: encode_sparsely(image, book, solver=solver, levels=pyramid)


def _open(path: str | None) -> tuple[Codebook | Dictionary, Callable[[np.ndarray], np.ndarray]]:
    """Return a codebook and what to do to images first: nothing for that of a file, what the model that ships does."""
    if path is not None:
        from imgtool.features.codebook import load_codebook

        return load_codebook(path), lambda image: image
    from imgtool.classifiers.classic import SiftFisherSvm
    from imgtool.classifiers.registry import open_model

    model = open_model(SHIPPED)
    assert isinstance(model, SiftFisherSvm)
    assert model.codebook is not None
    return model.codebook, model.prepare
