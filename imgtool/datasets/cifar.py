"""CIFAR-10's and CIFAR-100's binary versions (Krizhevsky, 2009): records of labels and 32 x 32 pixels, by planes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imgtool.errors import DataError
from imgtool.files import TEXT_BYTES, read_regular

_PIXEL_BYTES = 3 * 32 * 32


class Kind(NamedTuple):
    """A version's files: the test part's, the names of its classes, a file of the training part, labels of a record.

    pickled: names of the version for Python, which is not read; download: of the one that is.
    """

    title: str
    training: str
    first: str
    test: str
    names: str
    labels: int
    pickled: tuple[str, ...]
    download: str


KINDS = (
    Kind("CIFAR-10", "data_batch_*.bin", "data_batch_1.bin", "test_batch.bin", "batches.meta.txt", 1,
         ("data_batch_1", "batches.meta"), "cifar-10-binary.tar.gz"),
    Kind("CIFAR-100", "train.bin", "train.bin", "test.bin", "fine_label_names.txt", 2,
         ("train", "test", "meta"), "cifar-100-binary.tar.gz"),
)  # fmt: skip


def has_cifar(names: Sequence[str]) -> bool:
    """Tell whether names of files are those of CIFAR's binary batches."""
    return any(kind.test in names or kind.first in names for kind in KINDS)


def cifar_parts(folder: Path) -> tuple[list[tuple[np.ndarray, np.ndarray]], tuple[str, ...]] | None:
    """Return images and labels of the training part and of the test part, and the classes; None where there are none.

    Raises DataError where a file is missing or broken, or where the batches are pickled.
    """
    for kind in KINDS:
        training = sorted(folder.glob(kind.training))
        if training or (folder / kind.test).is_file():
            return _read(folder, kind, training)
        if all((folder / name).is_file() for name in kind.pickled):
            raise DataError(
                f"{folder}: holds {kind.title}'s pickled batches, which are not read, since reading a pickle runs what "
                f"is in it; the binary version is: {kind.download}"
            )
    return None


def _read(
    folder: Path, kind: Kind, training: Sequence[Path]
) -> tuple[list[tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    """Read both parts."""
    test, names = folder / kind.test, folder / kind.names
    for path in (training[0] if training else folder / kind.first, test, names):
        if not path.is_file():
            raise DataError(f"{folder}: of {kind.title}'s files {path.name} is missing")
    classes = tuple(read_regular(names, TEXT_BYTES).decode(errors="replace").split())
    return [_batches(training, kind, classes), _batches([test], kind, classes)], classes


def _batches(paths: Sequence[Path], kind: Kind, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, 32, 32, 3) and the finer labels (n,) of some files."""
    records, length = [], kind.labels + _PIXEL_BYTES
    for path in paths:
        data = np.frombuffer(read_regular(path), np.uint8)
        if not data.size or data.size % length:
            raise DataError(f"{path}: its size is no multiple of {length} bytes, one image of {kind.title}")
        records.append(data.reshape(-1, length))
        if (largest := records[-1][:, kind.labels - 1].max()) >= len(classes):
            raise DataError(f"{path}: holds label {largest}; {kind.names} names {len(classes)}")
    table = np.concatenate(records)
    images = np.ascontiguousarray(table[:, kind.labels :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, table[:, kind.labels - 1]
