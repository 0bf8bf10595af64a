"""AVIF: 8 bits through Pillow, 10 and 12 through OpenCV, since Pillow makes all 8-bit.

Source: Alliance for Open Media, "AV1 Image File Format (AVIF)", and its binding of AV1 to ISO's media files.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from imgtool.errors import ImageError
from imgtool.image.codecs import pillow
from imgtool.image.codecs.boxes import described, largest_size
from imgtool.image.codecs.header import Header, Page, require_page
from imgtool.image.codecs.orientation import require_supported, upright
from imgtool.image.codecs.photometry import scale_samples

if TYPE_CHECKING:
    from imgtool.image.found import Found
    from imgtool.image.ifd import Content

_HIGH, _TWELVE = 0x40, 0x20  # bits of av1C's third byte: more than 8 bits, and then 12 rather than 10


def header(data: bytes, page: int | None = None) -> Header:
    """Read size, channels, depth, orientation and the number of images."""
    _require_decoder()
    found, count = pillow.header(data), pillow.frames(data)
    dtype = "uint8" if depth(data) == 8 else "uint16"
    pages = (Page("frame" if count > 1 else "image", found.width, found.height),) * count
    return replace(found, dtype=dtype, page=require_page(page, count), pages=pages)


def decode(data: bytes, *, allow_truncated: bool, page: int = 1) -> np.ndarray:
    """Return the pixels of an image, upright; those of 10 and 12 bits in all of uint16."""
    _require_decoder()
    bits = depth(data)
    if bits == 8:
        return pillow.decode(data, allow_truncated=allow_truncated, page=page)
    require_supported(page == 1, f"several AVIF images of {bits} bits")
    return upright(_by_opencv(data, bits), pillow.stored_orientation(data))


def metadata(data: Content, found: Found) -> None:
    """Find profile, EXIF and XMP."""
    _require_decoder()
    with pillow.open_image(bytes(data[:]), ["AVIF"]) as image:
        found.profile(image.info.get("icc_profile"))
        found.exif(image.info.get("exif"))
        found.xmp(image.info.get("xmp"))


def declared_bytes(head: bytes, _: BinaryIO | None) -> int:
    """Return how many bytes the pixels of the largest image take."""
    height, width = largest_size(head)
    return 8 * height * width


def depth(data: bytes) -> int:
    """Return the number of bits of a sample, the largest of all images in the file."""
    bits = 8
    for content in described(data):
        position = content.find(b"av1C")
        while 0 <= position < len(content) - 6:
            flags = content[position + 6]
            bits = max(bits, 8 if not flags & _HIGH else 12 if flags & _TWELVE else 10)
            position = content.find(b"av1C", position + 4)
    return bits


def _require_decoder() -> None:
    """Raise ImageError when this build of Pillow lacks AVIF."""
    from PIL import features

    require_supported(bool(features.check("avif")), "AVIF, which this build of Pillow lacks")


def _by_opencv(data: bytes, bits: int) -> np.ndarray:
    """Decode with OpenCV, which keeps the depth."""
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16:
        raise ImageError(f"is AVIF of {bits} bits, damaged or beyond this build of OpenCV")
    image = image if image.ndim == 2 else image[:, :, [2, 1, 0, 3][: image.shape[2]]]
    return scale_samples(np.minimum(image, (1 << bits) - 1), (1 << bits) - 1)
