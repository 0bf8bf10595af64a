"""`imgtool filter`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from imgtool.cli import kernel_options as kernels
from imgtool.cli import options
from imgtool.cli.images import Images, Pictures
from imgtool.errors import ParameterError
from imgtool.filters.borders import border_table

if TYPE_CHECKING:
    import numpy as np

    from imgtool.image.pixels import Extremes, Pixels

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
    type=click.Choice(["auto", "direct", "separable", "fft", "gemm"]),
    default="auto",
    metavar="NAME",
    help="auto, direct, separable, fft or gemm.  [auto]",
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
    import numpy as np

    from imgtool.filters.kernels import is_derivative
    from imgtool.filters.strip_filter import StripFilter, convolution_type
    from imgtool.image.color import join_alpha, split_alpha
    from imgtool.image.pixels import extremes_of, to_pixels

    taps = chosen.taps
    numbers_of = functools.partial(convolution_type, taps, range=value_range, depth=depth)
    if taps is None:
        applied, reach = _neighborhood(chosen, border, method, correlate)
    else:
        applied = _convolution(taps, border, method, correlate, numbers_of)
        reach = len(taps) // 2 if method != "gemm" else None  # the bits of a matrix product depend on its size

    def values(image: np.ndarray) -> np.ndarray:
        return applied(split_alpha(image)[0])

    def pixels(numbers: np.ndarray, image: np.ndarray, extremes: Extremes | None) -> Pixels:
        signed = taps is not None and is_derivative(taps)
        stored = to_pixels(numbers, value_range, depth=depth, like=image.dtype, signed=signed, extremes=extremes)
        return stored._replace(pixels=join_alpha(stored.pixels, split_alpha(image)[1]))

    filtered = StripFilter(
        values,
        pixels,
        reach=reach or 0,
        wraps=border == "wrap",
        measure=extremes_of if value_range == "stretch" else None,
        narrow=numbers_of(np.dtype(np.uint8)) == np.uint8,
    )
    record = {"kernel": chosen.label, "border": border, "correlate": correlate, "range": value_range}
    raw = value_range == "raw" or depth == "float"
    pictures.write(images, filtered.__call__ if reach is None else filtered, what=chosen.label, raw=raw, **record)


def _convolution(
    taps: np.ndarray, border: str, method: str, correlate: bool, numbers_of: Callable[[np.dtype], np.dtype | None]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the convolution as a function of an image."""
    from imgtool.filters.convolve import convolve

    def applied(image: np.ndarray) -> np.ndarray:
        dtype = numbers_of(image.dtype)
        return convolve(image, taps, border=border, method=method, correlate=correlate, dtype=dtype)

    return applied


def _neighborhood(
    chosen: kernels.Chosen, border: str, method: str, correlate: bool
) -> tuple[Callable[[np.ndarray], np.ndarray], int | None]:
    """Return the neighborhood filter as a function of an image, floating, and how many rows away it looks.

    None is for those that are not the same bits in strips. Options of convolutions are refused.
    """
    import numpy as np

    from imgtool.filters.neighborhood import neighborhood, reach

    if correlate or method != "auto":
        wrong = "--correlate" if correlate else "--method"
        raise ParameterError(f"{wrong} does not go with --kernel {chosen.label}, which is no convolution")

    def applied(image: np.ndarray) -> np.ndarray:
        result = neighborhood(image, chosen.label, border=border, **chosen.parameters)
        return result if result.dtype.kind == "f" else result.astype(np.float32)  # which holds 16 bits

    return applied, reach(chosen.label, **chosen.parameters)
