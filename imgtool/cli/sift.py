"""`imgtool sift`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

import imgtool
from imgtool.cli import options
from imgtool.cli.images import Images, Rows, each_image
from imgtool.cli.messages import complain
from imgtool.cli.tables import Row
from imgtool.cli.vectors import Vectors
from imgtool.errors import DataError, ParameterError

if TYPE_CHECKING:
    import numpy as np

    from imgtool.datasets.feature_file import FeatureTable
    from imgtool.features.sift import Descriptors

EXAMPLES = """
imgtool sift photo.jpg
imgtool sift --step 8 --bin 4,6,8 --root photos/ -o sift.npz
imgtool sift --step 16 --values photo.jpg | jq '.values | length'
"""
COLUMNS = ("descriptor", "number", "grid")


@options.command("sift", examples=EXAMPLES)
@click.option("--step", type=click.IntRange(1), default=4, show_default=True, help="Pixels between descriptors.")
@options.bins("4")
@click.option(
    "--window",
    type=click.Choice(["gaussian", "flat"]),
    help="Weights around the center [gaussian; flat for several bin sizes].",
)
@click.option("--root", is_flag=True, help="RootSIFT: square roots under the L1 norm.")
@click.option("--bounds", type=options.Numbers(4), metavar="X0,Y0,X1,Y1", help="Describe this part only, inclusive.")
@click.option("--values", is_flag=True, help="Give frames and values of each descriptor, not a summary.")
@options.vectors
@options.images
def command(
    images: Images,
    vectors: Vectors,
    step: int,
    bins: tuple[int, ...],
    window: str | None,
    root: bool,
    bounds: tuple[int, ...] | None,
    values: bool,
) -> None:
    """Describe images by dense SIFT.

    As VLFeat computes it (Lowe, IJCV 2004, on a grid): 4x4 bins of 8 orientations. One bin size describes the image as
    it is; several smooth it for each, as VLFeat's phow.
    """
    window = window or ("gaussian" if len(bins) == 1 else "flat")
    describe = _describer(step, bins, window, root, bounds)
    parameters = {"step": step, "bins": list(bins), "window": window, "root": root, "bounds": bounds and list(bounds)}
    if vectors.output is None or vectors.output == "-":
        outcomes = each_image(images, lambda image: _row(describe(image), values=values))
        Rows(vectors.format).write(outcomes, (*COLUMNS, "frames", "values") if values else COLUMNS)
        return
    vectors.check(images)
    if not vectors.output.lower().endswith(".npz"):
        raise ParameterError(f"-o {vectors.output}: local descriptors are stored as .npz only")
    _store(vectors, images, describe, parameters)


def _describer(
    step: int, bins: tuple[int, ...], window: str, root: bool, bounds: tuple[int, ...] | None
) -> Callable[[np.ndarray], Descriptors]:
    """Return the function of an image that the options ask for."""
    from imgtool.features import sift

    region = (bounds[0], bounds[1], bounds[2], bounds[3]) if bounds else None

    def describe(image: np.ndarray) -> Descriptors:
        if len(bins) == 1:
            found = sift.dense_sift(image, step=step, bin_size=bins[0], window=window, bounds=region)
        else:
            found = sift.phow(image, step=step, sizes=bins, window=window, bounds=region)
        return sift.Descriptors(found.frames, sift.root(found.values), found.norms) if root else found

    return describe


def _row(found: Descriptors, *, values: bool) -> Row:
    """Return what standard output says of one image: for each bin size, columns and rows of the grid."""
    grid = []
    for size in sorted(set(found.frames[:, 2].tolist())):
        x, y = (set(axis) for axis in found.frames[found.frames[:, 2] == size, :2].T.tolist())
        grid.append(f"{len(x)}x{len(y)}")
    row: dict[str, Any] = {
        "descriptor": "sift",
        "shape": list(found.values.shape),
        "number": len(found.values),
        "grid": grid,
    }
    return {**row, "frames": found.frames, "values": found.values} if values else row


def _store(
    vectors: Vectors, images: Images, describe: Callable[[np.ndarray], Descriptors], parameters: dict[str, Any]
) -> None:
    """Write the descriptors of all images to a feature file."""
    from imgtool.datasets import feature_file

    assert vectors.output is not None
    outcomes = [each for each in each_image(images, describe) if each.value is not None]
    if not outcomes:
        raise DataError("no image could be described, so there is nothing to store")
    meta = {"descriptor": "sift", "parameters": parameters, "version": imgtool.__version__}
    table = _table([(each.source.path, each.source.label, each.value) for each in outcomes if each.value], meta)
    feature_file.save(vectors.output, table, overwrite=vectors.force)
    if not images.quiet:
        complain(f"{vectors.output}: {len(table.features)} descriptors of {len(table.paths)} images")


def _table(described: list[tuple[str, str, Descriptors]], meta: dict[str, Any]) -> FeatureTable:
    """Put local descriptors one after the other."""
    import numpy as np

    from imgtool.datasets.feature_file import FeatureTable

    paths, labels, found = zip(*described, strict=True)
    offsets = np.concatenate([[0], np.cumsum([len(each.values) for each in found])]).astype(np.int64)
    frames = np.concatenate([each.frames for each in found]).astype(np.float32)
    return FeatureTable(np.concatenate([each.values for each in found]), paths, labels, meta, frames, offsets)
