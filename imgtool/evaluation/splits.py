"""Which images models are trained on, and which they are measured on: the same for every model of a table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import Parts
from imgtool.datasets.split import few_of_each, fold_numbers, require_divisible, split
from imgtool.datasets.survey import checked
from imgtool.events import Events
from imgtool.remarks import Remark

Data = str | os.PathLike[str] | Parts | Dataset


@dataclass(frozen=True)
class Split:
    """test: the held-out images; train: those to learn from, None where nothing is trained.

    whole: what both were drawn from, None where the data came with a held-out part. share, seed: how they were drawn.
    places: of a fold, where its held-out images stand in the whole.
    """

    test: Dataset
    train: Dataset | None = None
    whole: Dataset | None = None
    share: float | None = None
    seed: int = 0
    places: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def digests(self) -> dict[str, str]:
        """Return the hash of each part."""
        return {name: part.digest() for name, part in self.parts().items()}

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Return how many images each class has in each part."""
        return {name: part.counts() for name, part in self.parts().items()}

    @cached_property
    def test_digests(self) -> set[str]:
        """Hashes of data sets that contain all held-out images; a model trained on one of them has seen the images."""
        return {part.digest() for part in (self.test, self.whole) if part is not None}

    def parts(self) -> dict[str, Dataset]:
        """Return the parts by name, the training part first."""
        return {name: part for name, part in (("train", self.train), ("test", self.test)) if part is not None}


def holdout(parts: Parts, share: float, seed: int) -> Split:
    """Return the data set's own split, or hold out this share of each class at random."""
    parts.require_training()
    if parts.test is not None:
        return Split(parts.test, parts.train, seed=seed)
    if isinstance(parts.train.items, np.ndarray):
        _ = parts.train.hashes  # of arrays, before they are divided: the parts take theirs along
    train, test = split(parts.train, share, seed)
    return Split(test, train, parts.train, share, seed)


def in_folds(parts: Parts, folds: int, seed: int) -> tuple[Split, list[Split]]:
    """Return what is measured, which is all of the training part, and how it is divided, each image held out once."""
    whole = parts.require_training()
    require_divisible(whole)
    _ = whole.hashes  # before it is divided: the parts take theirs along
    numbers = fold_numbers(whole.labels, folds, seed)
    return Split(whole, seed=seed), [
        Split(
            whole.subset(np.flatnonzero(numbers == number)), whole.subset(np.flatnonzero(numbers != number)),
            seed=seed, places=np.flatnonzero(numbers == number),
        )
        for number in range(folds)
    ]  # fmt: skip


def with_few_of_each(split: Split, count: int) -> Split:
    """Return the split with so many training images of each class, which are among those of a larger count."""
    assert split.train is not None
    return replace(split, train=split.train.subset(few_of_each(split.train.labels, count, split.seed)))


def evaluation_split(
    parts: Parts, *, skip_bad: bool = False, events: Events | None = None
) -> tuple[Split, tuple[Remark, ...]]:
    """Return the split for models that are trained already, and remarks on what its images lack.

    It is the held-out part where there is one, else all images; only these are looked at.
    """
    held_out = Parts(parts.train if parts.test is None else parts.test, None, checked=parts.checked)
    found = checked(held_out, skip_bad=skip_bad, to_train=False, events=events)
    return Split(found.train), found.remarks
