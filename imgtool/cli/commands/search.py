"""`imgtool features search`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from imgtool.batch.conflicts import refuse_inputs
from imgtool.cli import options
from imgtool.cli.images import name_of
from imgtool.cli.messages import complain, explain
from imgtool.cli.remarks import Tally
from imgtool.cli.tables import Row, write_rows
from imgtool.errors import DataError, ImgtoolError, ParameterError
from imgtool.pipelines.search import METRICS, nearest_rows, open_table, query_vector, read_image, reading_of
from imgtool.remarks import Remark

if TYPE_CHECKING:
    import numpy as np

    from imgtool.datasets.feature_file import FeatureTable

EXAMPLES = """
imgtool features search --query photo.jpg gist.npz
imgtool features search --query photo.jpg --top 20 --show sheet.png gist.npz
imgtool features search --duplicates gist.npz
"""
COLUMNS = ("rank", "path", "label", "score")
PAIRS = ("path", "other", "cosine")
THUMBNAIL_PIXELS = 160


@options.command("search", examples=EXAMPLES)
@click.argument("file", type=click.Path(), metavar="FILE")
@click.option("--query", metavar="IMAGE", help="Query image.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Number of nearest images.")
@click.option(
    "--metric", type=click.Choice(METRICS), default="cosine", show_default=True, help="Distance or similarity."
)
@click.option("--show", metavar="OUT", help="Draw a contact sheet: the query, then the matches.")
@click.option("--duplicates", is_flag=True, help="List pairs of near-duplicate images instead.")
@click.option(
    "--threshold",
    type=options.FloatRange(-1, 1),
    default=0.99,
    show_default=True,
    help="Minimum cosine of such a pair.",
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
    """Find the images of a feature file that are most similar to one image.

    The query is described with the file's settings. If the file contains the query image, its row is used.
    """
    if duplicates == (query is not None) or (show and query is None):
        raise ParameterError("name one: --query IMAGE, which --show draws, or --duplicates")
    if show:
        from imgtool.batch.outputs import check_writable

        check_writable(show, overwrite=force)
    table, _ = open_table(file)
    if query is None:
        write_rows(_pairs(table, file, threshold), format=format, columns=PAIRS)
        return
    noted: list[Remark] = []
    # standard input can be read but once
    read = functools.cache(lambda path: read_image(path, reading_of(table), noted if path == query else None))
    try:
        matches = nearest_rows(table, query_vector(table, query, read), top=top, metric=metric)
    except DataError as error:
        raise error.within(file) from None
    if show:
        paths = [query, *(match.path for match in matches)]
        refuse_inputs([show], [file, *paths])
        _show(show, paths, read, force=force)
    rows = (
        {"path": match.path, "rank": rank, "label": match.label, "score": match.score}
        for rank, match in enumerate(matches, 1)
    )
    write_rows(rows, format=format, columns=COLUMNS)
    tally = Tally()
    tally.add(noted)
    tally.tell(verbose=False, advice=False)


def _pairs(table: FeatureTable, file: str, threshold: float) -> Iterator[Row]:
    """Yield nearly equal images."""
    from imgtool.features.search import near_duplicates

    try:
        for one, other, cosine in near_duplicates(table.features, threshold=threshold):
            yield {"path": table.paths[one], "other": table.paths[other], "cosine": cosine}
    except DataError as error:
        raise error.within(file) from None


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
            complain(f"{name_of(path)}: cannot be shown: {explain(error)}")
            pictures.append(None)
    write_file(output, encode(contact_sheet(pictures, THUMBNAIL_PIXELS), format_of(output)), overwrite=force)
