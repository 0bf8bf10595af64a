"""Feature files: one vector for each image, or local descriptors of each, with paths, labels and how they were made.

`.npz` holds `features` (N, D) float32, `paths` (N), `labels` (N, empty text for no label) and `meta`, a JSON text with
a format number. Local descriptors stand one after the other as (M, D) with `frames` (M, F) and `offsets` (N + 1): those
of image n are rows offsets[n] to offsets[n + 1]. `.npy` holds the features alone; `.csv` the columns path, label, 0,
1, ...; `.jsonl` one object an image; `.parquet` the columns path, label, features, and meta. Nothing is ever
unpickled, and every field is checked. The meta of `.npz` and `.parquet` holds a digest of all that is read, which is
checked too; the other formats have no room for one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePath
from typing import BinaryIO

import numpy as np

from imgtool.batch.outputs import new_file
from imgtool.batch.places import is_special
from imgtool.datasets.feature_file import numpy_files, parquet, text_files
from imgtool.datasets.feature_file.table import Blocks, FeatureTable, merge
from imgtool.errors import DataError, ParameterError

__all__ = [
    "SUFFIXES",
    "FeatureTable",
    "check_suffix",
    "finisher",
    "load",
    "merge",
    "read_blocks",
    "rows_offset",
    "save",
    "write",
]

_WRITERS = {
    ".npz": numpy_files.write_npz,
    ".npy": numpy_files.write_npy,
    ".csv": text_files.write_csv,
    ".jsonl": text_files.write_jsonl,
    ".parquet": parquet.write_parquet,
}
_READERS = {
    ".npz": numpy_files.read_npz,
    ".npy": numpy_files.read_npy,
    ".csv": text_files.read_csv,
    ".jsonl": text_files.read_jsonl,
    ".parquet": parquet.read_parquet,
}
# Formats that hold features as rows of float32: how many bytes before them, and what writes the rest.
_IN_PLACE = {
    ".npz": (numpy_files.NPZ_HEADER_BYTES, numpy_files.finish_npz),
    ".npy": (numpy_files.NPY_HEADER_BYTES, numpy_files.finish_npy),
}
SUFFIXES = tuple(_WRITERS)


def check_suffix(path: str | os.PathLike[str], *, local: bool = False) -> str:
    """Return the suffix of a feature file. Raises ParameterError for a name that no feature file can have.

    Raises MissingExtraError when pyarrow is needed and not there.
    local: it is to hold local descriptors.
    """
    suffix = PurePath(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ParameterError(f"{os.fspath(path)}: a feature file ends in {', '.join(SUFFIXES)}")
    if suffix == ".parquet":
        parquet.require()
    if local and suffix != ".npz":
        raise ParameterError(f"{os.fspath(path)}: local descriptors are stored as .npz only")
    return suffix


def save(path: str | os.PathLike[str], table: FeatureTable, *, overwrite: bool = False) -> None:
    """Write a table in the form that the name's suffix says, whole or not at all; equal tables give equal bytes."""
    write(path, table.blocks(), overwrite=overwrite)


def write(path: str | os.PathLike[str], table: Blocks, *, overwrite: bool = False) -> None:
    """Write a table that comes in blocks; the bytes are those of `save`."""
    suffix = check_suffix(path, local=table.local is not None)
    with new_file(path, overwrite=overwrite) as file:
        _WRITERS[suffix](file, table)


def rows_offset(path: str) -> int:
    """Return how many bytes come before the features of a file that is made from its rows; 0 for one that is not."""
    return _IN_PLACE[suffix][0] if (suffix := check_suffix(path)) in _IN_PLACE else 0


def finisher(path: str) -> Callable[[BinaryIO, Blocks, int], None] | None:
    """Return what completes a file that holds the features in their place, given their CRC-32; None if nothing does."""
    return _IN_PLACE[suffix][1] if (suffix := check_suffix(path)) in _IN_PLACE and not is_special(path) else None


def load(path: str | os.PathLike[str]) -> FeatureTable:
    """Read a table. Raises DataError when the file is not a whole, consistent feature file."""
    return read_blocks(path).table()


def read_blocks(path: str | os.PathLike[str]) -> Blocks:
    """Return a table whose numbers are read block by block, each time that they are asked for.

    Of csv and jsonl all is read at once. Raises DataError, as the blocks do, when the file is not a whole, consistent
    feature file: what holds of numbers, and checksums, is found out when they are read.
    """
    name = os.fspath(path)
    suffix = check_suffix(path)
    with _name_in_errors(name):
        table = _READERS[suffix](name)
    local = table.local and replace(table.local, frames=_with_name(name, table.local.frames))
    return replace(table, features=_with_name(name, table.features), local=local)


def _with_name(name: str, blocks: Callable[[], Iterator[np.ndarray]]) -> Callable[[], Iterator[np.ndarray]]:
    """Return what yields the same blocks, with the file's name in errors."""

    def blocks_with_name() -> Iterator[np.ndarray]:
        with _name_in_errors(name):
            yield from blocks()

    return blocks_with_name


@contextmanager
def _name_in_errors(name: str) -> Iterator[None]:
    """Put the file's name before what is wrong with it."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{name}: {(error.strerror or str(error)).lower()}") from None
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
