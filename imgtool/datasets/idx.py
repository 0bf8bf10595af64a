"""MNIST's IDX files and those of sets that came after it: EMNIST, Fashion-MNIST, KMNIST (LeCun et al., the IDX format).

Files are called as MNIST's are, with a dash or a dot before `idx`, gzipped or not; EMNIST's have `emnist-NAME-` before
that, and their images are stored transposed (Cohen et al., 2017), which is undone here.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits

import numpy as np

from imgtool.errors import DataError
from imgtool.files import open_regular

NAME = re.compile(
    r"(?:emnist-(?P<set>[a-z]+)-)?(?P<part>train|t10k|test)-(?P<kind>images[-.]idx3|labels[-.]idx1)-ubyte(?:\.gz)?"
)
_DEFLATE_RATIO = 1032  # of unpacked to packed size at most, as zlib's documentation says
_MERGED = "abdefghnqrt"  # the small letters of EMNIST that do not look like capital ones
# EMNIST's labels by set; those of `letters` count from 1.
_CHARACTERS = {
    "byclass": digits + ascii_uppercase + ascii_lowercase,
    "bymerge": digits + ascii_uppercase + _MERGED,
    "balanced": digits + ascii_uppercase + _MERGED,
    "letters": ascii_uppercase,
}


def has_idx(names: list[str]) -> bool:
    """Tell whether names of files are those of IDX data sets."""
    return any(NAME.fullmatch(name.lower()) for name in names)


def idx_parts(folder: Path) -> tuple[list[tuple[np.ndarray, np.ndarray]], tuple[str, ...]] | None:
    """Return images and labels of the training part and of the test part, and the classes; None where there are none.

    Raises DataError where a file is missing or broken, or where the files are of several sets.
    """
    found = _find(folder)
    if not found:
        return None
    if len(found) > 1:
        raise DataError(
            f"{folder}: holds {len(found)} sets of IDX files ({', '.join(found)}); a folder of one is taken"
        )
    ((name, files),) = found.items()
    for part, other in (("train", ""), ("t10k", "test")):
        for kind, end in (("images", "images-idx3-ubyte"), ("labels", "labels-idx1-ubyte")):
            if (part, kind) not in files:
                prefix, part_name = (f"emnist-{name}-", other or part) if name != "mnist" else ("", part)
                raise DataError(f"{folder}: of MNIST's files {prefix}{part_name}-{end} is missing")
    characters = _CHARACTERS.get(name, digits)
    parts = []
    for part in ("train", "t10k"):
        images, labels = read_idx(files[part, "images"], 3), read_idx(files[part, "labels"], 1)
        if name != "mnist":
            images = np.ascontiguousarray(images.transpose(0, 2, 1))
        parts.append((images, labels.astype(np.int64) - (name == "letters")))
    return parts, tuple(characters)


def _find(folder: Path) -> Mapping[str, Mapping[tuple[str, str], Path]]:
    """Return the files of each set by part (train, t10k) and kind (images, labels); plain ones before gzipped ones."""
    found: dict[str, dict[tuple[str, str], Path]] = {}
    for name in sorted(os.listdir(folder), key=lambda each: (each.endswith(".gz"), each)):
        match = NAME.fullmatch(name.lower())
        if match and (folder / name).is_file():
            part = "train" if match["part"] == "train" else "t10k"
            found.setdefault(match["set"] or "mnist", {}).setdefault((part, match["kind"][:6]), folder / name)
    return found


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read one IDX file of bytes, of which no more is unpacked than its header declares."""
    begin, packed = 4 + 4 * dimensions, path.suffix == ".gz"
    try:
        with open_regular(path) as stored, gzip.open(stored) if packed else stored as file:
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
