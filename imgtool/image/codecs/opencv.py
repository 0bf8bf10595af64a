"""OpenCV's decoders of files in memory."""

from __future__ import annotations

import math
import os

import cv2
import numpy as np

LARGE_BYTES = 1 << 22  # of pixels, from which their memory costs as much as decoding
_MARK = np.arange(1, 65, dtype=np.uint8) * 3  # stands where pixels will


def decode(data: bytes, flags: int, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the 8-bit pixels of a file that has as many, None where OpenCV cannot decode it."""
    image = _into_own_memory(data, flags, shape) if math.prod(shape) >= LARGE_BYTES else None
    if image is None:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error:
            return None
    return image if image is not None and image.shape == shape else None


def _into_own_memory(data: bytes, flags: int, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return pixels decoded into an array of NumPy's; None where that cannot be done, or has not been.

    `imdecode` copies them from memory of its own, which the system hands out page by page: two thirds more time, twice
    the memory. Only `imread` takes an array, and a file, which here has no place on a disk.
    """
    image = np.empty(shape, np.uint8)
    beginning = image.reshape(-1)[: _MARK.size]
    beginning[:] = _MARK[: beginning.size]
    try:
        file = os.memfd_create("image")
    except (AttributeError, OSError):  # not Linux, or no room
        return None
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        found = cv2.imread(f"/proc/self/fd/{file}", image, flags)
    except (cv2.error, OSError):  # a limit on files counts here too
        return None
    finally:
        os.close(file)
    untouched = np.array_equal(beginning, _MARK[: beginning.size])  # as where OpenCV knows no such file
    return image if found is image and not untouched else None
