"""Features of many images in memory, or block by block as the writers of files take them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from imgtool.errors import DataError
from imgtool.text import is_writable


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
        check_parts(self.features, self.paths, self.labels, self.frames, self.offsets)
        _require_finite(self.features)

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

    def table(self) -> FeatureTable:
        """Return all of it in memory."""
        names, local = list(self.names()), self.local
        return FeatureTable(
            _whole(self.shape, self.features()),
            [path for path, _ in names],
            [label for _, label in names],
            self.meta,
            _whole((self.shape[0], local.width), local.frames()) if local else None,
            local.offsets if local else None,
        )


def _whole(shape: tuple[int, ...], blocks: Iterator[np.ndarray]) -> np.ndarray:
    """Return the rows of all blocks."""
    rows, end = np.empty(shape, np.float32), 0
    for block in blocks:
        rows[end : end + len(block)] = block
        end += len(block)
    return rows


class Header(NamedTuple):
    """What a file says of an array that is not read yet: shape, numbers as they are stored, columns first or not."""

    shape: tuple[int, ...]
    stored: np.dtype
    fortran: bool = False

    @property
    def dtype(self) -> np.dtype:
        """The numbers in the order of bytes of this machine."""
        return self.stored.newbyteorder("=")


def check_parts(
    features: np.ndarray | Header,
    paths: Sequence[str],
    labels: Sequence[str],
    frames: np.ndarray | Header | None = None,
    offsets: np.ndarray | None = None,
) -> None:
    """Raise DataError when parts of a table do not fit together, whether their numbers are read yet or not."""
    if len(features.shape) != 2 or features.dtype != np.float32 or not features.shape[1]:
        raise DataError(f"features must be (N, D) float32, D at least 1, got {features.shape} {features.dtype}")
    if len(paths) != len(labels):
        raise DataError(f"there are {len(paths)} paths and {len(labels)} labels")
    if odd := next((each for each in itertools.chain(paths, labels) if not is_writable(each)), None):
        raise DataError(f"holds a path or label that is no text, {odd!r}")
    if (frames is None) != (offsets is None):
        raise DataError("frames and offsets go together")
    rows = features.shape[0]
    if frames is not None and offsets is not None:
        _check_local(rows, len(paths), frames, offsets)
    elif rows != len(paths):
        raise DataError(f"there are {rows} rows of features and {len(paths)} paths")


def _check_local(rows: int, images: int, frames: np.ndarray | Header, offsets: np.ndarray) -> None:
    """Check what only local descriptors have."""
    if len(frames.shape) != 2 or frames.dtype != np.float32 or frames.shape[0] != rows:
        raise DataError(f"frames must be ({rows}, F) float32, got {frames.shape} {frames.dtype}")
    if offsets.dtype != np.int64 or offsets.shape != (images + 1,):
        raise DataError(f"offsets must be ({images + 1},) int64, got {offsets.shape} {offsets.dtype}")
    if offsets[0] != 0 or offsets[-1] != rows or (np.diff(offsets) < 0).any():
        raise DataError(f"offsets must rise from 0 to {rows}")


def check_blocks(blocks: Iterator[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    """Yield blocks of features as they are read. Raises DataError for NaN and infinity, or other than so many rows."""
    left = rows
    for block in blocks:
        _require_finite(block)
        left -= len(block)
        if left < 0:
            break
        yield block
    if left:
        raise DataError(f"holds other than {rows} rows of features")


def _require_finite(features: np.ndarray) -> None:
    if not np.isfinite(features).all():
        raise DataError("features hold NaN or infinity")


def merge(tables: Sequence[Blocks], names: Sequence[str]) -> Blocks:
    """Return the images of all tables, one table after the other.

    names: of the files, for errors. Raises DataError when two were made by different descriptors or parameters.
    """
    first = tables[0]
    for table, name in zip(tables, names, strict=True):
        if _kind(table) != _kind(first):
            raise DataError(f"{name}: was not made as {names[0]} was: {_kind(table)} instead of {_kind(first)}")
    chain, parts, local = itertools.chain.from_iterable, [each.local for each in tables if each.local], None
    if parts:
        counts = np.concatenate([np.diff(each.offsets) for each in parts])
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        local = Local(parts[0].width, lambda: chain(each.frames() for each in parts), offsets)
    return Blocks(
        sum(each.images for each in tables),
        (sum(each.shape[0] for each in tables), first.shape[1]),
        lambda: chain(each.features() for each in tables),
        lambda: chain(each.names() for each in tables),
        first.meta,
        local,
    )


def _kind(table: Blocks) -> str:
    """Say how a table was made."""
    parameters = json.dumps(table.meta.get("parameters"), sort_keys=True)
    frames = f" with frames of {table.local.width}" if table.local else ""
    return f"{table.meta.get('descriptor')} of {table.shape[1]} numbers{frames} {parameters}"
