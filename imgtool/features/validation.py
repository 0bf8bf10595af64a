"""Which pixel values descriptors can be computed of."""

from __future__ import annotations

import numpy as np

from imgtool.errors import ImageError

MAX_PIXEL_VALUE = 1e15  # of pixel values: sums of their squares stay within float32


def require_finite(image: np.ndarray, descriptor: str) -> None:
    """Raise ImageError when an image has no pixels, or holds NaN, infinity or values above MAX_PIXEL_VALUE."""
    if not image.size:
        raise ImageError(f"has no pixels, so it has no {descriptor}")
    low, high = image.min(), image.max()  # NaN if there is any
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"holds NaN or infinity, so it has no {descriptor}")
    if max(-float(low), float(high)) > MAX_PIXEL_VALUE:
        raise ImageError(
            f"holds values of {max(-float(low), float(high)):.3g}; {descriptor} takes up to {MAX_PIXEL_VALUE:g}"
        )


def require_roots(image: np.ndarray) -> None:
    """Raise ImageError when an image holds negative values, of which there is no square root."""
    if image.min() < 0:
        raise ImageError(f"holds negative values such as {image.min():g}, which have no square root")
