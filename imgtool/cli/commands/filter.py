"""`imgtool filter`."""

from __future__ import annotations

from typing import Any

import click

from imgtool.cli import kernel_options as kernels
from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.messages import complain
from imgtool.cli.pictures import Pictures
from imgtool.filters.borders import border_table

EXAMPLES = """
imgtool filter --kernel sobel-x photo.jpg
imgtool filter --kernel median --size 5 photos/ -o calm/
imgtool filter --matrix "0 -1 0; -1 5 -1; 0 -1 0" photo.jpg -o sharp.png
cat photo.jpg | imgtool filter --kernel gaussian --sigma 2 > soft.png
"""


def parse_nodata(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> float | str | None:
    """Return a number, or `auto`."""
    if value in (None, "auto"):
        return value
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no number; there are also nan and auto") from None


@options.command("filter", examples=EXAMPLES, epilog=border_table())
@kernels.kernel
@options.border
@click.option(
    "--border-value", type=float, metavar="V", help="Value outside a clip border, as of the image's pixels.  [0]"
)
@click.option(
    "--method",
    type=click.Choice(["auto", "direct", "separable", "fft", "gemm"]),
    default="auto",
    metavar="NAME",
    help="Algorithm: auto, direct, separable, fft, gemm.  [auto]",
)
@click.option("--correlate", is_flag=True, help="Correlate: do not flip the kernel.")
@options.value_range
@options.depth
@click.option(
    "--nodata", metavar="VALUE|nan|auto", callback=parse_nodata,
    help="Leave out pixels of this value; auto: TIFF's GDAL_NODATA.",
)  # fmt: skip
@options.pictures
@options.images
def command(
    images: Images,
    pictures: Pictures,
    chosen: kernels.Chosen,
    border: str,
    border_value: float | None,
    method: str,
    correlate: bool,
    value_range: str,
    depth: str,
    nodata: float | str | None,
) -> None:
    """Convolve images with a kernel.

    Alpha is filtered too; derivatives see transparent images on --background. Derivatives are shown as absolute values
    unless --range says otherwise.
    """
    from imgtool.pipelines.filter_images import filter_images, label_of

    if chosen.said and not images.quiet:
        complain(chosen.said)
    if chosen.file:
        images.source.also_read += (chosen.file,)
    settings: dict[str, Any] = {"border": border, "correlate": correlate, "range": value_range}
    settings |= {} if border_value is None else {"border_value": border_value}
    pictures.write(
        images, filter_images, chosen.kernel, record={"kernel": label_of(chosen.kernel), **settings},
        method=method, depth=depth, nodata=nodata, normalize=chosen.normalize, **settings, **chosen.parameters,
    )  # fmt: skip
