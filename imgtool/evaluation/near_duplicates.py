"""Held-out images that are nearly equal to training images: stored again by a lossy format, or resized.

Each image is shrunk to a small gray square whose mean is 0; nearly equal are those whose squares have a cosine of at
least THRESHOLD, as `imgtool.features.search` finds them. Of the fifteen scenes (4,485 photographs) these are 12 pairs,
each twice the same photograph; copies stored as JPEG of quality 30, or brought to half their sides and stored at
quality 50, have 0.993 or more, and the most alike of different photographs, of one place a moment apart, have 0.988.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from imgtool.batch.pool import ordered_map, processors
from imgtool.datasets.dataset import Dataset
from imgtool.evaluation.splits import Split
from imgtool.events import Events, Progress
from imgtool.features.search import near_duplicates
from imgtool.image.color import to_gray
from imgtool.image.resize import resize

SIDE = 32  # pixels; of smaller images half the size loses too much to be found
THRESHOLD = 0.99
Pair = tuple[str, str, float]


def near_pairs(split: Split, folds: Sequence[Split] = (), *, events: Events | None = None) -> list[Pair]:
    """Return (training image, held-out image, cosine) of those that are nearly equal, not equal; of folds, both parts.

    Raises DataError for a data set of vectors.
    """
    test = split.test
    seconds = thumbnails(test, events)
    if folds:
        number_of = np.empty(len(test), np.int64)
        for number, fold in enumerate(folds):
            number_of[fold.places] = number
        found = near_duplicates(seconds, threshold=THRESHOLD)
        return list(_named(test, test, ((i, j, at) for i, j, at in found if number_of[i] != number_of[j])))
    if split.train is None:
        return []
    found = near_duplicates(thumbnails(split.train, events), threshold=THRESHOLD, others=seconds)
    return list(_named(split.train, test, found))


def thumbnails(dataset: Dataset, events: Events | None = None) -> np.ndarray:
    """Return (n, SIDE * SIDE) float32: each image as a small gray square without its mean."""
    squares = np.empty((len(dataset), SIDE * SIDE), np.float32)
    for index, square in enumerate(ordered_map(lambda at: _thumbnail(dataset, at), range(len(dataset)), processors())):
        squares[index] = square
        if events:
            events(Progress(index + 1, len(dataset), "looking for copies"))
    return squares


def near_line(pairs: Sequence[Pair]) -> str:
    """Return the line about nearly equal images in both parts."""
    if not pairs:
        return "no nearly equal images stand in both parts"
    stand = (
        "1 pair of nearly equal images stands"
        if len(pairs) == 1
        else f"{len(pairs)} pairs of nearly equal images stand"
    )
    return f"{stand} in both parts, such as {pairs[0][0]} and {pairs[0][1]}"


def _thumbnail(dataset: Dataset, index: int) -> np.ndarray:
    """Return one image's square as a vector; zeros for a flat image, which is like no other."""
    gray = to_gray(dataset.image(index).astype(np.float32))
    square = resize(gray, SIDE, SIDE, resample="box").reshape(-1)
    return np.asarray(square - square.mean())


def _named(first: Dataset, second: Dataset, pairs: Iterator[tuple[int, int, float]]) -> Iterator[Pair]:
    """Yield the names of images in the place of their indices, but for equal images, which are reported as such."""
    for i, j, cosine in pairs:
        if first.keys[i] != second.keys[j]:
            yield first.name(i), second.name(j), round(cosine, 4)
