"""Match images with another one by their keypoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from imgtool.errors import ImageError
from imgtool.pipelines.drawings import writer_of
from imgtool.pipelines.mapping import map_inputs
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.source import Source
from imgtool.remarks import Remark

if TYPE_CHECKING:
    from imgtool.features.keypoints import Matches


class ImageMatches(NamedTuple):
    """The numbers of keypoints of an image and the other one, and the matching pairs."""

    keypoints: tuple[int, int]
    matches: Matches


def match_images(
    source: Source, other: str, *, jobs: int, visualize: str | None = None, overwrite: bool = False
) -> Iterator[Outcome[ImageMatches]]:
    """Match every image with another one; draw the pairs if `visualize` is given. Raises ImageError for the other."""
    import numpy as np

    from imgtool.features.drawing import matches_picture
    from imgtool.features.keypoints import match, sparse_sift

    source = source.flat()
    try:
        right = source.other(other).read(0, [])
        of_right = sparse_sift(right)
    except ImageError as error:
        raise error.within("standard input" if other == "-" else other) from None
    draw = None
    if visualize:
        picture = lambda left, pairs: matches_picture(left, right, pairs)  # noqa: E731
        draw = writer_of(
            picture, visualize, source.inputs, what="matches", overwrite=overwrite, reads=[*source.also_read, other]
        )

    def work(index: int, remarks: list[Remark]) -> ImageMatches:
        left = source.read(index, remarks)
        of_left = sparse_sift(left)
        found = match(of_left, of_right)
        if draw:
            draw(index, left, np.hstack([found.left, found.right])[found.inliers])
        return ImageMatches((len(of_left.values), len(of_right.values)), found)

    return map_inputs(source, work, jobs=jobs)
