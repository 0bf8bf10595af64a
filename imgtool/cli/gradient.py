"""`imgtool gradient`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgtool.cli import options
from imgtool.cli.images import Images, Picture, Pictures
from imgtool.errors import ParameterError
from imgtool.filters.borders import border_table

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """
imgtool gradient photo.jpg
imgtool gradient --operator gaussian --sigma 2 photos/ -o edges/
imgtool gradient --show phase --degrees --range raw photo.jpg -o phase.npy
"""

# Stand here too, so that help imports no NumPy; a test holds that they are those of filters.gradient.
OPERATORS = ("sobel", "scharr", "prewitt", "roberts", "central", "forward", "backward", "gaussian")
CHANNELS = ("max", "mean", "each")
SHOWN = ("x", "y", "magnitude", "phase", "picture")


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
    help="x, y, magnitude, phase, or a picture of both.  [magnitude]",
)
@click.option(
    "--sigma", type=click.FloatRange(0), metavar="PIXELS", help="Of gaussian [1]; others: smooth first [not]."
)
@options.border
@click.option(
    "--channel",
    type=click.Choice(CHANNELS),
    default="max",
    metavar="NAME",
    help="Of color: max, the channel of largest magnitude at each pixel; mean; or each alone.  [max]",
)
@click.option("--degrees", is_flag=True, help="Phase in degrees, with --range raw.")
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
    degrees: bool,
    value_range: str,
    depth: str,
) -> None:
    """Take the gradient of images: x, y, magnitude, phase.

    x points right, y down; angles grow clockwise from the right. Pixels show phase from -pi (black) to pi (white).
    """
    raw = value_range == "raw"
    if degrees and not (raw and show == "phase"):
        raise ParameterError("--degrees goes with --show phase --range raw: pixels show phase from black to white")
    if show == "picture" and (raw or channel == "each"):
        raise ParameterError("--show picture is 8-bit color of one gradient; it has no raw numbers or channels")

    def shown(image: np.ndarray) -> Picture:
        from imgtool.filters.gradient import color_gradient
        from imgtool.image.color import split_alpha

        color, _ = split_alpha(image)
        gx, gy = color_gradient(color, channel, operator=operator, border=border, sigma=sigma)
        return _picture(gx, gy, show, image.dtype, degrees=degrees, value_range=value_range, depth=depth)

    record = {"operator": operator, "show": show, "sigma": sigma, "border": border, "channel": channel,
              "range": value_range}  # fmt: skip
    pictures.write(images, shown, what=show, raw=raw or depth == "float", **record)


def _picture(
    gx: np.ndarray, gy: np.ndarray, show: str, like: np.dtype, *, degrees: bool, value_range: str, depth: str
) -> Picture:
    """Return what is to be shown of the gradient of an image of this type."""
    import numpy as np

    from imgtool.filters.gradient import magnitude, phase
    from imgtool.image.color import direction_picture
    from imgtool.image.pixels import DEPTHS, phase_pixels, to_pixels

    if show == "picture":
        return Picture(direction_picture(magnitude(gx, gy), phase(gx, gy)))
    if show == "phase":
        angles = phase(gx, gy)
        if value_range == "raw":
            return Picture(np.degrees(angles) if degrees else angles)
        return Picture(phase_pixels(angles, DEPTHS.get(depth, like)))
    signed = {"x": gx, "y": gy}.get(show)
    values = magnitude(gx, gy) if signed is None else signed
    return Picture(*to_pixels(values, value_range, depth=depth, like=like, signed=signed is not None))
