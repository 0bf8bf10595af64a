"""WebP: pixels through Pillow, which says when a file is cut, as OpenCV does not; metadata from the chunks.

Source: Google, "WebP Container Specification".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from imgtool.image.codecs.pillow import decode, header

if TYPE_CHECKING:
    from imgtool.image.found import Found
    from imgtool.image.ifd import Content

__all__ = ["decode", "header", "metadata"]


def metadata(data: Content, found: Found) -> None:
    """Find profile, EXIF and XMP."""
    position = 12
    while position + 8 <= len(data):
        name, length = struct.unpack("<4sI", data[position : position + 8])
        take = {b"ICCP": found.profile, b"EXIF": found.exif, b"XMP ": found.xmp}.get(name)
        if take:
            take(bytes(data[position + 8 : position + 8 + length]))
        position += 8 + length + length % 2
