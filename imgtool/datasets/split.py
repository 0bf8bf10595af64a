"""Divide a data set at random, class by class."""

from __future__ import annotations

import numpy as np

from imgtool.arrays import real_number, whole_number
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


def fold_numbers(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return (n,) which of so many folds, from 0, holds each image: every class is spread over them evenly.

    Sizes of the folds differ by one at most, and so do those of each class in them. Raises ParameterError for fewer
    folds than two or more than images.
    """
    folds = whole_number(folds, "folds", low=2)
    if folds > len(labels):
        raise ParameterError(f"folds must be at most {len(labels)}, the number of images; got {folds}")
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)])
    numbers = np.empty(len(labels), np.int64)
    numbers[order] = np.arange(len(labels)) % folds
    return numbers


def few_of_each(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the sorted indices of so many images of each class, of smaller classes all; fewer are among more."""
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(np.flatnonzero(labels == label))[:count] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


def split(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Return (rest, part) of a data set, stratified, each in the data set's own order."""
    require_divisible(dataset)
    rest, part = split_indices(dataset.labels, share, seed)
    return dataset.subset(rest), dataset.subset(part)


def require_divisible(dataset: Dataset) -> None:
    """Raise DataError for a class of a single image."""
    for label, (name, count) in enumerate(dataset.counts().items()):
        if count == 1:
            image = dataset.name(int(np.flatnonzero(dataset.labels == label)[0]))
            raise DataError(f"class {name!r} has a single image, {image}; a class needs two to be divided")
