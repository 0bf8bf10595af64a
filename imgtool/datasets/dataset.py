"""Labeled images, read when they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgtool.errors import DataError, ImageError
from imgtool.image import read


@dataclass(frozen=True)
class Dataset:
    """items: paths or arrays, of images or (N, D) vectors; labels: (N,) indices into classes; classes: names.

    A data set of vectors comes from a feature file; models that look at images refuse it.
    """

    items: Sequence[Path] | Sequence[np.ndarray] | np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.items) != len(self.labels):
            raise DataError(f"{len(self.items)} images have {len(self.labels)} labels")
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"class names must differ, got {', '.join(self.classes)}")
        wrong = self.labels[(self.labels < 0) | (self.labels >= len(self.classes))]
        if len(wrong):
            raise DataError(f"label {wrong[0]} is none of 0 to {len(self.classes) - 1}")

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> np.ndarray:
        """Return one image as an array. Raises ImageError, naming the file; DataError in a data set of vectors."""
        item = self.items[index]
        if isinstance(item, np.ndarray):
            if item.ndim < 2:
                raise DataError("the data set holds vectors, and this needs images")
            return item
        try:
            return read(item)
        except ImageError as error:
            raise ImageError(f"{item}: {error}") from None

    def name(self, index: int) -> str:
        """Return the path of an image, or its number."""
        item = self.items[index]
        return f"#{index}" if isinstance(item, np.ndarray) else str(item)

    def subset(self, indices: np.ndarray) -> Dataset:
        """Return some of the images, in the order of the indices."""
        if isinstance(self.items, np.ndarray):
            return Dataset(self.items[indices], self.labels[indices], self.classes)
        return Dataset([self.items[index] for index in indices], self.labels[indices], self.classes)

    def counts(self) -> dict[str, int]:
        """Return how many images each class has."""
        numbers = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(number) for name, number in zip(self.classes, numbers, strict=True)}

    def digest(self) -> str:
        """Return a hash over classes, labels and the bytes of every image, in order."""
        total = hashlib.sha256(repr((self.classes, self.labels.tolist())).encode())
        for item in self.items:
            data = item.tobytes() if isinstance(item, np.ndarray) else Path(item).read_bytes()
            total.update(hashlib.sha256(data).digest())
        return total.hexdigest()
