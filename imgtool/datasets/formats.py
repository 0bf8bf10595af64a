"""Find the labelled images that a path stands for.

A folder of class folders; the same under `train/` and `val/` or `test/`; MNIST's four IDX files; CIFAR-10's binary
batches; a CSV of `path,label`. Classes of folders and CSV are in sorted order.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgtool.batch.inputs import expand
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError, ParameterError

TRAINING, HELD_OUT = "train", ("test", "val")
DIGITS = tuple("0123456789")
_CIFAR_RECORD = 1 + 3 * 32 * 32


@dataclass(frozen=True)
class Parts:
    """A data set as it lies on disk: the training part, and the held-out part if it comes with one."""

    train: Dataset
    test: Dataset | None


def load(path: Path) -> Parts:
    """Return the data set at a path. Raises DataError when there is none, or it makes no sense."""
    if path.is_file() and path.suffix.lower() == ".csv":
        return Parts(_from_csv(path), None)
    if not path.is_dir():
        raise DataError(f"{path}: is no data set: neither a folder nor a CSV of path,label")
    for loader in (_from_idx, _from_cifar, _from_parts):
        if parts := loader(path):
            return parts
    return Parts(_from_class_folders(path), None)


def _from_parts(folder: Path) -> Parts | None:
    """Read train/ and val/ or test/."""
    held_out = [name for name in HELD_OUT if (folder / name).is_dir()]
    if not (folder / TRAINING).is_dir() or not held_out:
        return None
    train, test = _from_class_folders(folder / TRAINING), _from_class_folders(folder / held_out[0])
    if train.classes != test.classes:
        strange = min(set(train.classes) ^ set(test.classes))
        raise DataError(f"{folder}: class {strange!r} is in only one of {TRAINING} and {held_out[0]}")
    return Parts(train, test)


def _from_class_folders(folder: Path) -> Dataset:
    """Read a folder in which each class has a folder of its own."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(names) < 2:
        raise DataError(f"{folder}: holds {len(names)} class folders; a data set needs two or more")
    items: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        try:
            found = [Path(each.path) for each in expand([str(folder / name)])]
        except ParameterError:
            raise DataError(f"{folder / name}: holds no images") from None
        items += found
        labels += [label] * len(found)
    return Dataset(items, np.array(labels, np.int64), tuple(names))


def _from_csv(path: Path) -> Dataset:
    """Read lines of path,label; paths are relative to the file; a first line "path,label" is a header."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from None
    if rows and [cell.strip().lower() for cell in rows[0]] == ["path", "label"]:
        rows = rows[1:]
    if not rows or any(len(row) != 2 or not row[1].strip() for row in rows):
        raise DataError(f"{path}: each line must hold a path and a label")
    classes = tuple(sorted({row[1].strip() for row in rows}))
    if len(classes) < 2:
        raise DataError(f"{path}: holds one class; a data set needs two or more")
    labels = np.array([classes.index(row[1].strip()) for row in rows], np.int64)
    return Dataset([path.parent / row[0] for row in rows], labels, classes)


def _from_idx(folder: Path) -> Parts | None:
    """Read MNIST's four files, plain or compressed (LeCun et al., the IDX format)."""
    names = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    found = [
        next((folder / (name + end) for end in ("", ".gz") if (folder / (name + end)).is_file()), None)
        for name in names
    ]
    if not any(found):
        return None
    if not all(found):
        raise DataError(f"{folder}: of MNIST's files {names[found.index(None)]} is missing")
    arrays = [_idx(path, 3 if index % 2 == 0 else 1) for index, path in enumerate(found) if path]
    return Parts(
        Dataset(arrays[0], arrays[1].astype(np.int64), DIGITS), Dataset(arrays[2], arrays[3].astype(np.int64), DIGITS)
    )


def _idx(path: Path, dimensions: int) -> np.ndarray:
    """Read one IDX file of bytes."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    begin = 4 + 4 * dimensions
    if len(data) < begin or data[:4] != bytes([0, 0, 8, dimensions]):
        raise DataError(f"{path}: is no IDX file of bytes in {dimensions} dimensions")
    shape = np.frombuffer(data, ">u4", dimensions, 4).astype(int)
    if len(data) - begin != int(np.prod(shape)):
        raise DataError(f"{path}: holds {len(data) - begin} bytes where its header says {int(np.prod(shape))}")
    return np.frombuffer(data, np.uint8, offset=begin).reshape(shape)


def _from_cifar(folder: Path) -> Parts | None:
    """Read CIFAR-10's binary version: records of a label and 32 x 32 pixels, plane by plane."""
    batches = sorted(folder.glob("data_batch_*.bin"))
    test = folder / "test_batch.bin"
    if not batches or not test.is_file():
        return None
    names = folder / "batches.meta.txt"
    classes = tuple(names.read_text().split()) if names.is_file() else DIGITS
    return Parts(_cifar(batches, classes), _cifar([test], classes))


def _cifar(paths: Sequence[Path], classes: tuple[str, ...]) -> Dataset:
    """Read some batches."""
    records = []
    for path in paths:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        if not data.size or data.size % _CIFAR_RECORD:
            raise DataError(f"{path}: its size is no multiple of {_CIFAR_RECORD} bytes, one image of CIFAR-10")
        records.append(data.reshape(-1, _CIFAR_RECORD))
    table = np.concatenate(records)
    images = np.ascontiguousarray(table[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return Dataset(images, table[:, 0].astype(np.int64), classes)
