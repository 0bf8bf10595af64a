"""Find the labeled images that a path stands for.

A folder of class folders; the same under `train/` and `val/` or `test/`; MNIST's four IDX files; CIFAR-10's binary
batches; a CSV of `path,label`; a feature file with labels. Classes are in sorted order, those of CIFAR-10 in its own.
Whatever is odd is found here, before anything is trained on it; only pixels are looked at later.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgtool.batch.inputs import images_below, path_text
from imgtool.datasets import feature_file
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError

TRAINING, HELD_OUT = "train", ("test", "val")
DIGITS = tuple("0123456789")
_CIFAR_RECORD = 1 + 3 * 32 * 32
_CIFAR_NAMES = "batches.meta.txt"
_DEFLATE_RATIO = 1032  # of unpacked to packed size at most, as zlib's documentation says


@dataclass(frozen=True)
class Parts:
    """A data set as it lies on disk: the training part; a held-out part, and a validation part beside it, if any."""

    train: Dataset
    test: Dataset | None
    validation: Dataset | None = None


def load_dataset(path: str | os.PathLike[str]) -> Parts:
    """Load a labeled data set.

    Parameters
    ----------
    path : str or path
        A folder of class folders; a folder with `train` and `val` or `test`, each with class folders; a folder of
        MNIST's IDX files or CIFAR-10's binary batches; a CSV of `path,label`; or a feature file with labels.

    Returns
    -------
    Parts
        `train` and `test`, each a `Dataset`; `test` is None if there is no held-out part. A `Dataset` has `classes`
        (names), `labels` (indices into them), `image(index)` (which reads the image), `counts()` and `subset`.

    Raises
    ------
    DataError
        The data set is missing or inconsistent: a class without images, a listed file that does not exist.

    Notes
    -----
    Classes are in sorted order; those of CIFAR-10 are in its own order. No image is decoded yet.

    Examples
    --------
    >>> import imgtool
    >>> parts = imgtool.load_dataset("sample_images/textures")
    >>> parts.train.classes
    ('brick', 'grass', 'gravel')
    >>> parts.train.image(0).shape
    (96, 96)
    """
    path = Path(path_text(path))
    try:
        return _load(path)
    except OSError as error:
        raise DataError(f"{error.filename or path}: {(error.strerror or str(error)).lower()}") from None


def open_parts(data: str | os.PathLike[str] | Parts | Dataset) -> Parts:
    """Return the parts of a data set that is named, or there already; a data set alone is a training part."""
    if isinstance(data, Parts):
        return data
    return Parts(data, None) if isinstance(data, Dataset) else load_dataset(data)


def _load(path: Path) -> Parts:
    """Try one format after the other."""
    if path.is_file() and path.suffix.lower() == ".csv" and not _is_feature_table(path):
        return Parts(_from_csv(path), None)
    if path.is_file() and path.suffix.lower() in feature_file.SUFFIXES:
        return Parts(_from_features(path), None)
    if not path.is_dir():
        raise DataError(f"{path}: is no data set: neither a folder, nor a CSV of path,label, nor a feature file")
    for loader in (_from_idx, _from_cifar, _from_parts):
        if parts := loader(path):
            return parts
    return Parts(_from_class_folders(path), None)


def _dataset(
    where: Path, items: Sequence[Path] | np.ndarray, labels: Sequence[int] | np.ndarray, classes: Sequence[str]
) -> Dataset:
    """Return the data set; what is wrong with it is said of the file or folder that it comes from."""
    if not len(items):
        raise DataError(f"{where}: holds no images")
    try:
        return Dataset(items, np.asarray(labels, np.int64), tuple(classes))
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _from_parts(folder: Path) -> Parts | None:
    """Read train/ and val/ or test/; val/ is for validation where there is test/ too."""
    names = [name for name in HELD_OUT if (folder / name).is_dir()]
    if not (folder / TRAINING).is_dir() or not names:
        return None
    train = _from_class_folders(folder / TRAINING)
    others = [_from_class_folders(folder / name) for name in names]
    for name, part in zip(names, others, strict=True):
        if train.classes != part.classes:
            strange = min(set(train.classes) ^ set(part.classes))
            raise DataError(f"{folder}: class {strange!r} is in only one of {TRAINING} and {name}")
    return Parts(train, *others)


def _from_class_folders(folder: Path) -> Dataset:
    """Read a folder in which each class has a folder of its own."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(names) < 2:
        raise DataError(f"{folder}: holds {len(names)} class folders; a data set needs two or more")
    items: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = list(images_below(str(folder / name)))
        if not found:
            raise DataError(f"{folder / name}: holds no images")
        items += map(Path, found)
        labels += [label] * len(found)
    return _dataset(folder, items, labels, names)


def _is_feature_table(path: Path) -> bool:
    """Tell a feature file in CSV, with its columns path,label,0,1,..., from a list of path,label."""
    with path.open("rb") as file:
        return file.readline(4096).removeprefix(codecs.BOM_UTF8).startswith(b"path,label,")


def _from_csv(path: Path) -> Dataset:
    """Read lines of path,label; paths are relative to the file; a first line "path,label" is a header."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from None
    if rows and [cell.lower() for cell in rows[0]] == ["path", "label"]:
        rows = rows[1:]
    if not rows or any(len(row) != 2 or not all(row) for row in rows):
        raise DataError(f"{path}: each line must hold a path and a label")
    items = [path.parent / row[0] for row in rows]
    missing = next((item for item in items if not item.is_file()), None)
    if missing is not None:
        raise DataError(f"{path}: names {missing}, which is no file")
    return _by_name(path, items, [row[1] for row in rows])


def _from_features(path: Path) -> Dataset:
    """Read a feature file in which each image has one vector and a label; its items are the vectors (N, D)."""
    table = feature_file.load(path)
    if table.offsets is not None:
        raise DataError(f"{path}: holds local descriptors; a data set needs one vector an image, such as fisher's")
    if not all(table.labels):
        raise DataError(f"{path}: holds images without a label; describe a folder of class folders to have them")
    return _by_name(path, table.features, table.labels)


def _by_name(path: Path, items: Sequence[Path] | np.ndarray, labels: Sequence[str]) -> Dataset:
    """Return a data set whose labels are given as names; they become classes in sorted order."""
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise DataError(f"{path}: holds {len(classes)} class; a data set needs two or more")
    numbers = {name: number for number, name in enumerate(classes)}
    return _dataset(path, items, [numbers[label] for label in labels], classes)


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
    return Parts(_dataset(folder, arrays[0], arrays[1], DIGITS), _dataset(folder, arrays[2], arrays[3], DIGITS))


def _idx(path: Path, dimensions: int) -> np.ndarray:
    """Read one IDX file of bytes, of which no more is unpacked than its header declares."""
    begin, packed = 4 + 4 * dimensions, path.suffix == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            header = file.read(begin)
            if len(header) < begin or header[:4] != bytes([0, 0, 8, dimensions]):
                raise DataError(f"{path}: is no IDX file of bytes in {dimensions} dimensions")
            shape = np.frombuffer(header, ">u4", dimensions, 4).tolist()
            size = math.prod(shape)
            if size > path.stat().st_size * (_DEFLATE_RATIO if packed else 1):
                raise DataError(f"{path}: is cut short: its header declares {size} bytes")
            data = file.read(size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: cannot be unpacked: {error}") from None
    if len(data) != size:
        found = "more" if len(data) > size else str(len(data))
        raise DataError(f"{path}: holds {found} bytes where its header declares {size}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _from_cifar(folder: Path) -> Parts | None:
    """Read CIFAR-10's binary version: records of a label and 32 x 32 pixels, plane by plane."""
    batches = sorted(folder.glob("data_batch_*.bin"))
    test, names = folder / "test_batch.bin", folder / _CIFAR_NAMES
    if not batches and not test.is_file():
        return None
    for path in (batches[0] if batches else folder / "data_batch_1.bin", test, names):
        if not path.is_file():
            raise DataError(f"{folder}: of CIFAR-10's files {path.name} is missing")
    classes = names.read_text(encoding="utf-8", errors="replace").split()
    return Parts(_cifar(batches, classes), _cifar([test], classes))


def _cifar(paths: Sequence[Path], classes: Sequence[str]) -> Dataset:
    """Read some batches."""
    records = []
    for path in paths:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        if not data.size or data.size % _CIFAR_RECORD:
            raise DataError(f"{path}: its size is no multiple of {_CIFAR_RECORD} bytes, one image of CIFAR-10")
        records.append(data.reshape(-1, _CIFAR_RECORD))
        if records[-1][:, 0].max() >= len(classes):
            raise DataError(f"{path}: holds label {records[-1][:, 0].max()}; {_CIFAR_NAMES} names {len(classes)}")
    table = np.concatenate(records)
    images = np.ascontiguousarray(table[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return _dataset(paths[0].parent, images, table[:, 0], classes)
