"""WebP: pixels through Pillow, which says when a file is cut, as OpenCV does not; the rest from the chunks.

Source: Google, "WebP Container Specification" and RFC 9649.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from imgtool.image.codecs import pillow
from imgtool.image.codecs.header import Header, Page, require_page

if TYPE_CHECKING:
    from imgtool.image.found import Found
    from imgtool.image.ifd import Content

_LARGEST_PLAIN = 1 << 14  # the side of an image without the chunk that names a canvas


def header(data: bytes, page: int | None = None) -> Header:
    """Read size, channels, orientation and the number of frames."""
    found = pillow.header(data)
    count = max(1, sum(name == b"ANMF" for name, _, _ in _chunks(data)))
    kind = "frame" if count > 1 else "image"
    pages = (Page(kind, found.width, found.height),) * count
    return replace(found, page=require_page(page, count), pages=pages)


def decode(data: bytes, *, allow_truncated: bool, page: int = 1) -> np.ndarray:
    """Return the pixels of a frame, on the whole canvas."""
    return pillow.decode(data, allow_truncated=allow_truncated, page=page)


def declared_bytes(head: bytes, _: BinaryIO | None) -> int:
    """Return how many bytes the pixels of the canvas take."""
    width = height = _LARGEST_PLAIN
    for name, begin, _length in _chunks(head):
        if name == b"VP8X":
            width, height = (1 + int.from_bytes(head[begin + k : begin + k + 3], "little") for k in (4, 7))
        break
    return 4 * width * height


def metadata(data: Content, found: Found) -> None:
    """Find profile, EXIF and XMP."""
    for name, begin, length in _chunks(data):
        take = {b"ICCP": found.profile, b"EXIF": found.exif, b"XMP ": found.xmp}.get(name)
        if take:
            take(bytes(data[begin : begin + length]))


def _chunks(data: Content) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk, where its content begins, and how long it is."""
    position = 12
    while position + 8 <= len(data):
        name, length = struct.unpack("<4sI", data[position : position + 8])
        yield name, position + 8, length
        position += 8 + length + length % 2
