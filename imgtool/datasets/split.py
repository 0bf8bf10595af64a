"""Divide a data set at random, class by class."""

from __future__ import annotations

import numpy as np

from imgtool.arrays import real_number
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError, ParameterError


def split_indices(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (rest, part): sorted indices, of which `part` holds this share of each class, at least one of each.

    Raises DataError when a class has a single image.
    """
    share = real_number(share, "the share")
    if not 0 < share < 1:
        raise ParameterError(f"the share must lie between 0 and 1, got {share}")
    generator = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        if len(members) < 2:
            raise DataError(f"class {label} has a single image; a class needs two to be divided")
        chosen.append(members[: min(len(members) - 1, max(1, round(share * len(members))))])
    part = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(labels)), part), part


def split(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Return (rest, part) of a data set, stratified, each in the data set's own order."""
    for label, (name, count) in enumerate(dataset.counts().items()):
        if count == 1:
            image = dataset.name(int(np.flatnonzero(dataset.labels == label)[0]))
            raise DataError(f"class {name!r} has a single image, {image}; a class needs two to be divided")
    rest, part = split_indices(dataset.labels, share, seed)
    return dataset.subset(rest), dataset.subset(part)
