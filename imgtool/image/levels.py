"""Images as classifiers take them: of 8 or 16 bits, or floats from 0 to 1.

Signed integers and those of 32 and 64 bits say nothing of their white: an image is taken by its own largest value, as
8 bits where that is at most 255, else as 16. Floats far from 0 to 1, as of a photograph of 0 to 255 that was stored as
floats, are refused, since all of it would be white.
"""

from __future__ import annotations

import numpy as np

from imgtool.errors import ImageError
from imgtool.remarks import Remark

MAX_FLOAT = 1.5  # beyond it a float is no value of an image from 0 to 1, a little overshoot included
PLAIN_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.bool_))
LEVELS = {8: (np.uint8, 255), 16: (np.uint16, 65_535)}


def as_levels(image: np.ndarray, remarks: list[Remark] | None = None) -> np.ndarray:
    """Return an image with white at its type's largest value; of plain types as it is.

    remarks: takes one of the kind `wide` where the type did not say how many bits are meant, and `negative`.
    Raises ImageError for floats beyond 1.5, for NaN and infinity, and for integers beyond 65,535.
    """
    image = np.asarray(image)
    if image.dtype in PLAIN_TYPES or image.dtype.kind not in "iuf" or not image.size:
        return image
    low, high = image.min(), image.max()
    if image.dtype.kind == "f":
        _require_shares(image.dtype, low, high)
        return image
    if high > LEVELS[16][1]:
        raise ImageError(
            f"is {image.dtype} with values up to {high}; models take whole numbers up to {LEVELS[16][1]}", hint="levels"
        )
    bits = 8 if high <= LEVELS[8][1] else 16
    if remarks is not None:
        remarks.append(Remark("wide", 1, f"as {bits} bits", by_rule=True))
        if low < 0:
            remarks.append(Remark("negative", int(np.count_nonzero(image < 0))))
    return image.clip(0, LEVELS[bits][1]).astype(LEVELS[bits][0])


def _require_shares(dtype: np.dtype, low: np.floating, high: np.floating) -> None:
    """Raise ImageError unless floats lie about 0 to 1."""
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError("holds NaN or infinity, and models take numbers")
    worst = high if high > -low else low
    if abs(worst) > MAX_FLOAT:
        way = f"with values {'up' if worst > 0 else 'down'} to {worst:g}"
        raise ImageError(f"is {dtype} {way}; models take floats from 0 to 1", hint="levels")
