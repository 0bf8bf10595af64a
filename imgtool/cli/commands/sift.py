"""`imgtool sift`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from imgtool.batch.inputs import STANDARD_INPUT, Input
from imgtool.cli import options
from imgtool.cli.images import Images, Rows, each_input
from imgtool.cli.messages import complain
from imgtool.cli.tables import Row
from imgtool.cli.together import Together, resolved
from imgtool.cli.vectors import Drawing, Vectors
from imgtool.errors import ImageError, ParameterError

if TYPE_CHECKING:
    import numpy as np

    from imgtool.features.sift import Descriptors

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
@click.option("--step", type=click.IntRange(1, 10_000), help="Pixels between descriptors.  [4]")
@options.bins(None, "4")
@click.option(
    "--window",
    type=click.Choice(["gaussian", "flat"]),
    help="Weights around the center [gaussian; flat for several bin sizes].",
)
@click.option("--root", is_flag=True, help="RootSIFT: square roots under the L1 norm.")
@click.option("--bounds", type=options.Numbers(4), metavar="X0,Y0,X1,Y1", help="Describe this part only, inclusive.")
@options.batch_device
@click.option("--sparse", is_flag=True, help="At keypoints instead of on a grid, as OpenCV finds them.")
@click.option("--match", "other", metavar="OTHER", help="Match keypoints with those of the image OTHER.")
@click.option("--values", is_flag=True, help="Give frames and values of each descriptor, not a summary.")
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

    As VLFeat computes it (Lowe, IJCV 2004, on a grid): 4x4 bins of 8 orientations. One bin size describes the image as
    it is; several smooth it for each, as VLFeat's phow. --sparse and --match take keypoints; matches pass the ratio
    test (0.75), inliers also RANSAC's homography.
    """
    given = {name: value for name, value in grid.items() if value is not None}
    if (sparse or other) and given:
        raise ParameterError(
            f"--{min(given).removesuffix('s')} is for SIFT on a grid; keypoints choose their own places"
        )
    if visualize and not (sparse or other):
        raise ParameterError("--visualize goes with --sparse, which draws keypoints, or --match, which draws matches")
    if other:
        if vectors.output or vectors.resize or values or root:
            raise ParameterError("--match gives rows of matches; it does not go with -o, --resize, --values or --root")
        _match(images, vectors, other, visualize)
        return
    place = resolved(given.pop("device", None))
    parameters = {"keypoints": True, "root": root} if sparse else {**_dense(**given), "root": root}
    if place == "cpu":
        describe = at_keypoints(root) if sparse else on_grid(**parameters)
    else:
        describe = on_grids(place, **parameters)
    _write(images, vectors, describe, parameters, sparse=sparse, values=values, visualize=visualize)


def _write(
    images: Images,
    vectors: Vectors,
    describe: Callable[[np.ndarray], Descriptors],
    parameters: dict[str, Any],
    *,
    sparse: bool,
    values: bool,
    visualize: str | None,
) -> None:
    """Describe all images: rows on standard output, or a feature file; and pictures where asked."""
    draw = _drawing(visualize).prepare(images, "sift", vectors=vectors) if visualize else None
    meta = vectors.meta("sift", parameters, describe)
    if vectors.prints:
        summary, columns = (_keypoints_row, SPARSE_COLUMNS) if sparse else (_row, COLUMNS)
        outcomes = vectors.each(images, describe, meta, draw=draw)
        rows = (each.map(lambda found: summary(found, values=values)) for each in outcomes)
        Rows(vectors.format).write(rows, (*columns, "frames", "values") if values else columns)
        return
    from imgtool.datasets.feature_file import check_suffix

    check_suffix(vectors.output or "", local=True)
    count, number, _ = vectors.store(
        images, describe, meta, unpack=lambda found: (found.values, found.frames), draw=draw
    )
    if not images.quiet:
        complain(f"{vectors.output}: {number} descriptors of {count} images")


def _drawing(output: str) -> Drawing:
    """Return what draws keypoints."""

    def draw(image: np.ndarray, found: Descriptors) -> np.ndarray:
        from imgtool.features.drawing import keypoints_picture

        return keypoints_picture(image, found.frames)

    return Drawing(output, draw)


def _dense(
    step: int = 4, bins: tuple[int, ...] = (4,), window: str | None = None, bounds: tuple[int, ...] | None = None
) -> dict[str, Any]:
    """Return the settings of a grid, as a feature file's meta has them."""
    window = window or ("gaussian" if len(bins) == 1 else "flat")
    return {"step": step, "bins": list(bins), "window": window, "bounds": bounds and list(bounds)}


def _match(images: Images, vectors: Vectors, other: str, visualize: str | None) -> None:
    """Match every image with another one."""
    import numpy as np

    from imgtool.features.drawing import matches_picture
    from imgtool.features.keypoints import match, sparse_sift

    try:
        right = images.read(Input(other))
        of_right = sparse_sift(right)
    except ImageError as error:
        raise ImageError(f"{'standard input' if other == STANDARD_INPUT else other}: {error}") from None
    drawing = Drawing(visualize, lambda left, pairs: matches_picture(left, right, pairs)) if visualize else None
    draw = drawing.prepare(images, "matches", vectors=vectors) if drawing else None

    def matched(index: int, source: Input) -> Row:
        left = images.read(source)
        of_left = sparse_sift(left)
        found = match(of_left, of_right)
        if draw:
            draw(index, left, np.hstack([found.left, found.right])[found.inliers])
        return {
            "other": other,
            "keypoints": [len(of_left.values), len(of_right.values)],
            "matches": len(found.left),
            "inliers": int(found.inliers.sum()),
            "homography": found.homography,
        }

    Rows(vectors.format).write(each_input(images, matched), MATCH_COLUMNS)


def at_keypoints(root: bool) -> Callable[[np.ndarray], Descriptors]:
    """Return the function that describes an image at its keypoints."""
    from imgtool.features import sift
    from imgtool.features.keypoints import sparse_sift

    def describe(image: np.ndarray) -> Descriptors:
        found = sparse_sift(image)
        return replace(found, values=sift.root(found.values)) if root else found

    return describe


def on_grid(
    step: int, bins: Sequence[int], window: str, root: bool, bounds: Sequence[int] | None
) -> Callable[[np.ndarray], Descriptors]:
    """Return the function that describes an image on a grid."""
    from imgtool.features import sift

    region = (bounds[0], bounds[1], bounds[2], bounds[3]) if bounds else None

    def describe(image: np.ndarray) -> Descriptors:
        if len(bins) == 1:
            found = sift.dense_sift(image, step=step, bin_size=bins[0], window=window, bounds=region)
        else:
            found = sift.phow(image, step=step, sizes=bins, window=window, bounds=region)
        return replace(found, values=sift.root(found.values)) if root else found

    return describe


def on_grids(
    device: str, step: int, bins: Sequence[int], window: str, root: bool, bounds: Sequence[int] | None
) -> Together[Descriptors]:
    """Return the function that describes several images on a grid, on a device."""
    from imgtool.features import sift
    from imgtool.features.sift_torch import dense_sift_batch, phow_batch
    from imgtool.image.color import to_gray

    region = (bounds[0], bounds[1], bounds[2], bounds[3]) if bounds else None

    def describe(images: list[np.ndarray]) -> list[Descriptors]:
        common: dict[str, Any] = {"step": step, "window": window, "bounds": region, "device": device}
        one = len(bins) == 1
        every = (
            dense_sift_batch(images, bin_size=bins[0], **common) if one else phow_batch(images, sizes=bins, **common)
        )
        return [replace(found, values=sift.root(found.values)) for found in every] if root else every

    return Together(device, describe, prepare=to_gray)


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


def _keypoints_row(found: Descriptors, *, values: bool) -> Row:
    """Return what standard output says of one image's keypoints."""
    row: dict[str, Any] = {"descriptor": "sift", "shape": list(found.values.shape), "number": len(found.values)}
    return {**row, "frames": found.frames, "values": found.values} if values else row
