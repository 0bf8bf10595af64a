"""`imgtool gist`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.together import Together, resolved
from imgtool.cli.vectors import Drawing, Vectors

if TYPE_CHECKING:
    import numpy as np


def preset_names() -> Iterable[str]:
    """Return the names that --preset knows."""
    from imgtool.features.gist import PRESETS

    return PRESETS


EXAMPLES = """
imgtool gist photo.jpg | jq .shape
imgtool gist --preset lear photos/ -o gist.npz
imgtool gist --size 128 --orientations 8,8,4 --visualize gist.png photo.jpg
"""


@options.command("gist", examples=EXAMPLES)
@click.option(
    "--preset",
    type=options.LateChoice("preset", preset_names),
    default="lmgist",
    show_default=True,
    help="Published settings: lmgist, lear, hays-efros.",
)
@click.option("--size", type=click.IntRange(1), help="Side of the square that is described.  [256]")
@click.option("--orientations", type=options.Numbers(least=1, most=360), help="At each scale, finest first.  [8,8,8,8]")
@click.option("--blocks", type=click.IntRange(1), help="Windows a side.  [4]")
@click.option("--prefilter", type=float, help="Cutoff of the contrast normalization, cycles an image.  [4]")
@click.option("--color/--gray", default=None, help="Describe R, G and B apart, or their mean.  [gray]")
@options.batch_device
@options.visualize
@options.vectors
@options.images
def command(
    images: Images, vectors: Vectors, preset: str, device: str | None, visualize: str | None, **given: Any
) -> None:
    """Describe images by their GIST.

    The energy of Gabor filters in a grid of windows (Oliva and Torralba, IJCV 2001), as LMgist computes it. Options
    that are given replace the preset's; defaults are lmgist's.
    """
    from imgtool.features.gist import PRESETS, gist

    settings = {**PRESETS[preset], **{name: value for name, value in given.items() if value is not None}}

    describe: Callable[[np.ndarray], np.ndarray] = functools.partial(gist, **settings)
    if (place := resolved(device)) != "cpu":
        from imgtool.features.gist_torch import gist_batch

        describe = Together(place, lambda several: list(gist_batch(several, device=place, **settings)))

    def draw(image: np.ndarray, values: np.ndarray) -> np.ndarray:
        from imgtool.features.drawing import gist_picture
        from imgtool.features.gist import contrast_square, window_energies

        energies = window_energies(values, settings["orientations"], settings["blocks"])
        return gist_picture(energies, settings["orientations"], contrast_square(image, settings["size"]))

    drawing = Drawing(visualize, draw) if visualize else None
    vectors.write(images, describe, descriptor="gist", drawing=drawing, **settings)
