"""`imgtool hog`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.vectors import Vectors

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """
imgtool hog photo.jpg | jq .shape
imgtool hog --cell 16 --orientations 12 photos/ -o hog.npz
"""


@options.command("hog", examples=EXAMPLES)
@options.images
@click.option("--orientations", type=click.IntRange(1), default=9, show_default=True, help="Bins over 180 degrees.")
@click.option("--cell", type=click.IntRange(1), default=8, show_default=True, help="Side of a cell in pixels.")
@click.option("--block", type=click.IntRange(1), default=2, show_default=True, help="Side of a block in cells.")
@options.vectors
def command(images: Images, vectors: Vectors, orientations: int, cell: int, block: int) -> None:
    """Describe images by histograms of oriented gradients.

    As scikit-image computes them (Dalal and Triggs, CVPR 2005, without the Gaussian window and trilinear votes).
    """
    from imgtool.features.hog import hog

    def describe(image: np.ndarray) -> np.ndarray:
        return hog(image, orientations=orientations, cell=cell, block=block)

    vectors.write(images, describe, descriptor="hog", orientations=orientations, cell=cell, block=block)
