"""Images of a data set that equal each other: in both parts, twice in one, under two labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from imgtool.datasets.dataset import Dataset
from imgtool.image.equality import Key


def equal_pairs(train: Dataset, test: Dataset) -> Iterator[tuple[str, str]]:
    """Yield (training image, test image) pairs with equal pixels, in the order of the test images.

    Pixels that went through a lossy format are not equal, and are not found.
    """
    seen = defaultdict(list)
    for index, key in enumerate(train.keys):
        seen[key].append(index)
    for index, key in enumerate(test.keys):
        yield from ((train.name(other), test.name(index)) for other in seen.get(key, ()))


def equal_across_folds(whole: Dataset, folds: Sequence[np.ndarray]) -> Iterator[tuple[str, str]]:
    """Yield pairs of images with equal pixels in different folds, which are given as places in the data set."""
    number_of = np.empty(len(whole), np.int64)
    for number, places in enumerate(folds):
        number_of[places] = number
    seen: dict[Key, list[int]] = defaultdict(list)
    for index, key in enumerate(whole.keys):
        for other in seen[key]:
            if number_of[other] != number_of[index]:
                yield whole.name(other), whole.name(index)
        seen[key].append(index)


def named_twice(part: Dataset) -> list[str]:
    """Return the files that a part names more than once, with one label."""
    counts = Counter((part.name(index), label) for index, label in enumerate(part.labels.tolist()))
    return [name for (name, _), count in counts.items() if count > 1]


def repeated(part: Dataset) -> list[tuple[str, str]]:
    """Return (first image, other image) pairs with equal pixels and the same label within a part; a file is no pair."""
    first: dict[tuple[Key, int], str] = {}
    pairs = []
    for index, found in enumerate(zip(part.keys, part.labels.tolist(), strict=True)):
        name = part.name(index)
        other = first.setdefault(found, name)
        if other != name:
            pairs.append((other, name))
    return list(dict.fromkeys(pairs))


def two_labels(parts: Sequence[Dataset]) -> list[tuple[str, str, str, str]]:
    """Return (image, label, equal image, its other label) of all images of some parts."""
    first: dict[Key, tuple[str, str]] = {}
    found = []
    for part in parts:
        for index, key in enumerate(part.keys):
            name, label = part.name(index), part.classes[int(part.labels[index])]
            other, other_label = first.setdefault(key, (name, label))
            if other_label != label:
                found.append((other, other_label, name, label))
    return found


def equal_images(parts: Mapping[str, Dataset]) -> list[str]:
    """Return a line for each way in which images of a data set equal each other: labels, within parts."""
    lines = []
    if both := two_labels([*parts.values()]):
        one, label, other, other_label = both[0]
        more = "1 image has" if len(both) == 1 else f"{len(both)} images have"
        same = "the same file" if one == other else other
        lines.append(f"{more} two labels: {one} is {label!r} and {same} is {other_label!r}")
    for name, part in parts.items():
        if files := named_twice(part):
            more = "1 file is" if len(files) == 1 else f"{len(files)} files are"
            lines.append(f"{more} named more than once in {name}: {files[0]}")
        if pairs := repeated(part):
            more = "1 image stands" if len(pairs) == 1 else f"{len(pairs)} images stand"
            lines.append(f"{more} more than once in {name}: {pairs[0][0]} equals {pairs[0][1]}")
    return lines


def across_line(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the line about equal images in both parts, none where there are none."""
    if not pairs:
        return []
    stand = "1 pair of equal images stands" if len(pairs) == 1 else f"{len(pairs)} pairs of equal images stand"
    one, other = pairs[0]
    return [f"{stand} in both parts, such as {f'{one}, one file' if one == other else f'{one} and {other}'}"]
