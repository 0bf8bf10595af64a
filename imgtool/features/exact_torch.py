"""What descriptors on a device share: full precision, batches that fit into memory, images of equal shape together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

BATCH_BYTES = 1 << 30  # bytes that one batch may take on the device


@contextmanager
def exact() -> Iterator[None]:
    """Multiply in full float32, not in TensorFloat-32, and keep nothing for gradients.

    Raises MemoryError where the device has too little memory.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.inference_mode():
            yield
    except torch.cuda.OutOfMemoryError as error:
        raise MemoryError(str(error)) from None
    finally:
        torch.set_float32_matmul_precision(before)


def batches(count: int, bytes_each: int) -> Iterator[slice]:
    """Yield slices of `count` images, of at least one, that take no more than BATCH_BYTES."""
    at_once = max(1, BATCH_BYTES // bytes_each)
    for first in range(0, count, at_once):
        yield slice(first, min(first + at_once, count))


def by_shape(images: Sequence[np.ndarray]) -> list[list[int]]:
    """Return the indices of images of equal shape and type, in the order in which these first come."""
    groups: dict[tuple[tuple[int, ...], str], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault((image.shape, image.dtype.str), []).append(index)
    return list(groups.values())


def to_device(images: Sequence[np.ndarray], device: str, dtype: torch.dtype) -> torch.Tensor:
    """Return images of equal shape as one tensor on the device; 8-bit ones travel as bytes."""
    stack = np.stack(images)
    if stack.dtype != np.uint8:
        stack = stack.astype(np.float64 if dtype == torch.float64 else np.float32)
    return torch.from_numpy(stack).to(device).to(dtype)
