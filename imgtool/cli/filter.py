"""`imgtool filter`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import click

from imgtool.cli import kernels, options
from imgtool.cli.images import Images, Picture, Pictures
from imgtool.errors import ParameterError
from imgtool.filters.borders import border_table

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """
imgtool filter --kernel sobel-x photo.jpg
imgtool filter --kernel median --size 5 photos/ -o calm/
imgtool filter --matrix "0 -1 0; -1 5 -1; 0 -1 0" photo.jpg -o sharp.png
cat photo.jpg | imgtool filter --kernel gaussian --sigma 2 > soft.png
"""


@options.command("filter", examples=EXAMPLES, epilog=border_table())
@kernels.kernel
@options.border
@click.option(
    "--method",
    type=click.Choice(["auto", "direct", "separable", "fft"]),
    default="auto",
    metavar="NAME",
    help="auto, direct, separable or fft.  [auto]",
)
@click.option("--correlate", is_flag=True, help="Do not flip the kernel.")
@options.value_range
@options.depth
@options.pictures
@options.images
def command(
    images: Images,
    pictures: Pictures,
    chosen: kernels.Chosen,
    border: str,
    method: str,
    correlate: bool,
    value_range: str,
    depth: str,
) -> None:
    """Convolve images with a kernel.

    Alpha stays as it is. Derivatives are shown as absolute values unless --range says otherwise.
    """
    from imgtool.filters.convolve import convolve
    from imgtool.filters.kernels import is_derivative
    from imgtool.image.color import join_alpha, split_alpha
    from imgtool.image.pixels import to_pixels

    taps = chosen.taps
    signed = taps is not None and is_derivative(taps)
    applied: Callable[[np.ndarray], np.ndarray] = (
        _neighborhood(chosen, border, method, correlate)
        if taps is None
        else partial(convolve, kernel=taps, border=border, method=method, correlate=correlate)
    )

    def filtered(image: np.ndarray) -> Picture:
        color, alpha = split_alpha(image)
        stored = to_pixels(applied(color), value_range, depth=depth, like=image.dtype, signed=signed)
        return Picture(join_alpha(stored.pixels, alpha), stored.clipped, stored.not_finite)

    record = {"kernel": chosen.label, "border": border, "correlate": correlate, "range": value_range}
    pictures.write(images, filtered, what=chosen.label, raw=value_range == "raw" or depth == "float", **record)


def _neighborhood(
    chosen: kernels.Chosen, border: str, method: str, correlate: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the neighborhood filter as a function of an image, floating. Options of convolutions are refused."""
    import numpy as np

    from imgtool.filters.neighborhood import neighborhood

    if correlate or method != "auto":
        wrong = "--correlate" if correlate else "--method"
        raise ParameterError(f"{wrong} does not go with --kernel {chosen.label}, which is no convolution")

    def applied(image: np.ndarray) -> np.ndarray:
        result = neighborhood(image, chosen.label, border=border, **chosen.parameters)
        return result if result.dtype.kind == "f" else result.astype(np.float32)  # which holds 16 bits

    return applied
