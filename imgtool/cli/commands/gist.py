"""`imgtool gist`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.vectors import Vectors


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
@click.option("--size", type=click.IntRange(1), help="Side in pixels that images are resized to.  [256]")
@click.option(
    "--orientations",
    type=options.Numbers(least=1, most=360),
    help="Orientations at each scale, finest first.  [8,8,8,8]",
)
@click.option("--blocks", type=click.IntRange(1), help="Grid windows per side.  [4]")
@click.option("--prefilter", type=float, help="Cutoff of contrast normalization, cycles per image.  [4]")
@click.option("--color/--gray", default=None, help="Describe R, G and B separately, or their mean.  [gray]")
@options.batch_device
@options.visualize
@options.vectors
@options.images
def command(images: Images, vectors: Vectors, device: str | None, visualize: str | None, **parameters: Any) -> None:
    """Describe images by their GIST.

    The energy of Gabor filters in a grid of windows (Oliva and Torralba, IJCV 2001), as LMgist computes it. Options
    override the preset; the defaults are lmgist's.
    """
    vectors.write(images, "gist", visualize=visualize, device=device, **parameters)
