"""Say what a path is that is no data set, and what would be taken in its place."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from imgtool.datasets.cifar import KINDS, has_cifar
from imgtool.datasets.folders import TAKEN, Listing, look
from imgtool.datasets.idx import has_idx
from imgtool.errors import DataError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".7z", ".rar")
STORES = {
    ".pkl": "a pickle", ".pickle": "a pickle", ".pt": "a file of PyTorch", ".pth": "a file of PyTorch",
    ".mat": "a file of MATLAB", ".h5": "an HDF5 file", ".hdf5": "an HDF5 file", ".tfrecord": "a TFRecord file",
    ".arrow": "an Arrow file", ".mdb": "an LMDB store",
}  # fmt: skip
SEARCHED_FOLDERS = 200  # for a data set that lies deeper
SEARCHED_DEPTH = 3
FILES = "MNIST's or EMNIST's IDX files, CIFAR's binary batches, a CSV of path,label, or a feature file with labels"


def refuse_file(path: Path) -> DataError:
    """Return the error for a path that is no folder and no list or feature file."""
    name = path.name.lower()
    if not path.exists():
        return DataError(f"{path}: no such file or folder")
    if name.endswith(ARCHIVES):
        return DataError(f"{path}: is an archive; unpack it first: {TAKEN}")
    if has_idx([name]):
        return DataError(f"{path}: is one of several IDX files; the folder that holds them is taken: {path.parent}")
    if has_cifar([name]):
        return DataError(f"{path}: is one of CIFAR's batches; the folder that holds them is taken: {path.parent}")
    if kind := next((kind for end, kind in STORES.items() if name.endswith(end)), None):
        return DataError(f"{path}: is {kind}, which is not read; {TAKEN}; and {FILES}")
    return DataError(f"{path}: is no data set: neither a folder, nor a CSV of path,label, nor a feature file")


def refuse_folder(folder: Path, here: Listing, classes: int) -> DataError:
    """Return the error for a folder with fewer than two class folders, or without images."""
    if deeper := _data_set_below(folder):
        place, kind, fate = deeper
        return DataError(f"{folder}: holds no class folders with images; {kind} lie in {place}, which is {fate}")
    files = Counter(_kind(name) for name in _file_names(folder))
    found = [f"{files[kind]} {kind}" for kind in sorted(files) if kind]
    images = [f"{len(here.images)} images"] if here.images else ["no images"] if classes > 1 else []
    holds = ", ".join(["1 class folder" if classes == 1 else f"{classes} class folders", *images, *found])
    hint = "; archives are unpacked first" if "archives" in files else ""
    return DataError(f"{folder}: holds {holds}; a data set needs two or more, with images{hint}; {TAKEN}; and {FILES}")


def _data_set_below(folder: Path) -> tuple[str, str, str] | None:
    """Return the first folder below in which known files lie, what these are, and whether it is taken."""
    waiting, seen = [(str(folder), 0)], 0
    while waiting and seen < SEARCHED_FOLDERS:
        place, depth = waiting.pop(0)
        seen += 1
        if depth and (kind := _known_files(place)):
            return place, *kind
        if depth < SEARCHED_DEPTH:
            try:
                waiting += [(os.path.join(place, name), depth + 1) for name in look(place).folders]
            except DataError:
                continue
    return None


def _known_files(folder: str) -> tuple[str, str] | None:
    """Return which data set's own files lie in a folder, and whether they are taken."""
    names = _file_names(folder)
    if has_idx(names):
        return "IDX files", "taken"
    if has_cifar(names):
        return "CIFAR's batches", "taken"
    if pickled := next((kind for kind in KINDS if set(kind.pickled) <= set(names)), None):
        return f"{pickled.title}'s pickled batches", f"not read; the binary version is: {pickled.download}"
    return None


def _file_names(folder: str | Path) -> list[str]:
    """Return the names of the files in a folder, none where it may not be looked into."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_file())
    except OSError:
        return []


def _kind(name: str) -> str:
    """Return what a file is, of those that often hold data sets; "" for others."""
    if name.lower().endswith(ARCHIVES):
        return "archives"
    return "pickles" if name.lower().endswith((".pkl", ".pickle")) else ""
