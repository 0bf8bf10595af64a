"""`imgtool hog`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.vectors import Vectors
from imgtool.pipelines.descriptors import HOG_VARIANTS


def norm_names() -> Iterable[str]:
    """Return the names that --norm knows."""
    from imgtool.features.hog import NORMS

    return NORMS


EXAMPLES = """
imgtool hog photo.jpg | jq .shape
imgtool hog --cell 16 --orientations 12 photos/ -o hog.npz
imgtool hog --visualize hog.png photo.jpg
"""


@options.command("hog", examples=EXAMPLES)
@click.option(
    "--variant", type=click.Choice(list(HOG_VARIANTS)), default="skimage", help="Definition of HoG.  [skimage]"
)
@click.option("--orientations", type=click.IntRange(1, 360), help="Orientation bins over 180 degrees.  [9]")
@click.option("--cell", type=options.Numbers(least=1), help="Cell size in pixels, or ROWS,COLUMNS.  [8]")
@click.option("--block", type=options.Numbers(least=1), help="Block size in cells, or ROWS,COLUMNS.  [2]")
@click.option(
    "--norm",
    type=options.LateChoice("norm", norm_names),
    help="Block normalization: L1, L1-sqrt, L2, L2-Hys, none.  [L2-Hys]",
)
@click.option("--sqrt", is_flag=True, default=None, help="Square-root (gamma) compression first.")
@click.option("--signed", is_flag=True, default=None, help="Orientations over 360 degrees (dalal-triggs).")
@options.visualize
@options.vectors
@options.images
def command(images: Images, vectors: Vectors, visualize: str | None, **parameters: Any) -> None:
    """Describe images by histograms of oriented gradients.

    skimage: as scikit-image computes them; dalal-triggs: with the paper's Gaussian window and trilinear votes, as
    OpenCV's HOGDescriptor (64x128 pixels: its 3,780 numbers); uoctti: 31 numbers a cell, and vlfeat-dalal-triggs: 36,
    as VLFeat.
    """
    vectors.write(images, "hog", visualize=visualize, **parameters)
