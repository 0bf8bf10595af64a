"""`imgtool info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from imgtool.batch.inputs import Input
from imgtool.cli import options
from imgtool.cli.images import Images, Rows, each_input

if TYPE_CHECKING:
    import numpy as np

    from imgtool.image.read import Header

EXAMPLES = """
imgtool info photo.jpg
imgtool info --statistics --format csv photos/ > photos.csv
cat photo.jpg | imgtool info --json - | jq .mean
"""

COLUMNS = ("size", "color", "depth", "format")
NUMBERS = ("min", "max", "mean", "std")
CHANNELS = {1: "gray", 2: "gray+alpha", 3: "rgb", 4: "rgba"}


@options.command("info", examples=EXAMPLES)
@click.option("--statistics", is_flag=True, help="Least, largest, mean and deviation of each channel in the table.")
@click.option("--histogram", is_flag=True, help="Counts of 256 equal bins, in JSON Lines.")
@click.option("--json", is_flag=True, help="The same as --format jsonl.")
@options.rows
@options.images
def command(images: Images, rows: Rows, statistics: bool, histogram: bool, json: bool) -> None:
    """Say what an image is: size, depth, statistics.

    JSON Lines hold everything, also orientation (EXIF's, as stored), profile, shape and dtype.
    """
    if json:
        rows = Rows("jsonl")

    def described(_: int, source: Input) -> dict[str, Any]:
        from imgtool.image import probe

        data = source.read_bytes()
        return _describe(probe(data), images.decode(source, data), histogram=histogram)

    rows.write(each_input(images, described), COLUMNS + (NUMBERS if statistics else ()))


def _describe(header: Header, image: np.ndarray, *, histogram: bool) -> dict[str, Any]:
    """Return everything there is to say of one image."""
    import numpy as np

    height, width = image.shape[:2]
    planes = image.reshape(height * width, -1)
    finite = np.where(np.isfinite(planes), planes, np.nan) if image.dtype.kind == "f" else planes
    row: dict[str, Any] = {
        "size": f"{width}x{height}",
        "color": CHANNELS[planes.shape[1]],
        "depth": f"{image.dtype.itemsize * 8} bit" + (" float" if image.dtype.kind == "f" else ""),
        "format": header.format,
        "width": width,
        "height": height,
        "channels": planes.shape[1],
        "dtype": image.dtype.name,
        "orientation": header.orientation,
        "profile": header.profile,
        "min": _of_channels(np.nanmin(finite, axis=0)),
        "max": _of_channels(np.nanmax(finite, axis=0)),
        "mean": _of_channels(np.nanmean(finite, axis=0, dtype=np.float64)),
        "std": _of_channels(np.nanstd(finite, axis=0, dtype=np.float64)),
    }
    return {**row, "histogram": _histogram(planes)} if histogram else row


def _of_channels(values: Any) -> list[Any]:
    """Return one number for each channel."""
    numbers: list[Any] = [value.item() for value in values]
    return numbers


def _histogram(planes: Any) -> list[list[int]]:
    """Return 256 counts for each channel: over the type's range, for floats over their own."""
    import numpy as np

    if planes.dtype.kind == "u":
        span = (0.0, float(np.iinfo(planes.dtype).max) + 1)
    else:
        finite = planes[np.isfinite(planes)]
        span = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        planes = np.where(np.isfinite(planes), planes, np.nan)
    return [np.histogram(plane[~np.isnan(plane)], 256, span)[0].tolist() for plane in planes.T]
