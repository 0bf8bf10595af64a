"""`imgtool info`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import click

from imgtool.cli import options
from imgtool.cli.images import Images, Rows
from imgtool.cli.messages import printable
from imgtool.cli.tables import Row, default_format, emit
from imgtool.errors import ParameterError
from imgtool.pipelines.image_info import NUMBERS, image_info
from imgtool.pipelines.mapping import map_inputs
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.sizes import parse_crop
from imgtool.remarks import Remark

EXAMPLES = """
imgtool info photo.jpg
imgtool info --statistics --format csv photos/ > photos.csv
imgtool info --pixels --crop 10,20,8x8 photo.jpg
cat photo.jpg | imgtool info --json - | jq .mean
"""

COLUMNS = ("size", "color", "depth", "format")
MAX_PRINTED_PIXELS = 4096  # of an image of which no part was picked
UNUSUAL = ("pages", "bands")  # columns of a table in which there is something to say
PLURALS = ("page", "frame", "image", "mask", "reduced version", "color filter array")
SHOWN_BANDS = 6


@options.command("info", examples=EXAMPLES)
@click.option("--statistics", is_flag=True, help="Minimum, maximum, mean and standard deviation of each channel.")
@click.option("--histogram", is_flag=True, help="Histogram of 256 equal bins, in JSON Lines.")
@click.option("--pixels", is_flag=True, help="The numbers of all pixels: a matrix for each channel.")
@click.option("--crop", metavar="X,Y,WxH", help="Of --pixels a part only: from column X and row Y on, WxH pixels.")
@click.option("--json", is_flag=True, help="The same as --format jsonl.")
@options.rows
@options.images
def command(
    images: Images, rows: Rows, statistics: bool, histogram: bool, pixels: bool, crop: str | None, json: bool
) -> None:
    """Print size, depth and statistics of images.

    JSON Lines hold everything, also orientation (EXIF's, as stored), profile, dtype, and what each page and band is.
    --pixels prints a matrix for each channel, as --matrix and --kernel-file read it.
    """
    if json:
        rows = Rows("jsonl")
    part = parse_crop("crop", crop) if crop else None
    if part and not pixels:
        raise ParameterError("--crop goes with --pixels")
    format = rows.format or default_format()
    if pixels and format in ("csv", "tsv"):
        raise ParameterError(
            f"--pixels goes with table and jsonl, not {format}; imgtool convert -o x.csv writes numbers"
        )
    most = MAX_PRINTED_PIXELS if format == "table" else None

    def describe(index: int, remarks: list[Remark]) -> Row:
        return image_info(images.source, index, remarks, histogram=histogram, pixels=pixels, crop=part, most=most)

    outcomes = images.report(map_inputs(images.source, describe, jobs=images.jobs))
    if pixels and format == "table":
        _print_matrices(outcomes)
        return
    columns = COLUMNS + (NUMBERS if statistics else ())
    if format == "table":
        rows.write((each.map(_short) for each in outcomes), columns, unusual=UNUSUAL)
    else:
        rows.write(outcomes, columns)


def _print_matrices(outcomes: Iterator[Outcome[Row]]) -> None:
    """Print the numbers of each image, channel by channel, as rows and columns below what they are."""
    from imgtool.image.channels import PIXEL_CHANNELS
    from imgtool.image.text_images import encode_text

    for outcome in outcomes:
        row = outcome.value
        if row is None:
            continue
        x, y, width, height = row["crop"]
        planes = row["pixels"].reshape(height, width, -1)
        names = PIXEL_CHANNELS.get(planes.shape[2], range(1, planes.shape[2] + 1))
        for index, name in enumerate(names):
            emit(f"{printable(outcome.source.path)}  {name}  {width}x{height} from {x},{y}  {row['depth']}\n")
            emit(encode_text(planes[:, :, index], "txt").decode())


def _short(row: Row) -> Row:
    """Return a row whose pages and bands are in words where they are more than one image in color, else None."""
    kinds = Counter(each["kind"] for each in row["page_list"])
    pages = ", ".join(f"{count} {kind}{'s' * (count > 1 and kind in PLURALS)}" for kind, count in kinds.items())
    bands = row["band_list"]
    words = " ".join(bands[:SHOWN_BANDS] + [f"and {len(bands) - SHOWN_BANDS} more"] * (len(bands) > SHOWN_BANDS))
    return {
        **row,
        "pages": pages if row["pages"] > 1 else None,
        "bands": words if len(bands) > row["channels"] else None,
    }
