"""`imgtool hog`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.vectors import Drawing, Vectors
from imgtool.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np


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
@click.option("--orientations", type=click.IntRange(1), default=9, show_default=True, help="Bins over 180 degrees.")
@click.option("--cell", type=options.Numbers(least=1), default="8", show_default=True, help="Pixels; or ROWS,COLUMNS.")
@click.option("--block", type=options.Numbers(least=1), default="2", show_default=True, help="Cells; or ROWS,COLUMNS.")
@click.option(
    "--norm",
    type=options.LateChoice("norm", norm_names),
    default="L2-Hys",
    show_default=True,
    help="Of a block: L1, L1-sqrt, L2, L2-Hys, none.",
)
@click.option("--sqrt", is_flag=True, help="Take the square root of the image first.")
@options.visualize
@options.vectors
@options.images
def command(
    images: Images,
    vectors: Vectors,
    orientations: int,
    cell: tuple[int, ...],
    block: tuple[int, ...],
    norm: str,
    sqrt: bool,
    visualize: str | None,
) -> None:
    """Describe images by histograms of oriented gradients.

    As scikit-image computes them (Dalal and Triggs, CVPR 2005, without the Gaussian window and trilinear votes).
    """
    from imgtool.features.hog import cell_histograms, hog

    cells, blocks = _pair("--cell", cell), _pair("--block", block)

    def describe(image: np.ndarray) -> np.ndarray:
        return hog(image, orientations=orientations, cell=cells, block=blocks, norm=norm, sqrt=sqrt)

    def draw(image: np.ndarray, _: np.ndarray) -> np.ndarray:
        from imgtool.image.draw import hog_picture

        return hog_picture(cell_histograms(image, orientations=orientations, cell=cells, sqrt=sqrt), cells, image)

    drawing = Drawing(visualize, draw) if visualize else None
    parameters = {"orientations": orientations, "cell": cells, "block": blocks, "norm": norm, "sqrt": sqrt}
    vectors.write(images, describe, descriptor="hog", drawing=drawing, **parameters)


def _pair(option: str, numbers: tuple[int, ...]) -> tuple[int, int]:
    """Return (rows, columns) of one number or two."""
    if len(numbers) > 2:
        raise ParameterError(f"{option} takes one number, or rows and columns, got {','.join(map(str, numbers))}")
    return numbers[0], numbers[-1]
