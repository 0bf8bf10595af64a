"""`imgtool hog`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import options
from imgtool.cli.images import Images
from imgtool.cli.messages import printable
from imgtool.cli.tables import default_format, emit, json_line
from imgtool.cli.vectors import Vectors
from imgtool.errors import ParameterError
from imgtool.pipelines.descriptors import HOG_VARIANTS

if TYPE_CHECKING:
    from imgtool.features.explain_hog import ExplainedCell

BAR_SIGNS = (40, 8)  # of a bar's length, before and after normalization


def norm_names() -> Iterable[str]:
    """Return the names that --norm knows."""
    from imgtool.features.hog import NORMS

    return NORMS


EXAMPLES = """
imgtool hog photo.jpg | jq .shape
imgtool hog --cell 16 --orientations 12 photos/ -o hog.npz
imgtool hog --visualize hog.png photo.jpg
imgtool hog --explain 40,30 photo.jpg
"""


@options.command("hog", examples=EXAMPLES)
@click.option(
    "--variant", type=click.Choice(list(HOG_VARIANTS)), default="skimage", help="Definition of HoG.  [skimage]"
)
@click.option("--orientations", type=click.IntRange(1, 360), help="Orientation bins over 180 degrees.  [9]")
@click.option("--cell", type=options.Numbers(least=1), help="Cell size in pixels, or ROWS,COLUMNS.  [8]")
@click.option("--block", type=options.Numbers(least=1), help="Block size in cells, or ROWS,COLUMNS.  [2]")
@click.option(
    "--norm",
    type=options.LateChoice("norm", norm_names),
    help="Block normalization: L1, L1-sqrt, L2, L2-Hys, none.  [L2-Hys]",
)
@click.option("--sqrt", is_flag=True, default=None, help="Square-root (gamma) compression first.")
@click.option("--signed", is_flag=True, default=None, help="Orientations over 360 degrees (dalal-triggs).")
@click.option("--explain", type=options.Numbers(2), metavar="X,Y",
              help="Print the histogram of the cell that holds this pixel (column, row, from 0).")  # fmt: skip
@options.visualize
@options.vectors
@options.images
def command(
    images: Images, vectors: Vectors, explain: tuple[int, int] | None, visualize: str | None, **parameters: Any
) -> None:
    """Describe images by histograms of oriented gradients.

    skimage: as scikit-image computes them; dalal-triggs: with the paper's Gaussian window and trilinear votes, as
    OpenCV's HOGDescriptor (64x128 pixels: its 3,780 numbers); uoctti: 31 numbers a cell, and vlfeat-dalal-triggs: 36,
    as VLFeat.
    """
    if explain:
        vectors.refuse_beside("explain", visualize=visualize)
        _explain(images, explain, vectors.resize, vectors.format or default_format(), parameters)
        return
    vectors.write(images, "hog", visualize=visualize, **parameters)


def _explain(
    images: Images, place: tuple[int, int], resize: str | None, format: str, parameters: dict[str, Any]
) -> None:
    """Print how one cell of each image comes to its numbers."""
    from imgtool.features.explain_hog import explain_hog
    from imgtool.pipelines.descriptors import complete
    from imgtool.pipelines.mapping import map_images

    if format not in ("table", "jsonl"):
        raise ParameterError(f"--explain goes with --format table and jsonl, not {format}")
    filled = complete("hog", parameters)
    if (variant := filled.pop("variant")) != "skimage":
        raise ParameterError(f"--explain goes with --variant skimage, not {variant}")
    source = images.source.in_size(resize).flat()
    for outcome in images.report(map_images(source, lambda image: explain_hog(image, *place, **filled), jobs=1)):
        if outcome.value is not None:
            path, found = outcome.source.path, outcome.value
            emit(
                json_line({"path": path, **vars(found)})
                if format == "jsonl"
                else "\n".join(_lines(path, found, filled))
            )


def _lines(path: str, found: ExplainedCell, filled: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of one cell: its histogram as bars, then its numbers in each block that holds it."""
    from imgtool.cli.bars import bars

    (x0, x1), (y0, y1) = found.x, found.y
    yield f"{printable(path)}: cell in row {found.row}, column {found.column} (x {x0} to {x1}, y {y0} to {y1})"
    pixels = (x1 - x0 + 1) * (y1 - y0 + 1)
    yield f"\nbin    degrees     votes (magnitudes added up, divided by the cell's {pixels} pixels)"
    shown = bars(found.votes.tolist(), BAR_SIGNS[0])
    for k, (vote, bar) in enumerate(zip(found.votes.tolist(), shown, strict=True)):
        begin, end = (f"{each:.4g}" for each in found.degrees[k : k + 2])
        yield f"{k:3}  {f'{begin}-{end}':>9}  {vote:8.4g}  {bar}".rstrip()
    high, wide = filled.get("block", (2, 2))
    yield f"\nafter {filled.get('norm', 'L2-Hys')} in the blocks of {wide}x{high} cells that hold it (row,column):"
    width = 8 + BAR_SIGNS[1]
    yield "bin  " + "".join(f"{f'{row},{column}':<{width}}" for row, column in found.blocks).rstrip()
    top = float(found.normalized.max())
    columns = [
        [f"{f'{number:.4f}':<7}{bar}" for number, bar in zip(row, bars(row, BAR_SIGNS[1], top), strict=True)]
        for row in found.normalized.tolist()
    ]
    for k, cells in enumerate(zip(*columns, strict=True)):
        yield f"{k:3}  " + "".join(f"{cell:<{width}}" for cell in cells).rstrip()
    yield ""
