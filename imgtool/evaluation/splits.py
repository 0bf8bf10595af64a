"""Which images models are trained on, and which they are measured on: the same for every model of a table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import Parts
from imgtool.datasets.split import split
from imgtool.datasets.survey import checked
from imgtool.events import Events
from imgtool.remarks import Remark

Data = str | os.PathLike[str] | Parts | Dataset


@dataclass(frozen=True)
class Split:
    """test: the held-out images; train: those to learn from, None where nothing is trained.

    whole: what both were drawn from, None where the data came with a held-out part. share, seed: how they were drawn.
    """

    test: Dataset
    train: Dataset | None = None
    whole: Dataset | None = None
    share: float | None = None
    seed: int = 0

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


def evaluation_split(
    parts: Parts, *, skip_bad: bool = False, events: Events | None = None
) -> tuple[Split, tuple[Remark, ...]]:
    """Return the split for models that are trained already, and remarks on what its images lack.

    It is the held-out part where there is one, else all images; only these are looked at.
    """
    held_out = Parts(parts.train if parts.test is None else parts.test, None, checked=parts.checked)
    found = checked(held_out, skip_bad=skip_bad, to_train=False, events=events)
    return Split(found.train), found.remarks
