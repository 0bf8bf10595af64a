"""`imgtool gist`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.pictures import write_picture
from imgtool.cli.vectors import Vectors
from imgtool.errors import ParameterError


def preset_names() -> Iterable[str]:
    """Return the names that --preset knows."""
    from imgtool.features.gist import PRESETS

    return PRESETS


def draws_filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --filters, with which the bank is drawn; that takes no image, and nothing is described."""

    @click.option("--filters", metavar="OUT", help="Draw the Gabor filters in the frequency domain; takes no image.")
    @functools.wraps(function)
    def wrapped(filters: str | None, **values: Any) -> Any:
        if filters is None:
            return function(**values)
        takes = {"preset", "size", "orientations", "force"}
        without = {"quiet", "verbose", "max_pixels", "jobs"}
        for key, value in values.items():
            if key not in takes | without and value not in (None, False, ()):
                named = "an image" if key == "paths" else key
                raise ParameterError(f"{named} does not go with filters", parameters=(key, "filters"))
        return _draw_filters(filters, **{key: values[key] for key in takes})

    return wrapped


def _draw_filters(
    output: str, *, preset: str, size: int | None, orientations: tuple[int, ...] | None, force: bool
) -> None:
    from imgtool.features.drawing import bank_picture
    from imgtool.features.gist import gist_filters
    from imgtool.pipelines.descriptors import complete

    filled = complete("gist", {"preset": preset, "size": size, "orientations": orientations})
    counts = filled["orientations"]
    write_picture(
        output, "gist", lambda: bank_picture(gist_filters(size=filled["size"], orientations=counts), counts),
        what="filters", force=force, parameter="filters",
    )  # fmt: skip


EXAMPLES = """
imgtool gist photo.jpg | jq .shape
imgtool gist --preset lear photos/ -o gist.npz
imgtool gist --size 128 --orientations 8,8,4 --visualize gist.png photo.jpg
imgtool gist --filters bank.png
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
@draws_filters
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
