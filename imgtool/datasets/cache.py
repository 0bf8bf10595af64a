"""Files of images that are read once: their hashes, and their pixels and vectors as far as memory goes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import numpy as np

from imgtool.errors import ImageError
from imgtool.image import read
from imgtool.image.alpha import WHITE, flatten, has_alpha, is_opaque
from imgtool.image.content import file_content
from imgtool.remarks import Remark

CACHE_BYTES = 1 << 30  # of decoded images at most
MEMORY_SHARE = 4  # the cache takes at most one such part of the machine's memory


class ImageCache:
    """Decoded images and hashes of files, for several threads; remarks: on what the images lack of their files.

    background: what transparent images are shown on.

    What came first stays until the budget of bytes is spent, and what does not fit is decoded again when it is asked
    for: a table goes through all images several times, in the same order, where dropping the oldest would find nothing.
    """

    def __init__(self, budget_bytes: int | None = None, background: str = WHITE) -> None:
        self.background = background
        self._left = default_budget() if budget_bytes is None else budget_bytes
        self._images: dict[Path, np.ndarray] = {}
        self._hashes: dict[Path, bytes] = {}
        self._vectors: dict[tuple[str, Path], np.ndarray] = {}
        self.remarks: dict[Path, tuple[Remark, ...]] = {}
        self._lock = Lock()

    def image(self, path: Path) -> np.ndarray:
        """Return an image, not to be written to. Raises ImageError, naming the file."""
        if (found := self._images.get(path)) is not None:
            return found
        try:
            data, remarks = image_bytes(path), list[Remark]()
            image = read_flat(data, self.background, remarks)
        except ImageError as error:
            raise error.within(str(path)) from None
        image.flags.writeable = False
        digest = self._hashes.get(path) or hashlib.sha256(data).digest()
        with self._lock:
            self._hashes[path] = digest
            if remarks:
                self.remarks[path] = tuple(remarks)
            if path not in self._images and image.nbytes <= self._left:
                self._left -= image.nbytes
                self._images[path] = image
        return image

    def vector(self, how: str, path: Path, describe: Callable[[], np.ndarray]) -> np.ndarray:
        """Return what describes an image, kept from before if it was described in this way, or what `describe` gives.

        Vectors share the images' budget.
        """
        if (found := self._vectors.get((how, path))) is not None:
            return found
        vector = describe()
        with self._lock:
            if vector.nbytes <= self._left and (how, path) not in self._vectors:
                self._left -= vector.nbytes
                self._vectors[how, path] = vector
        return vector

    def sha256(self, path: Path) -> bytes:
        """Return the hash of a file's bytes, which `image` has taken along if it has read the file."""
        if path not in self._hashes:
            digest = hash_of(path)
            with self._lock:
                self._hashes[path] = digest
        return self._hashes[path]


def read_flat(data: bytes, background: str, remarks: list[Remark] | None = None) -> np.ndarray:
    """Return the image in a file's bytes without alpha: a transparent one is shown on a background."""
    image = read(data, remarks=remarks)
    if not has_alpha(image.shape):
        return image
    if remarks is not None and not is_opaque(image[:, :, -1]):
        remarks.append(Remark("alpha"))
    return flatten(image, background)


def image_bytes(path: Path) -> bytes:
    """Return what a file holds. Raises ImageError where it cannot be read or is empty."""
    if content := file_content(path):
        return content
    raise ImageError("is empty")


def hash_of(path: Path) -> bytes:
    """Return the SHA-256 of a file's bytes. Raises ImageError, naming the file."""
    try:
        return hashlib.sha256(image_bytes(path)).digest()
    except ImageError as error:
        raise error.within(str(path)) from None


def default_budget() -> int:
    """Return a quarter of the machine's memory, at most CACHE_BYTES."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return CACHE_BYTES
    return min(CACHE_BYTES, memory // MEMORY_SHARE) if memory > 0 else CACHE_BYTES
