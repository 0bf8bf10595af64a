"""`imgtool convert`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgtool.cli import options
from imgtool.cli.images import Images, Picture, Pictures
from imgtool.cli.sizes import parse_size, resized
from imgtool.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """
imgtool convert photo.tif -o photo.jpg --quality 85
imgtool convert --size 256x256 photos/ -o small/ --to png
imgtool convert --color gray --depth 16 - < photo.jpg > gray.png
imgtool convert --color lab photo.jpg -o lab.npy
imgtool convert --from lab --color rgb --depth 8 lab.npy -o photo.png
"""


NUMBERS = ("hsv", "hsl", "luv", "xyz", "lab", "cmyk")  # spaces that are numbers, not pixels


@options.command("convert", examples=EXAMPLES)
@click.option(
    "--color",
    type=click.Choice(["gray", "rgb", *NUMBERS]),
    help="Color space; all but gray and rgb are numbers.",
)
@click.option(
    "--from", "source", type=click.Choice(["gray", "rgb", *NUMBERS]), default="rgb", help="What it holds now.  [rgb]"
)
@click.option(
    "--gray", type=click.Choice(["rec601", "mean"]), default="rec601", show_default=True, help="What gray is."
)
@options.depth
@click.option(
    "--size", metavar="WxH", help="Pixels; 256x for a width, x256 for a height, as bilinear with antialiasing."
)
@options.pictures
@options.images
def command(
    images: Images, pictures: Pictures, color: str | None, source: str, gray: str, depth: str, size: str | None
) -> None:
    """Change color space, depth, size or format.

    Orientation is applied; the format is told by -o's suffix or by --to.
    """
    wanted = parse_size("--size", size) if size else None
    numbers = color in NUMBERS
    if numbers and depth in ("8", "16"):
        raise ParameterError(f"--color {color} gives numbers; it does not go with --depth {depth}")
    if source in NUMBERS and color is None:
        raise ParameterError(f"--from {source} goes with --color: what are the numbers to become?")

    def converted(image: np.ndarray) -> Picture:
        return _converted(image, color, source, gray, depth, wanted)

    record = {"color": color, "depth": depth, "size": size}
    pictures.write(images, converted, what="converted", raw=numbers or depth == "float", **record)


def _converted(
    image: np.ndarray, color: str | None, source: str, gray: str, depth: str, size: tuple[int, int] | None
) -> Picture:
    """Resize, change the color space, change the depth."""
    import numpy as np

    from imgtool.image.color import convert
    from imgtool.image.pixels import to_pixels

    if size:
        image = resized(image, size)
    if color:
        image = convert(image, color, source=source, gray=gray)
    same_colors = source not in NUMBERS and color in (None, "rgb", "gray")
    if depth == "keep":
        return Picture(image, same_colors=same_colors)
    stored = to_pixels(image.astype(np.float64), "clip", depth=depth, like=image.dtype)
    return Picture(*stored, same_colors=same_colors)
