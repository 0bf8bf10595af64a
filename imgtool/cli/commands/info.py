"""`imgtool info`."""

from __future__ import annotations

import click

from imgtool.cli import options
from imgtool.cli.images import Images, Rows
from imgtool.cli.tables import Row
from imgtool.pipelines.image_info import NUMBERS, image_info
from imgtool.pipelines.mapping import map_inputs
from imgtool.remarks import Remark

EXAMPLES = """
imgtool info photo.jpg
imgtool info --statistics --format csv photos/ > photos.csv
cat photo.jpg | imgtool info --json - | jq .mean
"""

COLUMNS = ("size", "color", "depth", "format")


@options.command("info", examples=EXAMPLES)
@click.option("--statistics", is_flag=True, help="Minimum, maximum, mean and standard deviation of each channel.")
@click.option("--histogram", is_flag=True, help="Histogram of 256 equal bins, in JSON Lines.")
@click.option("--json", is_flag=True, help="The same as --format jsonl.")
@options.rows
@options.images
def command(images: Images, rows: Rows, statistics: bool, histogram: bool, json: bool) -> None:
    """Print size, depth and statistics of images.

    JSON Lines hold everything, also orientation (EXIF's, as stored), profile, shape and dtype.
    """
    if json:
        rows = Rows("jsonl")

    def describe(index: int, remarks: list[Remark]) -> Row:
        return image_info(images.source, index, remarks, histogram=histogram)

    outcomes = images.report(map_inputs(images.source, describe, jobs=images.jobs))
    rows.write(outcomes, COLUMNS + (NUMBERS if statistics else ()))
