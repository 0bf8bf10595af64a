"""Look at every image of a data set once, before anything is trained: files that are bad, images that are equal.

Decoded images stay in the cache of the data set, so that what comes after does not read them again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from imgtool.batch.pool import ordered_map, processors
from imgtool.datasets.cache import ImageCache
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import Parts, listed
from imgtool.errors import DataError, ImageError
from imgtool.events import Events, Progress
from imgtool.image.alpha import WHITE
from imgtool.image.equality import Key, pixels_key
from imgtool.image.levels import as_levels
from imgtool.remarks import Remark


class BadFilesError(DataError):
    """Files of a data set cannot be used. files: the name of each, and its error."""

    def __init__(self, files: Sequence[tuple[str, ImageError]], total: int, hint: str = "skip-bad") -> None:
        self.files, self.total = tuple(files), total
        named = "; ".join(f"{name}: {reason_without_advice(error)}" for name, error in files)
        super().__init__(f"{len(files)} of {total} images cannot be used: {named}", hint=hint)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.files, self.total, self.hint)


def reason_without_advice(error: ImageError) -> str:
    """Return why an image cannot be used; what other parameters of reading would do, a data set does not have."""
    return error.message.partition(";")[0] if error.parameters else error.message


class Seen(NamedTuple):
    """What was seen of one image: its key, or why it cannot be used, and remarks on its type."""

    key: Key | None
    error: ImageError | None = None
    remarks: Sequence[Remark] = ()


def checked(parts: Parts, *, skip_bad: bool = False, to_train: bool = True, events: Events | None = None) -> Parts:
    """Return a data set all of whose images can be used, with remarks; one that was checked already as it is.

    skip_bad: leave out images that cannot be used; to_train: something is to be trained on it, so that no class may
    lose all of its images. Raises BadFilesError, which names all bad files, DataError.
    """
    if parts.checked:
        return parts
    cache = ImageCache(background=parts.train.background or WHITE)
    roles = [part and part.with_cache(cache) for part in (parts.train, parts.test, parts.validation)]
    there = [part for part in roles if part is not None]
    total, done = sum(map(len, there)), 0
    seen = []
    for part in there:
        seen.append(list(_watched(_look_at(part), done, total, events)))
        done += len(part)
    bad = [
        (part.name(at), each.error)
        for part, found in zip(there, seen, strict=True)
        for at, each in enumerate(found)
        if each.error
    ]
    if bad and (not skip_bad or len(bad) == total):
        raise BadFilesError(bad, total, "" if skip_bad else "skip-bad")
    usable = iter([_usable(part, found) for part, found in zip(there, seen, strict=True)])
    train, test, validation = (None if part is None else next(usable) for part in roles)
    assert train is not None
    if to_train:
        _require_classes(parts.train, train)
    remarks = [
        *parts.remarks,
        *_lacking(cache),
        *_transparent(cache, chosen=parts.train.background is not None),
        *_remarks(bad, (remark for found in seen for each in found for remark in each.remarks)),
    ]
    return replace(parts, train=train, test=test, validation=validation, remarks=tuple(remarks), checked=True)


def _watched(found: Iterator[Seen], done: int, total: int, events: Events | None) -> Iterator[Seen]:
    """Yield what was seen, telling of the progress."""
    for number, each in enumerate(found, start=done + 1):
        yield each
        if events:
            events(Progress(number, total, "looking at images"))


def _look_at(dataset: Dataset) -> Iterator[Seen]:
    """Yield what is seen of each image; files are decoded several at once."""
    jobs = 1 if isinstance(dataset.items, np.ndarray) else processors()
    return ordered_map(lambda index: _see(dataset, index), range(len(dataset)), jobs)


def _see(dataset: Dataset, index: int) -> Seen:
    """Look at one image."""
    item = dataset.items[index]
    remarks = list[Remark]()
    try:
        image = item if isinstance(item, np.ndarray) else dataset.raw(index)
        if image.ndim > 1:
            as_levels(image, remarks)
    except ImageError as error:
        return Seen(None, error)
    return Seen(pixels_key(image), remarks=remarks)


def _usable(part: Dataset, found: Sequence[Seen]) -> Dataset:
    """Return the images that can be used, which know their keys."""
    good = np.array([at for at, each in enumerate(found) if each.error is None], np.int64)
    kept = part if len(good) == len(part) else part.subset(good)
    kept = replace(kept)  # the one that was given stays as it is
    vars(kept)["keys"] = [each.key for each in found if each.key is not None]
    return kept


def _require_classes(before: Dataset, after: Dataset) -> None:
    """Raise DataError where no image of a class is left to train on."""
    lost = [name for name, count in after.counts().items() if not count and before.counts()[name]]
    if lost:
        raise DataError(f"class {lost[0]!r} has no image that can be used")


def _lacking(cache: ImageCache) -> Iterator[Remark]:
    """Yield what the images lack of their files: a remark for each kind, pages and bands."""
    for kind, which in (("pages", "the first that is no preview is read"), ("bands", "color is read")):
        counts = [sum(each.count for each in found if each.kind == kind) for found in cache.remarks.values()]
        if total := sum(counts):
            images = sum(count > 0 for count in counts)
            yield Remark(kind, total, f"{kind} of {images} image{'s' * (images > 1)} are left out: {which}")


def _transparent(cache: ImageCache, *, chosen: bool) -> Iterator[Remark]:
    """Yield how many images show a background, by rule if somebody chose it."""
    if count := sum(each.kind == "alpha" for found in cache.remarks.values() for each in found):
        yield Remark("alpha", count, f"transparent image{'s' * (count > 1)} shown on {cache.background}", chosen)


def _remarks(bad: Sequence[tuple[str, ImageError]], images: Iterable[Remark]) -> Iterator[Remark]:
    """Yield what there is to be said of the images, remarks on each of which are given."""
    if bad:
        yield Remark("files", len(bad), f"cannot be used: {listed([name for name, _ in bad])}")
    counts = Counter[tuple[str, str]]()
    for each in images:
        counts[each.kind, each.detail] += each.count
    if negative := counts.pop(("negative", ""), 0):
        yield Remark("negative", negative, "negative pixels are shown black")
    if len(counts) > 1:
        how = " and ".join(f"{count} {detail}" for (_, detail), count in sorted(counts.items(), reverse=True))
        yield Remark("wide", counts.total(), f"images are taken by their largest values, {how}")
