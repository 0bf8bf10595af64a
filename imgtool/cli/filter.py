"""`imgtool filter`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import options
from imgtool.cli.images import Images, Pictures
from imgtool.cli.tables import emit
from imgtool.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

    from imgtool.image.pixels import Extremes, Stored


def kernel_names() -> Iterable[str]:
    """Return the names that --kernel knows."""
    from imgtool.filters.kernels import KERNELS

    return KERNELS


def print_list(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Print every kernel with what it is, and end."""
    if wanted:
        from imgtool.cli.tables import aligned
        from imgtool.filters.kernels import KERNELS

        lines = [[name, entry.help, entry.source] for name, entry in KERNELS.items()]
        emit(aligned(["kernel", "what it is", "source"], lines))
        ctx.exit()


EXAMPLES = """
imgtool filter --kernel sobel-x photo.jpg
imgtool filter --kernel gaussian --sigma 2 photos/ -o blurred/
imgtool filter --matrix "0 -1 0; -1 5 -1; 0 -1 0" --range clip photo.jpg -o sharp.png
cat photo.jpg | imgtool filter --kernel box --size 5 > soft.png
"""


@options.command("filter", examples=EXAMPLES)
@click.option("--kernel", "name", type=options.LateChoice("kernel", kernel_names), help="By name; --list shows them.")
@click.option("--kernel-file", metavar="FILE", help="Numbers in a txt, csv, npy or json file.")
@click.option("--matrix", metavar="ROWS", help='Inline: "1 0 -1; 2 0 -2; 1 0 -1".')
@click.option("--size", type=click.IntRange(1), metavar="N", help="Taps a side, for box.  [3]")
@click.option("--sigma", type=float, help="In pixels, for gaussian, log, dog.  [1]")
@click.option("--truncate", type=float, help="Gaussian radius in sigmas.  [4]")
@options.border
@click.option("--method", type=click.Choice(["auto", "direct", "separable", "fft"]), default="auto", help="[auto]")
@click.option("--correlate", is_flag=True, help="Do not flip the kernel.")
@click.option("--normalize", type=click.Choice(["none", "sum", "abs"]), default="none", help="Divide the taps.  [none]")
@options.value_range
@options.depth
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=print_list, help="List the kernels.")
@options.pictures
@options.images
def command(
    images: Images,
    pictures: Pictures,
    name: str | None,
    kernel_file: str | None,
    matrix: str | None,
    size: int | None,
    sigma: float | None,
    truncate: float | None,
    border: str,
    method: str,
    correlate: bool,
    normalize: str,
    value_range: str,
    depth: str,
) -> None:
    """Convolve images with a kernel.

    Alpha stays as it is. Derivative kernels are shown as absolute values unless --range says otherwise.
    """
    import numpy as np

    from imgtool.filters.convolve import convolve
    from imgtool.filters.kernels import is_derivative, normalized
    from imgtool.filters.local import LocalFilter, number_type
    from imgtool.image.color import join_alpha, split_alpha
    from imgtool.image.pixels import extremes_of, to_pixels

    label, taps = chosen_kernel(name, kernel_file, matrix, size=size, sigma=sigma, truncate=truncate)
    taps = normalized(taps, normalize)

    def values(image: np.ndarray) -> np.ndarray:
        dtype = number_type(taps, image.dtype, value_range, depth)
        return convolve(split_alpha(image)[0], taps, border=border, method=method, correlate=correlate, dtype=dtype)

    def pixels(numbers: np.ndarray, image: np.ndarray, extremes: Extremes | None) -> Stored:
        signed = is_derivative(taps)
        stored = to_pixels(numbers, value_range, depth=depth, like=image.dtype, signed=signed, extremes=extremes)
        return stored._replace(pixels=join_alpha(stored.pixels, split_alpha(image)[1]))

    measure = extremes_of if value_range == "stretch" else None
    filtered = LocalFilter(
        values,
        pixels,
        reach=len(taps) // 2,
        wraps=border == "wrap",
        measure=measure,
        narrow=number_type(taps, np.dtype(np.uint8), value_range, depth) == np.uint8,
    )
    record = {"kernel": label, "border": border, "correlate": correlate, "range": value_range}
    pictures.write(images, filtered, what=label, raw=value_range == "raw" or depth == "float", **record)


def chosen_kernel(name: str | None, kernel_file: str | None, matrix: str | None, **parameters: Any) -> tuple[str, Any]:
    """Return the name and the taps of the one kernel that was asked for, by name, by file or inline."""
    from imgtool.filters.kernels import kernel, load_kernel, parse_matrix

    if sum(each is not None for each in (name, kernel_file, matrix)) != 1:
        raise ParameterError("name one kernel: --kernel NAME, --kernel-file FILE or --matrix ROWS (--list shows names)")
    given = {key: value for key, value in parameters.items() if value is not None}
    if name is not None:
        return name, kernel(name, **given)
    if given:
        raise ParameterError(f"--{min(given)} goes with --kernel: a matrix has its own size")
    if kernel_file is not None:
        return "kernel", load_kernel(kernel_file)
    return "kernel", parse_matrix(matrix or "")
