"""EXIF's and TIFF's orientation, 1 to 8: how stored rows and columns lie in the picture."""

from __future__ import annotations

import struct

import numpy as np

from imgtool.errors import ImageError

TAG = 0x0112


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return the image as it is displayed. Orientation 1 is upright; 2 to 4 mirror or turn; 5 to 8 also transpose."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def displayed_size(orientation: int, height: int, width: int) -> tuple[int, int]:
    """Return (height, width) as displayed."""
    return (width, height) if orientation >= 5 else (height, width)


def from_exif(data: bytes) -> int:
    """Return the orientation that a block of EXIF data holds; 1 when it holds none that is valid."""
    data = data.removeprefix(b"Exif\0\0")
    try:
        order = {b"II": "<", b"MM": ">"}[data[:2]]
        (offset,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, offset)
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", data, entry)
            if tag == TAG and kind == 3 and number == 1:
                (value,) = struct.unpack_from(order + "H", data, entry + 8)
                return value if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1


def require_supported(condition: bool, feature: str) -> None:
    """Raise ImageError naming a feature of the format that imgtool does not read."""
    if not condition:
        raise ImageError(f"has a feature that imgtool does not read: {feature}")
