"""The digest in a feature file's meta: SHA-256 of its numbers, and of all else, so that no changed bit is believed.

It is taken of what is read, not of how it is stored: features and frames as float32, names, offsets and meta as values.
Numbers are checked as they are read, block by block; all else when the file is opened.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from imgtool.datasets.feature_file.table import Blocks
from imgtool.errors import DataError

if TYPE_CHECKING:
    from hashlib import _Hash

NUMBERS = ("features", "frames")
BESIDE_BYTES = 1 << 20  # of a block that a thread pays for
_DAMAGED = "is damaged: {} changed since they were written"


def hashed(blocks: Iterable[np.ndarray], digest: _Hash) -> Iterator[np.ndarray]:
    """Yield blocks of numbers, each added to a digest: a large one in a thread, beside whoever reads or writes it.

    Nobody may change a block before the next one is asked for.
    """
    with ThreadPoolExecutor(1) as beside:
        waiting: Future[None] | None = None
        for block in blocks:
            data = np.ascontiguousarray(block, "<f4").data.cast("B") if block.size else memoryview(b"")
            if waiting:
                waiting.result()
                waiting = None
            if data.nbytes >= BESIDE_BYTES:
                waiting = beside.submit(digest.update, data)
            else:
                digest.update(data)
            yield block
        if waiting:
            waiting.result()


def hash_of(blocks: Iterable[np.ndarray]) -> str:
    """Return the SHA-256 of numbers that come in blocks."""
    digest = hashlib.sha256()
    for _ in hashed(blocks, digest):
        pass
    return digest.hexdigest()


def complete(table: Blocks, features: str, frames: str) -> dict[str, str]:
    """Return the digest of a table, given the SHA-256 of its numbers (of no frames that of no bytes)."""
    rest = hashlib.sha256(json.dumps([table.images, table.shape, table.meta], sort_keys=True).encode())
    for name in (name for names in table.names() for name in names):
        data = name.rstrip("\0").encode("utf-8", "surrogatepass")  # NumPy takes zeros off the end of a text
        rest.update(b"%d %b" % (len(data), data))
    if local := table.local:
        rest.update(b"%d " % local.width + local.offsets.astype("<i8").tobytes())
    return {"features": features, "frames": frames, "rest": rest.hexdigest()}


def require_form(digest: Any) -> dict[str, str]:
    """Return what meta has as a digest. Raises DataError where it is none."""
    whole = isinstance(digest, dict) and digest.keys() == {*NUMBERS, "rest"}
    if not whole or not all(isinstance(each, str) and re.fullmatch("[0-9a-f]{64}", each) for each in digest.values()):
        raise DataError("is damaged: its digest is missing")
    return dict(digest)


def check_rest(table: Blocks, digest: dict[str, str]) -> None:
    """Raise DataError unless names, offsets and meta are as they were written."""
    if complete(table, digest["features"], digest["frames"]) != digest:
        raise DataError(_DAMAGED.format("names or settings"))


def verified(blocks: Iterator[np.ndarray], digest: dict[str, str], name: str) -> Iterator[np.ndarray]:
    """Yield blocks of numbers. Raises DataError after the last unless all are as they were written."""
    found = hashlib.sha256()
    yield from hashed(blocks, found)
    if found.hexdigest() != digest[name]:
        raise DataError(_DAMAGED.format(name))
