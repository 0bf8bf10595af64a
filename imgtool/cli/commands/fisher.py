"""`imgtool fisher`."""

from __future__ import annotations

from typing import Any

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.vectors import Vectors
from imgtool.pipelines.encodings import ENCODINGS

EXAMPLES = """
imgtool fisher photos/ -o fisher.npz
imgtool features fit photos/ -o book.safetensors
imgtool fisher --codebook book.safetensors --pyramid 1x1,3x1 photos/
imgtool fisher --codebook book.safetensors --encoding vlad photos/ -o v.npz
imgtool features fit --dictionary 1024 photos/ -o atoms.safetensors
imgtool fisher --codebook atoms.safetensors --encoding sparse photos/
"""


@options.command("fisher", examples=EXAMPLES)
@click.option("--codebook", metavar="FILE", help="Codebook from 'imgtool features fit' [that of sift-fv-svm].")
@click.option(
    "--encoding", type=click.Choice(list(ENCODINGS)), default="fisher", show_default=True,
    help="Encoding: Fisher vector, VLAD, bag of words, sparse.",
)  # fmt: skip
@click.option("--pyramid", metavar="LEVELS", help="Spatial pyramid: 1x1,2x2,3x1  [1x1; sparse: 1x1,2x2,4x4]")
@click.option("--solver", type=click.Choice(["feature-sign", "llc"]), help="Solver of sparse codes  [feature-sign]")
@options.vectors
@options.images
def command(images: Images, vectors: Vectors, encoding: str, **parameters: Any) -> None:
    """Describe images by Fisher vectors or other encodings of dense SIFT.

    The improved Fisher vector (Perronnin, Sanchez and Mensink, ECCV 2010), as VLFeat computes it: signed square roots,
    unit length. The codebook determines the SIFT settings; with the default one, images are
    resized first, as for its model.
    Sparse codes need a dictionary, from 'imgtool features fit --dictionary'.
    """
    vectors.write(images, encoding, **parameters)
