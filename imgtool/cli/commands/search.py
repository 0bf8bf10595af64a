"""`imgtool features search`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from imgtool.batch.inputs import STANDARD_INPUT, Input
from imgtool.cli import options
from imgtool.cli.describers import describer
from imgtool.cli.messages import complain
from imgtool.cli.tables import Row, write_rows
from imgtool.errors import DataError, ImgtoolError, OutputError, ParameterError

if TYPE_CHECKING:
    import numpy as np

    from imgtool.datasets.feature_file import FeatureTable

EXAMPLES = """
imgtool features search --query photo.jpg gist.npz
imgtool features search --query photo.jpg --top 20 --show sheet.png gist.npz
imgtool features search --duplicates gist.npz
"""
METRICS = ("cosine", "euclidean", "intersection")
COLUMNS = ("rank", "path", "label", "score")
PAIRS = ("path", "other", "cosine")
THUMBNAIL = 160


@options.command("search", examples=EXAMPLES)
@click.argument("file", type=click.Path(), metavar="FILE")
@click.option("--query", metavar="IMAGE", help="The image to look for.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="How many of the nearest.")
@click.option("--metric", type=click.Choice(METRICS), default="cosine", show_default=True, help="What near means.")
@click.option("--show", metavar="OUT", help="Draw a contact sheet: the query, then what was found.")
@click.option("--duplicates", is_flag=True, help="List pairs of nearly equal images instead.")
@click.option(
    "--threshold", type=click.FloatRange(-1, 1), default=0.99, show_default=True, help="Least cosine of such a pair."
)
@options.force
@options.row_format
def command(
    file: str,
    query: str | None,
    top: int,
    metric: str,
    show: str | None,
    duplicates: bool,
    threshold: float,
    force: bool,
    format: str | None,
) -> None:
    """Find the images of a feature file that are most like one image.

    The query is described as the file's images were. An image that the file holds is found by its row.
    """
    from imgtool.datasets import feature_file

    if duplicates == (query is not None) or (show and query is None):
        raise ParameterError("name one: --query IMAGE, which --show draws, or --duplicates")
    table = feature_file.load(file)
    if table.offsets is not None:
        raise DataError(f"{file}: holds local descriptors; search takes one vector an image (hog, gist, fisher)")
    if query is None:
        write_rows(_pairs(table, file, threshold), format=format, columns=PAIRS)
        return
    from imgtool.features.search import nearest

    read = functools.cache(_read)  # standard input can be read but once
    vector = _vector(table, file, query, read)
    try:
        found, scores = nearest(table.features, vector, top=top, metric=metric)
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    if show:
        pictures = [query, *(table.paths[index] for index in found)]
        _require_other(show, [file, *pictures])
        _show(show, pictures, read, force=force)
    rows = zip(found.tolist(), scores.tolist(), strict=True)
    write_rows(
        (
            {"path": table.paths[index], "rank": rank, "label": table.labels[index] or None, "score": score}
            for rank, (index, score) in enumerate(rows, 1)
        ),
        format=format,
        columns=COLUMNS,
    )


def _pairs(table: FeatureTable, file: str, threshold: float) -> Iterator[Row]:
    """Yield nearly equal images."""
    from imgtool.features.search import near_duplicates

    try:
        for one, other, cosine in near_duplicates(table.features, threshold=threshold):
            yield {"path": table.paths[one], "other": table.paths[other], "cosine": cosine}
    except DataError as error:
        raise DataError(f"{file}: {error}") from None


def _vector(table: FeatureTable, file: str, query: str, read: Callable[[str], np.ndarray]) -> np.ndarray:
    """Return the query's vector: its row in the file, or what the file's descriptor makes of it."""
    if query in table.paths:
        row: np.ndarray = table.features[list(table.paths).index(query)]
        return row
    try:
        describe = describer(table.meta)
    except (KeyError, TypeError, ValueError, ParameterError):
        raise DataError(f"{file}: does not say how its images were described, so a query cannot be") from None
    try:
        vector: np.ndarray = describe(read(query)).reshape(-1)
        return vector
    except ImgtoolError as error:
        raise type(error)(f"{_name(query)}: {error}") from None
    except (TypeError, AttributeError):
        raise DataError(f"{file}: holds settings that its descriptor does not take") from None


def _read(path: str) -> np.ndarray:
    """Return the image at a path."""
    from imgtool.image import read

    return read(Input(path).read_bytes())


def _name(path: str) -> str:
    """Return what a path is called in messages."""
    return "standard input" if path == STANDARD_INPUT else path


def _require_other(output: str, paths: list[str]) -> None:
    """Refuse to overwrite what is read."""
    from imgtool.batch.outputs import identity

    if any(identity(path) == identity(output) for path in paths if path != STANDARD_INPUT):
        raise OutputError(f"{output}: is an input; imgtool does not overwrite what it reads")


def _show(output: str, paths: list[str], read: Callable[[str], np.ndarray], *, force: bool) -> None:
    """Draw the images, as far as they can be read, one beside the other."""
    from imgtool.batch.outputs import write_file
    from imgtool.image.sheet import contact_sheet
    from imgtool.image.write import encode, format_of

    pictures: list[np.ndarray | None] = []
    for path in paths:
        try:
            pictures.append(read(path))
        except (ImgtoolError, OSError) as error:
            complain(f"{_name(path)}: cannot be shown: {error}")
            pictures.append(None)
    write_file(output, encode(contact_sheet(pictures, THUMBNAIL), format_of(output)), overwrite=force)
