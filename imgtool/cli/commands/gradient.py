"""`imgtool gradient`."""

from __future__ import annotations

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.pictures import Pictures
from imgtool.filters.borders import border_table

EXAMPLES = """
imgtool gradient photo.jpg
imgtool gradient --operator gaussian --sigma 2 photos/ -o edges/
imgtool gradient --show all photo.jpg -o sheet.png
imgtool gradient --show phase --degrees --range raw photo.jpg -o phase.npy
"""

# Stand here too, so that help imports no NumPy; a test holds that they are those of filters.gradient.
OPERATORS = ("sobel", "scharr", "prewitt", "roberts", "central", "forward", "backward", "gaussian")
CHANNELS = ("max", "mean", "each")
SHOWN = ("x", "y", "magnitude", "phase", "picture", "all")


@options.command("gradient", examples=EXAMPLES, epilog=border_table())
@click.option(
    "--operator",
    type=click.Choice(OPERATORS),
    default="sobel",
    metavar="NAME",
    help=f"{', '.join(OPERATORS[:-1])}, or gaussian: the derivative of a Gaussian.  [sobel]",
)
@click.option(
    "--show",
    type=click.Choice(SHOWN),
    default="magnitude",
    metavar="WHAT",
    help="x, y, magnitude, phase, a picture of both, or all: a sheet.  [magnitude]",
)
@click.option(
    "--sigma",
    type=options.FloatRange(0),
    metavar="PIXELS",
    help="Sigma of gaussian [1]; for others, smooth first [no].",
)
@options.border
@click.option(
    "--channel",
    type=click.Choice(CHANNELS),
    default="max",
    metavar="NAME",
    help="Color: max, the channel of largest magnitude at each pixel; mean; or each alone.  [max]",
)
@click.option("--normalize", type=click.Choice(["none", "abs"]), default="none", metavar="NAME",
              help="none, or abs: an image in 0..1 has magnitudes in 0..1.  [none]")  # fmt: skip
@click.option("--degrees", is_flag=True, help="Phase in degrees (with --range raw).")
@options.value_range
@options.depth
@options.pictures
@options.images
def command(
    images: Images,
    pictures: Pictures,
    operator: str,
    show: str,
    sigma: float | None,
    border: str,
    channel: str,
    normalize: str,
    degrees: bool,
    value_range: str,
    depth: str,
) -> None:
    """Compute the gradient of images: x, y, magnitude, phase.

    x points right, y down; angles grow clockwise from the right. Pixels show phase from -pi (black) to pi (white).
    """
    from imgtool.pipelines.gradient_images import gradient_images

    settings = {"operator": operator, "show": show, "sigma": sigma, "border": border, "channel": channel,
                "range": value_range}  # fmt: skip
    settings |= {"normalize": normalize} if normalize != "none" else {}
    pictures.write(images, gradient_images, record=settings, degrees=degrees, depth=depth, **settings)
