"""`imgtool convert`."""

from __future__ import annotations

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.pictures import Pictures
from imgtool.pipelines.convert_images import NUMERIC_SPACES

EXAMPLES = """
imgtool convert photo.tif -o photo.jpg --quality 85
imgtool convert --size 256x256 photos/ -o small/ --to png
imgtool convert --color gray --depth 16 - < photo.jpg > gray.png
imgtool convert --color lab photo.jpg -o lab.npy
imgtool convert --color hsv photo.jpg -o channels.png
imgtool convert --color lab --show-channel L photo.jpg -o lightness.png
imgtool convert --from lab --color rgb --depth 8 lab.npy -o photo.png
"""
RESAMPLE = ("nearest", "box", "bilinear", "bicubic")  # image.resize's, which would import NumPy; a test holds it
SPACES = ("gray", "rgb", *NUMERIC_SPACES)


@options.command("convert", examples=EXAMPLES)
@click.option(
    "--color",
    type=click.Choice(SPACES),
    help="Target color space; all but gray and rgb are numbers.",
)
@click.option(
    "--from",
    "from_color",
    type=click.Choice(SPACES),
    default="rgb",
    help="Color space of the input.  [rgb]",
)
@click.option(
    "--gray", type=click.Choice(["rec601", "mean"]), default="rec601", show_default=True, help="Grayscale formula."
)
@options.value_range
@options.depth
@click.option("--size", metavar="WxH", help="Resize to pixels (antialiased); 256x or x256 keeps the aspect ratio.")
@click.option(
    "--resample",
    type=click.Choice(RESAMPLE),
    metavar="NAME",
    help=f"Filter of --size: {', '.join(RESAMPLE)}.  [bilinear]",
)
@click.option(
    "--show-channel", metavar="NAME", help="Write one channel only: R, G, B, alpha; of --color lab L, a, b; and so on."
)
@options.pictures
@options.images
def command(
    images: Images,
    pictures: Pictures,
    color: str | None,
    from_color: str,
    gray: str,
    value_range: str,
    depth: str,
    size: str | None,
    resample: str | None,
    show_channel: str | None,
) -> None:
    """Change color space, depth, size or format.

    Orientation is applied; the output format follows -o's suffix or --to.
    Numbers of a color space are kept by npy, tif, pfm, csv and txt; other
    formats show the channels side by side.
    """
    from imgtool.pipelines.convert_images import convert_images

    settings: dict[str, str | None] = {"color": color, "depth": depth, "size": size}
    given = {
        "resample": resample,
        "show_channel": show_channel,
        "range": value_range if value_range != "auto" else None,
    }
    settings |= {name: value for name, value in given.items() if value}
    pictures.write(images, convert_images, record=settings, from_color=from_color, gray=gray, **settings)
