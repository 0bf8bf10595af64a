"""Features of many images in memory, or block by block as the writers of files take them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imgtool.errors import DataError


@dataclass(frozen=True)
class FeatureTable:
    """Features of N images.

    features: (N, D) float32, or (M, D) local descriptors with frames (M, F) float32 and offsets (N + 1) int64;
    paths, labels: N texts, a label "" where there is none; meta: descriptor, parameters, version.
    """

    features: np.ndarray
    paths: Sequence[str]
    labels: Sequence[str]
    meta: dict[str, Any] = field(default_factory=dict)
    frames: np.ndarray | None = None
    offsets: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        if self.features.ndim != 2 or self.features.dtype != np.float32:
            raise DataError(f"features must be (N, D) float32, got {self.features.shape} {self.features.dtype}")
        if not np.isfinite(self.features).all():
            raise DataError("features hold NaN or infinity")
        if len(self.paths) != len(self.labels):
            raise DataError(f"there are {len(self.paths)} paths and {len(self.labels)} labels")
        if (self.frames is None) != (self.offsets is None):
            raise DataError("frames and offsets go together")
        if self.frames is not None and self.offsets is not None:
            self._check_local(self.frames, self.offsets)
        elif len(self.features) != len(self.paths):
            raise DataError(f"there are {len(self.features)} rows of features and {len(self.paths)} paths")

    def _check_local(self, frames: np.ndarray, offsets: np.ndarray) -> None:
        """Check what only local descriptors have."""
        if frames.ndim != 2 or frames.dtype != np.float32 or len(frames) != len(self.features):
            raise DataError(f"frames must be ({len(self.features)}, F) float32, got {frames.shape} {frames.dtype}")
        if offsets.dtype != np.int64 or offsets.shape != (len(self.paths) + 1,):
            raise DataError(f"offsets must be ({len(self.paths) + 1},) int64, got {offsets.shape} {offsets.dtype}")
        if offsets[0] != 0 or offsets[-1] != len(self.features) or (np.diff(offsets) < 0).any():
            raise DataError(f"offsets must rise from 0 to {len(self.features)}")

    def rows(self, index: int) -> np.ndarray:
        """Return the features of one image: its local descriptors, or its vector as one row."""
        if self.offsets is None:
            return self.features[index : index + 1]
        return self.features[self.offsets[index] : self.offsets[index + 1]]

    def blocks(self) -> Blocks:
        """Return the table as writers take it."""
        frames, offsets = self.frames, self.offsets
        local = None if frames is None or offsets is None else Local(frames.shape[1], lambda: iter([frames]), offsets)
        names = lambda: zip(self.paths, self.labels, strict=True)  # noqa: E731
        return Blocks(len(self.paths), self.features.shape, lambda: iter([self.features]), names, self.meta, local)


@dataclass(frozen=True)
class Local:
    """What only local descriptors have: frames of `width` numbers, in blocks, and offsets (N + 1) int64."""

    width: int
    frames: Callable[[], Iterator[np.ndarray]]
    offsets: np.ndarray


@dataclass(frozen=True)
class Blocks:
    """A table as writers take it: block by block, as often as they ask, so that it need not be in memory.

    images: N; shape: (rows, D) of all features; features: yields (n, D) float32 arrays that are `rows` high together;
    names: yields N pairs of path and label.
    """

    images: int
    shape: tuple[int, ...]
    features: Callable[[], Iterator[np.ndarray]]
    names: Callable[[], Iterator[tuple[str, str]]]
    meta: dict[str, Any]
    local: Local | None = None


def merged(tables: Sequence[FeatureTable], names: Sequence[str]) -> FeatureTable:
    """Return the images of all tables, one table after the other.

    names: of the files, for errors. Raises DataError when two were made by different descriptors or parameters.
    """
    first = tables[0]
    for table, name in zip(tables, names, strict=True):
        kinds = [(each.meta.get("descriptor"), each.meta.get("parameters")) for each in (first, table)]
        shapes = [(each.features.shape[1], each.offsets is None) for each in (first, table)]
        if kinds[0] != kinds[1] or shapes[0] != shapes[1]:
            raise DataError(f"{name}: was not made as {names[0]} was: {_kind(table)} instead of {_kind(first)}")
    frames = offsets = None
    if first.frames is not None:
        frames = np.concatenate([each.frames for each in tables if each.frames is not None])
        counts = [np.diff(each.offsets) for each in tables if each.offsets is not None]
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
    paths, labels = [p for each in tables for p in each.paths], [label for each in tables for label in each.labels]
    return FeatureTable(np.concatenate([each.features for each in tables]), paths, labels, first.meta, frames, offsets)


def _kind(table: FeatureTable) -> str:
    """Say how a table was made."""
    parameters = json.dumps(table.meta.get("parameters"), sort_keys=True)
    return f"{table.meta.get('descriptor')} of {table.features.shape[1]} numbers {parameters}"
