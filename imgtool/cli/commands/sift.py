"""`imgtool sift`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import options
from imgtool.cli.images import Images, Rows
from imgtool.cli.messages import option
from imgtool.cli.tables import Row
from imgtool.cli.vectors import Vectors
from imgtool.errors import ParameterError

if TYPE_CHECKING:
    from imgtool.features.sift import Descriptors
    from imgtool.pipelines.match_images import ImageMatches

EXAMPLES = """
imgtool sift photo.jpg
imgtool sift --step 8 --bin 4,6,8 --root photos/ -o sift.npz
imgtool sift --step 16 --values photo.jpg | jq '.values | length'
imgtool sift --sparse --visualize keypoints.png photo.jpg
imgtool sift --match left.jpg right.jpg --visualize matches.png
"""
COLUMNS = ("descriptor", "number", "grid")
SPARSE_COLUMNS = ("descriptor", "number")
MATCH_COLUMNS = ("other", "keypoints", "matches", "inliers")


@options.command("sift", examples=EXAMPLES)
@click.option("--step", type=click.IntRange(1, 10_000), help="Sampling step in pixels.  [4]")
@options.bins(None, "4")
@click.option(
    "--window",
    type=click.Choice(["gaussian", "flat"]),
    help="Spatial window [gaussian; flat for several bin sizes].",
)
@click.option("--color", type=click.Choice(["gray", "rgb", "hsv", "opponent"]), metavar="NAME",
              help="Channels: gray, rgb, hsv, opponent.  [gray]")  # fmt: skip
@click.option("--root", is_flag=True, help="RootSIFT: square root of L1-normalized descriptors.")
@click.option("--bounds", type=options.Numbers(4), metavar="X0,Y0,X1,Y1", help="Region of interest, inclusive.")
@options.batch_device
@click.option("--sparse", is_flag=True, help="Keypoints (as OpenCV detects them) instead of a grid.")
@click.option("--match", "other", metavar="OTHER", help="Match keypoints with those of image OTHER.")
@click.option("--values", is_flag=True, help="Print frames and values, not a summary.")
@options.visualize
@options.vectors
@options.images
def command(
    images: Images,
    vectors: Vectors,
    root: bool,
    sparse: bool,
    other: str | None,
    values: bool,
    visualize: str | None,
    **grid: Any,
) -> None:
    """Describe images by dense SIFT.

    SIFT (Lowe, IJCV 2004) on a grid, as VLFeat computes it: 4x4 bins of 8 orientations. With several bin sizes, the
    image is smoothed for each, as in VLFeat's phow; so it is for color, whose channels are described one by one.
    --sparse and --match use keypoints instead; matches pass the ratio test (0.75), inliers agree with RANSAC's
    homography.
    """
    given = sorted(name for name, value in grid.items() if value is not None)
    if (sparse or other) and given:
        raise ParameterError(f"{option(given[0])} is for SIFT on a grid; keypoints choose their own places")
    if visualize and not (sparse or other):
        raise ParameterError("--visualize goes with --sparse, which draws keypoints, or --match, which draws matches")
    if other:
        if vectors.output or vectors.resize or values or root:
            raise ParameterError("--match gives rows of matches; it does not go with -o, --resize, --values or --root")
        _match(images, vectors, other, visualize)
        return
    row = functools.partial(_keypoints_row if sparse else _grid_row, values=values)
    columns = (*(SPARSE_COLUMNS if sparse else COLUMNS), *(("frames", "values") if values else ()))
    vectors.write(images, "sift", row=row, columns=columns, visualize=visualize, root=root, sparse=sparse, **grid)


def _match(images: Images, vectors: Vectors, other: str, visualize: str | None) -> None:
    """Match every image with another one, and print a row of each."""
    from imgtool.pipelines.match_images import match_images

    outcomes = match_images(images.source, other, jobs=images.jobs, visualize=visualize, overwrite=vectors.force)
    rows = (each.map(lambda found: _match_row(other, found)) for each in images.report(outcomes))
    Rows(vectors.format).write(rows, MATCH_COLUMNS)


def _match_row(other: str, found: ImageMatches) -> Row:
    """Return what standard output says of one pair of images."""
    return {
        "other": other,
        "keypoints": list(found.keypoints),
        "matches": len(found.matches.left),
        "inliers": int(found.matches.inliers.sum()),
        "homography": found.matches.homography,
    }


def _grid_row(found: Descriptors, *, values: bool) -> Row:
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


def _keypoints_row(found: Descriptors, *, values: bool) -> Row:
    """Return what standard output says of one image's keypoints."""
    row: dict[str, Any] = {"descriptor": "sift", "shape": list(found.values.shape), "number": len(found.values)}
    return {**row, "frames": found.frames, "values": found.values} if values else row
