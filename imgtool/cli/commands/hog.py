"""`imgtool hog`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.vectors import Drawing, Vectors
from imgtool.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

# Whose definition, and the options that it takes.
VARIANTS = {
    "skimage": ("orientations", "cell", "block", "norm", "sqrt"),
    "dalal-triggs": ("orientations", "cell", "block", "sqrt", "signed"),
    "uoctti": ("orientations", "cell"),
    "vlfeat-dalal-triggs": ("orientations", "cell"),
}


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
@click.option("--variant", type=click.Choice(list(VARIANTS)), default="skimage", help="Whose definition.  [skimage]")
@click.option("--orientations", type=click.IntRange(1, 360), help="Bins over 180 degrees.  [9]")
@click.option("--cell", type=options.Numbers(least=1), help="Pixels; or ROWS,COLUMNS.  [8]")
@click.option("--block", type=options.Numbers(least=1), help="Cells; or ROWS,COLUMNS.  [2]")
@click.option(
    "--norm", type=options.LateChoice("norm", norm_names), help="Of a block: L1, L1-sqrt, L2, L2-Hys, none.  [L2-Hys]"
)
@click.option("--sqrt", is_flag=True, default=None, help="Take the square root of the image first.")
@click.option("--signed", is_flag=True, default=None, help="Bins over 360 degrees, for dalal-triggs.")
@options.visualize
@options.vectors
@options.images
def command(images: Images, vectors: Vectors, variant: str, visualize: str | None, **values: Any) -> None:
    """Describe images by histograms of oriented gradients.

    skimage: as scikit-image computes them; dalal-triggs: with the paper's Gaussian window and trilinear votes, as
    OpenCV's HOGDescriptor (64x128 pixels: its 3,780 numbers); uoctti: 31 numbers a cell, and vlfeat-dalal-triggs: 36,
    as VLFeat.
    """
    parameters = {"orientations": 9, "cell": (8,), **{name: each for name, each in values.items() if each is not None}}
    if wrong := set(parameters) - set(VARIANTS[variant]):
        takes = ", ".join(f"--{name}" for name in VARIANTS[variant])
        raise ParameterError(f"--{min(wrong)} does not go with --variant {variant}, which takes {takes}")
    for name in parameters.keys() & {"cell", "block"}:
        parameters[name] = _sides(f"--{name}", parameters[name], variant)
    describe = functools.partial(function_of(variant), **parameters)
    drawing = Drawing(visualize, functools.partial(_picture, variant, parameters)) if visualize else None
    vectors.write(images, describe, descriptor="hog", drawing=drawing, variant=variant, **parameters)


def _sides(option: str, numbers: tuple[int, ...], variant: str) -> Any:
    """Return (rows, columns) of one number or two for scikit-image's form, and one number for the others."""
    most = 2 if variant == "skimage" else 1
    if len(numbers) > most:
        takes = "one number, or rows and columns" if most == 2 else f"one number with --variant {variant}"
        raise ParameterError(f"{option} takes {takes}, got {','.join(map(str, numbers))}")
    return (numbers[0], numbers[-1]) if most == 2 else numbers[0]


def function_of(variant: str) -> Callable[..., np.ndarray]:
    """Return the function that computes a variant; what the others need is not imported."""
    if variant == "skimage":
        from imgtool.features.hog import hog

        return hog
    if variant == "dalal-triggs":
        from imgtool.features.dalal_triggs import dalal_triggs

        return dalal_triggs
    from imgtool.features.uoctti import uoctti, vlfeat_dalal_triggs

    return uoctti if variant == "uoctti" else vlfeat_dalal_triggs


def _picture(variant: str, parameters: dict[str, Any], image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Draw the strokes that a descriptor stands for beside the image."""
    from imgtool.features.dalal_triggs import cells_of
    from imgtool.features.drawing import hog_picture
    from imgtool.features.hog import cell_histograms

    count, cell = parameters["orientations"], parameters["cell"]
    if variant == "skimage":
        chosen = {name: parameters[name] for name in ("orientations", "cell", "sqrt") if name in parameters}
        return hog_picture(cell_histograms(image, **chosen), cell, image)
    if variant == "dalal-triggs":
        turn = 2 * math.pi if parameters.get("signed") else math.pi
        return hog_picture(cells_of(values), (cell, cell), image, [turn * (k + 0.5) / count for k in range(count)])
    undirected = values[..., 2 * count : 3 * count] if variant == "uoctti" else _mean_of_blocks(values, count)
    return hog_picture(undirected, (cell, cell), image, [math.pi * k / count for k in range(count)])


def _mean_of_blocks(values: np.ndarray, orientations: int) -> np.ndarray:
    """Return the mean of a cell's votes over the four blocks that normalize it."""
    mean: np.ndarray = values.reshape(*values.shape[:2], 4, orientations).mean(axis=2)
    return mean
