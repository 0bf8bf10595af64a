"""Resize with antialiasing, as Pillow's bilinear filter does: two passes, rounded to 8 bits after each."""

from __future__ import annotations

import numpy as np
from PIL import Image

from imgtool.errors import ParameterError


@np.errstate(over="ignore", invalid="ignore")
def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the image with this many rows and columns, of the same type.

    uint8 is Pillow's result byte for byte; other types go through Pillow's float32 mode, channel by channel, and
    uint16 is rounded half to even.
    """
    if height < 1 or width < 1:
        raise ParameterError(f"a size must be at least 1x1, got {width}x{height}")
    if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in (2, 4):
        return np.dstack([resize(np.ascontiguousarray(plane), height, width) for plane in np.moveaxis(image, 2, 0)])
    if image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    if image.ndim == 3:
        return np.dstack([resize(plane, height, width) for plane in np.moveaxis(image, 2, 0)])
    plane = Image.fromarray(np.ascontiguousarray(image, np.float32))
    result = np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR))
    return (np.rint(result) if image.dtype.kind == "u" else result).astype(image.dtype)


def fit_crop(image: np.ndarray, short: int, crop: int) -> np.ndarray:
    """Return a centered square of crop x crop pixels after the shorter side was resized to `short`.

    The long side is truncated to a whole number, the offsets are rounded half to even, as torchvision does.
    """
    if crop > short:
        raise ParameterError(f"cannot crop {crop} pixels out of {short}")
    rows, columns = image.shape[:2]
    if rows <= columns:
        height, width = short, int(short * columns / rows)
    else:
        height, width = int(short * rows / columns), short
    resized = resize(image, height, width)
    top, left = round((height - crop) / 2), round((width - crop) / 2)
    return np.ascontiguousarray(resized[top : top + crop, left : left + crop])
