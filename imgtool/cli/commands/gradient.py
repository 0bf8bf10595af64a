"""`imgtool gradient`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgtool.cli import options
from imgtool.cli.images import Images, Pictures
from imgtool.errors import ParameterError
from imgtool.filters.borders import border_table

if TYPE_CHECKING:
    import numpy as np

    from imgtool.filters.strip_filter import StripFilter
    from imgtool.image.pixels import Extremes, Pixels

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

    shown = _shown(operator, show, sigma, border, channel, degrees, value_range, depth)
    record = {"operator": operator, "show": show, "sigma": sigma, "border": border, "channel": channel,
              "range": value_range}  # fmt: skip
    pictures.write(images, shown, what=show, raw=raw or depth == "float", **record)


def _shown(
    operator: str,
    show: str,
    sigma: float | None,
    border: str,
    channel: str,
    degrees: bool,
    value_range: str,
    depth: str,
) -> StripFilter:
    """Return what makes of an image what is to be shown; alpha is dropped."""
    import numpy as np

    from imgtool.filters.engine.magnitude import magnitude_by
    from imgtool.filters.gradient import color_gradient, magnitude, operator_kernels, phase, reach
    from imgtool.filters.strip_filter import StripFilter
    from imgtool.image.color import direction_picture, split_alpha
    from imgtool.image.pixels import DEPTH_TYPES, Pixels, extremes_of, phase_pixels, to_pixels

    kernels = operator_kernels(operator, sigma)
    smooths = bool(sigma) and operator != "gaussian"
    one_pass = show == "magnitude" and not smooths and depth in ("keep", "8") and value_range not in ("stretch", "raw")

    def values(image: np.ndarray) -> np.ndarray:
        color = split_alpha(image)[0]
        if one_pass and color.ndim == 2 and color.dtype == np.uint8:
            return magnitude_by(color, *kernels, border=border, dtype=np.float32)
        gx, gy = color_gradient(color, channel, operator=operator, border=border, sigma=sigma)
        if show in ("x", "y"):
            return gx if show == "x" else gy
        if show == "picture":
            return np.stack([magnitude(gx, gy), phase(gx, gy)], axis=2)
        return magnitude(gx, gy) if show == "magnitude" else phase(gx, gy)

    def pixels(numbers: np.ndarray, image: np.ndarray, extremes: Extremes | None) -> Pixels:
        if show == "picture":
            return Pixels(direction_picture(numbers[:, :, 0], numbers[:, :, 1], extremes))
        if show == "phase" and value_range == "raw":
            return Pixels(np.degrees(numbers) if degrees else numbers)
        if show == "phase":
            return Pixels(phase_pixels(numbers, DEPTH_TYPES.get(depth, image.dtype)))
        signed = show != "magnitude"
        return to_pixels(numbers, value_range, depth=depth, like=image.dtype, signed=signed, extremes=extremes)

    measure = None
    if show == "picture":
        measure = lambda numbers: extremes_of(numbers[:, :, 0])  # noqa: E731
    elif value_range == "stretch" and show != "phase":
        measure = extremes_of
    size = 4 if one_pass else 8
    return StripFilter(values, pixels, reach(operator, sigma), wraps=border == "wrap", measure=measure, size=size)
