"""The boxes of ISO's media files, of which AVIF, HEIC and JPEG 2000 are some.

Source: ISO/IEC 14496-12, section 4.2.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

from imgtool.errors import ImageError

_PIXELS = b"mdat"  # the box that holds what is coded


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each outermost box. Raises ImageError where one is shorter than its own header."""
    position = 0
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        begin = position + 8
        if length == 1 and begin + 8 <= len(data):
            (length,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        end = position + length if length else len(data)
        if end < begin:
            raise ImageError("is damaged: a box is shorter than its own header")
        yield name, data[begin:end]
        position = end


def box(name: bytes, content: bytes) -> bytes:
    """Return a box."""
    return struct.pack(">I4s", 8 + len(content), name) + content


def described(data: bytes) -> Iterator[bytes]:
    """Yield the content of each outermost box up to one that is damaged, but not what is coded."""
    with contextlib.suppress(ImageError):
        yield from (content for name, content in boxes(data) if name != _PIXELS)


def largest_size(data: bytes) -> tuple[int, int]:
    """Return height and width of the largest image, as its box ispe says; (0, 0) when none does."""
    sizes = [(0, 0)]
    for content in described(data):
        position = content.find(b"ispe")
        while 0 <= position <= len(content) - 16:
            width, height = struct.unpack_from(">II", content, position + 8)
            sizes.append((height, width))
            position = content.find(b"ispe", position + 4)
    return max(sizes, key=lambda size: size[0] * size[1])
