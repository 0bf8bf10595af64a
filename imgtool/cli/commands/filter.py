"""`imgtool filter`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import kernel_options as kernels
from imgtool.cli import options
from imgtool.cli.images import Images, each_image
from imgtool.cli.messages import complain, printable
from imgtool.cli.pictures import Pictures
from imgtool.cli.tables import emit, json_line
from imgtool.errors import ParameterError
from imgtool.filters.borders import border_table

if TYPE_CHECKING:
    from imgtool.pipelines.explain_filter import ExplainedPixel

EXAMPLES = """
imgtool filter --kernel sobel-x photo.jpg
imgtool filter --kernel median --size 5 photos/ -o calm/
imgtool filter --matrix "0 -1 0; -1 5 -1; 0 -1 0" photo.jpg -o sharp.png
imgtool filter --kernel box --size 31 --border all photo.jpg -o borders.png
imgtool filter --kernel sobel-x --explain 40,30 photo.jpg
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
@click.option("--border", type=options.BorderName("all"), default="reflect", metavar="NAME",
              help="Border mode, see below; all: a sheet of each.  [reflect]")  # fmt: skip
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
@click.option("--explain", type=options.Numbers(2), metavar="X,Y",
              help="Print how the number at column X, row Y (from 0) comes about.")  # fmt: skip
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
    explain: tuple[int, int] | None,
    nodata: float | str | None,
) -> None:
    """Convolve images with a kernel.

    Alpha is filtered too; derivatives see transparent images on --background. Derivatives are shown as absolute values
    unless --range says otherwise.
    """
    from imgtool.pipelines.filter_images import filter_images, label_of
    from imgtool.pipelines.filter_sheet import is_sheet

    if chosen.said and not images.quiet:
        complain(chosen.said)
    if chosen.file:
        images.source.also_read += (chosen.file,)
    settings: dict[str, Any] = {"border": border, "correlate": correlate, "range": value_range}
    settings |= {} if border_value is None else {"border_value": border_value}
    record = {"kernel": label_of(chosen.kernel), **settings}
    if explain:
        if is_sheet(chosen.kernel, border):
            raise ParameterError("--explain takes one kernel, at one border")
        pictures.refuse_beside("explain", method=(method, "auto"), nodata=(nodata, None))
        settings |= {"normalize": chosen.normalize, "depth": depth, **chosen.parameters}
        _explain(images, chosen, explain, record, settings, json=pictures.json)
        return
    pictures.write(
        images, filter_images, chosen.kernel, record=record,
        method=method, depth=depth, nodata=nodata, normalize=chosen.normalize, **settings, **chosen.parameters,
    )  # fmt: skip


def _explain(
    images: Images,
    chosen: kernels.Chosen,
    place: tuple[int, int],
    record: dict[str, Any],
    settings: dict[str, Any],
    *,
    json: bool,
) -> None:
    """Print how the filter comes to one pixel of each image."""
    from imgtool.pipelines.explain_filter import explain_filter

    explained = each_image(images, lambda image: explain_filter(image, *place, chosen.kernel, **settings))
    for outcome in explained:
        if outcome.value is not None:
            path = outcome.source.path
            emit(
                json_line({"path": path, **record, **_row(outcome.value)})
                if json
                else _text(path, outcome.value, record)
            )


def _row(found: ExplainedPixel) -> dict[str, Any]:
    """Return an explained pixel for JSON."""
    channels = [
        {"channel": name, "window": window, "products": products + 0.0, "sum": float(total), "pixel": pixel.item()}
        for name, window, products, total, pixel in zip(
            found.channels, found.windows, found.products, found.sums, found.pixels, strict=True
        )
    ]
    return {"x": found.x, "y": found.y, "taps": found.taps + 0.0, "outside": found.outside, "channels": channels}


def _text(path: str, found: ExplainedPixel, record: dict[str, Any]) -> str:
    """Return an explained pixel as text: for each channel the window, the kernel, the products, and the sum."""
    from imgtool.cli.matrices import beside, matrix, short

    kernel = "kernel" if record["correlate"] else "kernel, flipped"
    head = f"{printable(path)}: {record['kernel']} at x={found.x}, y={found.y}\n"
    parts = [head]
    for index, name in enumerate(found.channels):
        window = matrix("window", found.windows[index], lambda y, x, text: f"[{text}]" if found.outside[y, x] else text)
        products = matrix("products", found.products[index])
        total, pixel = short(found.sums[index]), short(found.pixels[index].item())
        said = f"{name}: the sum is {total}, the pixel by --range {record['range']} {pixel}\n"
        parts.append(beside([window, matrix(kernel, found.taps), products]) + said)
    if found.outside.any():
        parts.append(f"[ ] lies outside the image; its value is that of --border {record['border']}\n")
    return "\n".join(parts)
