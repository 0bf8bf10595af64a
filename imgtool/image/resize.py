"""Resize with antialiasing, as Pillow's bilinear filter does: two passes, rounded to 8 bits after each."""

from __future__ import annotations

import numpy as np
from PIL import Image

from imgtool.errors import ParameterError


@np.errstate(over="ignore", invalid="ignore")
def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the image with this many rows and columns, of the same type.

    uint8 is Pillow's result byte for byte; other types go through Pillow's float32 mode, channel by channel, and
    uint16 is rounded half to even. Colors count as much as they are opaque: alpha is multiplied in and taken out.
    """
    if height < 1 or width < 1:
        raise ParameterError(f"a size must be at least 1x1, got {width}x{height}")
    if image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    planes = [image] if image.ndim == 2 else list(np.moveaxis(image, 2, 0))
    if len(planes) in (2, 4):
        result = _resize_with_alpha(planes, height, width)
    else:
        result = [_resize_plane(plane, height, width) for plane in planes]
    stacked = result[0] if image.ndim == 2 else np.dstack(result)
    if image.dtype.kind == "u":
        stacked = np.clip(np.rint(stacked), 0, np.iinfo(image.dtype).max)
    return stacked.astype(image.dtype)


def _resize_plane(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return one channel in another size, as float32."""
    single = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(single.resize((width, height), Image.Resampling.BILINEAR))


def _resize_with_alpha(planes: list[np.ndarray], height: int, width: int) -> list[np.ndarray]:
    """Return colors and alpha in another size; where nothing is opaque, colors are 0."""
    *colors, alpha = (plane.astype(np.float64) for plane in planes)
    weight = _resize_plane(alpha, height, width)
    visible = weight > 0
    weighted = (_resize_plane(color * alpha, height, width) for color in colors)
    return [*(np.divide(c, weight, out=np.zeros_like(weight), where=visible) for c in weighted), weight]


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
