"""Labeled images, read when they are needed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from imgtool.datasets.cache import ImageCache, hash_of, image_bytes, read_flat
from imgtool.errors import DataError, ImageError, ParameterError
from imgtool.image.alpha import WHITE, flatten, has_alpha
from imgtool.image.equality import Key, pixels_key
from imgtool.image.levels import as_levels


@dataclass(frozen=True)
class Made:
    """How the vectors of a data set were made: the feature file that they come from, its meta, the images' paths."""

    path: Path
    meta: Mapping[str, Any]
    images: Sequence[Path]


@dataclass(frozen=True)
class Dataset:
    """items: paths or arrays, of images or (N, D) vectors; labels: (N,) indices into classes; classes: names.

    A data set of vectors comes from a feature file, and made says how; models that look at images refuse it. cache:
    where files are read once, shared by the parts of a data set; see `with_cache`. background: the color that
    transparent images are shown on, None for white that nobody chose; see `on`.
    """

    items: Sequence[Path] | Sequence[np.ndarray] | np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    cache: ImageCache | None = field(default=None, compare=False, repr=False)
    background: str | None = None
    made: Made | None = field(default=None, compare=False)

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
        """Return one image as models take it (`image.levels`), without alpha: transparent ones show its background.

        Raises ImageError, naming the file; DataError in a data set of vectors.
        """
        image = self.raw(index)
        with self.naming(index):
            return as_levels(image)

    def raw(self, index: int) -> np.ndarray:
        """Return one image in the type that it is stored in, without alpha. Raises as `image` does."""
        item = self.items[index]
        if isinstance(item, np.ndarray):
            self.require_image(index)
            return flatten(item, self.background or WHITE) if has_alpha(item.shape) else item
        if self.cache is not None:
            return self.cache.image(Path(item))
        with self.naming(index):
            return read_flat(image_bytes(Path(item)), self.background or WHITE)

    def require_image(self, index: int = 0) -> None:
        """Raise DataError for a vector, which only data sets have that are all vectors."""
        item = self.items[index]
        if isinstance(item, np.ndarray) and item.ndim < 2:
            error = DataError("the data set holds vectors, and this needs images", hint="vectors")
            raise error.within(str(self.made.path)) if self.made else error

    def name(self, index: int) -> str:
        """Return the path of an image, or its number."""
        item = self.items[index]
        return f"#{index}" if isinstance(item, np.ndarray) else str(item)

    @contextmanager
    def naming(self, index: int) -> Iterator[None]:
        """Put an image's name before what makes it unfit."""
        try:
            yield
        except ImageError as error:
            raise error.within(self.name(index)) from None

    def with_cache(self, cache: ImageCache) -> Self:
        """Return the same data set, which reads each file once."""
        return self._replace(("hashes", "keys"), cache=cache)

    def on(self, background: str) -> Self:
        """Return the same data set, whose transparent images are shown on a color; ParameterError for vectors."""
        if self.made is not None:
            text = f"background: {self.made.path} holds vectors, whose images were shown on one already"
            raise ParameterError(text, parameters=("background",))
        return self._replace(("hashes",), cache=None, background=background)

    def _replace(self, kept: tuple[str, ...], **changes: Any) -> Self:
        """Return the same data set with changes, and what it knows of its images."""
        other = replace(self, **changes)
        vars(other).update({known: vars(self)[known] for known in kept if known in vars(self)})
        return other

    def subset(self, indices: np.ndarray) -> Dataset:
        """Return some of the images, in the order of the indices."""
        items = self.items[indices] if isinstance(self.items, np.ndarray) else [self.items[index] for index in indices]
        made = self.made and replace(self.made, images=[self.made.images[index] for index in indices])
        part = replace(self, items=items, labels=self.labels[indices], made=made)
        for known in {"hashes", "keys"} & vars(self).keys():
            vars(part)[known] = [getattr(self, known)[index] for index in indices]
        return part

    def counts(self) -> dict[str, int]:
        """Return how many images each class has."""
        numbers = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(number) for name, number in zip(self.classes, numbers, strict=True)}

    @cached_property
    def hashes(self) -> list[bytes]:
        """The SHA-256 of each item's bytes, computed once; of vectors, of the images' where all can still be read."""
        if self.made and all(map(os.path.isfile, self.made.images)):
            with suppress(ImageError):
                return [self._hash(path) for path in self.made.images]
        return [self._hash(item) for item in self.items]

    def _hash(self, item: Path | np.ndarray) -> bytes:
        """Return the SHA-256 of an array's or a file's bytes."""
        if isinstance(item, np.ndarray):
            return hashlib.sha256(item.tobytes()).digest()
        return self.cache.sha256(Path(item)) if self.cache else hash_of(Path(item))

    @cached_property
    def keys(self) -> list[Key]:
        """A key of each item's pixels, equal for equal ones; `survey` sets them."""
        items = (item if isinstance(item := self.items[at], np.ndarray) else self.raw(at) for at in range(len(self)))
        return [pixels_key(item) for item in items]

    def digest(self) -> str:
        """Return a hash over classes, labels and the bytes of every image, in order."""
        total = hashlib.sha256(repr((self.classes, self.labels.tolist())).encode())
        for each in self.hashes:
            total.update(each)
        return total.hexdigest()
