"""Memory that a thread keeps from one strip of an image to the next, and from one image to the next.

Pages that the system hands out anew cost more than what HoG computes in them.
"""

from __future__ import annotations

import math
import threading

import numpy as np
from numpy.typing import DTypeLike

from imgtool.filters.engine.strips import empty_aligned

_MOST_BYTES = 1 << 22  # of a block that is kept
_kept = threading.local()


def scratch(name: str, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> np.ndarray:
    """Return an array that holds anything at all, and begins at a multiple of 64 bytes.

    A thread's next call with this name may return the same memory.
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    block: np.ndarray | None = getattr(_kept, name, None)
    if block is None or block.size < size:
        block = empty_aligned((size,), np.dtype(np.uint8))
        if size <= _MOST_BYTES:
            setattr(_kept, name, block)
    return block[:size].view(kind).reshape(shape)
