"""The boxes of ISO's media files, of which AVIF and HEIC are some.

Source: ISO/IEC 14496-12, section 4.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_PIXELS = b"mdat"  # the box that holds what is coded


def described(data: bytes) -> Iterator[bytes]:
    """Yield the content of each outermost box, but not what is coded."""
    position = 0
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        begin = position + 8
        if length == 1 and begin + 8 <= len(data):
            (length,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        end = position + length if length else len(data)
        if name != _PIXELS:
            yield data[begin:end]
        if end < begin:
            return
        position = end


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
