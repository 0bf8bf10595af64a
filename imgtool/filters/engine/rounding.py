"""Sums into the type of the result: rounded half to even and saturated where that is an integer one."""

from __future__ import annotations

import cv2
import numpy as np

OPENCV_DEPTHS = {
    np.dtype(np.uint8): cv2.CV_8U,
    np.dtype(np.uint16): cv2.CV_16U,
    np.dtype(np.int16): cv2.CV_16S,
    np.dtype(np.float32): cv2.CV_32F,
    np.dtype(np.float64): cv2.CV_64F,
}


def store(values: np.ndarray, out: np.ndarray) -> None:
    """Write the values, all within 2^31, into `out`: an array or rows and columns of one, with at most 4 channels.

    The values may be changed on the way.
    """
    if values.dtype == out.dtype:
        np.copyto(out, values)
    elif values.size <= 16:  # OpenCV may take so few for a scalar
        np.copyto(out, cast_saturating(values, out.dtype))
    elif out.dtype == np.uint8:  # twice as fast as the sum below
        cv2.threshold(values, 0, 0, cv2.THRESH_TOZERO, dst=values)
        cv2.convertScaleAbs(values, dst=out)
    else:
        cv2.add(values, 0.0, dst=out, dtype=OPENCV_DEPTHS[out.dtype])  # type: ignore[call-overload]


def cast_saturating(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return any values in the type, NaN as 0."""
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.asarray(np.nan_to_num(np.rint(values).clip(limits.min, limits.max), nan=0.0).astype(dtype))
