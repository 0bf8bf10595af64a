"""Find images that are in both parts of a data set: by their pixels, not by their names or bytes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from imgtool.batch.pool import ordered_map, processors
from imgtool.datasets.dataset import Dataset
from imgtool.events import Events, Progress
from imgtool.image.alpha import flatten


def duplicates(train: Dataset, test: Dataset, events: Events | None = None) -> Iterator[tuple[str, str]]:
    """Yield (training image, test image) pairs with equal pixels, in the order of the test images.

    Pixels that went through a lossy format are not equal, and are not found.
    """
    total = len(train) + len(test)
    seen = defaultdict(list)
    for index, key in enumerate(_keys(train)):
        seen[key].append(index)
        if events:
            events(Progress(index + 1, total, "looking for equal images"))
    for index, key in enumerate(_keys(test)):
        yield from ((train.name(other), test.name(index)) for other in seen.get(key, ()))
        if events:
            events(Progress(len(train) + index + 1, total, "looking for equal images"))


def _keys(dataset: Dataset) -> Iterator[tuple[Any, ...]]:
    """Yield the key of each item; files are decoded several at once."""
    jobs = 1 if isinstance(dataset.items, np.ndarray) else processors()
    return ordered_map(partial(_key, dataset), range(len(dataset)), jobs)


def _key(dataset: Dataset, index: int) -> tuple[Any, ...]:
    """Return a key that is equal for what looks the same: gray stored as color, with alpha, or hidden color."""
    item = dataset.items[index]
    image = item if isinstance(item, np.ndarray) else dataset.image(index)
    if image.ndim == 3:
        image = flatten(image)
        if image.ndim == 3 and image.shape[2] == 3 and (image == image[:, :, :1]).all():
            image = image[:, :, 0]
    return image.shape, image.dtype.str, hashlib.blake2b(image.tobytes(), digest_size=16).digest()
