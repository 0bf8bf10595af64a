"""GIF: sizes by ourselves, because Pillow fills a frame's area while it opens the file; pixels through Pillow.

The first frame is shown on the whole canvas. Where it leaves the canvas uncovered, the background color shows, unless
the frame has a transparent color. Source: CompuServe, "Graphics Interchange Format, Version 89a", 1990.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imgtool.errors import ImageError
from imgtool.image.codecs import pillow
from imgtool.image.codecs.header import Header, Page, require_page

if TYPE_CHECKING:
    from imgtool.image.found import Found
    from imgtool.image.ifd import Content

_BLOCK = re.compile(rb"[!,;]")
_GRAPHIC_CONTROL, _COMMENT, _APPLICATION = 0xF9, 0xFE, 0xFF


@dataclass(frozen=True)
class _Frame:
    """What lies before a frame's pixels: the canvas, the frame's box, its transparent index, its palette."""

    width: int
    height: int
    box: tuple[int, int, int, int]
    key: int | None
    palette: bytes

    @property
    def is_gray(self) -> bool:
        """True when index i means gray i, so that Pillow gives one channel."""
        return all(self.palette[i : i + 3] == bytes([i // 3] * 3) for i in range(0, len(self.palette), 3))


def header(data: bytes, page: int | None = None) -> Header:
    """Read size, channels and the number of frames; a frame that reaches past the canvas makes it larger."""
    first, *others = _frames(data)
    number = require_page(page, 1 + len(others))
    shown = [first, *others[: number - 1]]
    height, width = max(each.height for each in shown), max(each.width for each in shown)
    channels = (1 if first.is_gray else 3) + (first.key is not None)
    pages = (Page("frame" if others else "image", first.width, first.height),) * (1 + len(others))
    return Header("gif", height, width, channels, "uint8", page=number, pages=pages)


def decode(data: bytes, *, allow_truncated: bool, page: int = 1) -> np.ndarray:
    """Return a frame as it is displayed, over those before it."""
    if page > 1:
        return pillow.decode_stored(data, allow_truncated, page)
    first = next(_frames(data))
    pixels = pillow.decode_stored(data, allow_truncated)
    if pixels.ndim == 2 and first.key is not None:
        return np.dstack([pixels, np.where(pixels == first.key, 0, 255)]).astype(np.uint8)
    covered = first.key is not None or first.box == (0, 0, first.width, first.height)
    return pixels if covered else _on_background(pixels, first.box, data)


def metadata(data: Content, found: Found) -> None:
    """Find the profile and comments before the first frame."""
    whole = bytes(data[:])
    position = 13 + _palette_size(whole[10])
    while whole[position : position + 1] == b"!":
        label, blocks, position = whole[position + 1], [], position + 2
        while size := whole[position]:
            blocks.append(whole[position + 1 : position + 1 + size])
            position += 1 + size
        position += 1
        name = blocks[0] if blocks and label == _APPLICATION else b""
        if label == _COMMENT:
            found.add("comments", b"".join(blocks))
        elif name == b"ICCRGBG1012":
            found.profile(b"".join(blocks[1:]))
        elif name == b"XMP DataXMP":
            found.leave_out("XMP", "that of a GIF is not kept")


def _frames(data: bytes) -> Iterator[_Frame]:
    """Go through the blocks and yield each frame; the end of the file ends it. Raises ImageError without any."""
    found = 0
    try:
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        common, position, key = _palette(data, flags, 13), 13 + _palette_size(flags), None
        while (block := _BLOCK.search(data, position)) and block[0] != b";":
            position = block.end()
            if block[0] == b",":
                left, top, across, down, flags = struct.unpack_from("<HHHHB", data, position)
                box = (left, top, left + across, top + down)
                palette = _palette(data, flags, position + 9) if flags & 128 else common
                yield _Frame(max(width, box[2]), max(height, box[3]), box, key, palette)
                found += 1
                position += 9 + (_palette_size(flags) if flags & 128 else 0)
                key = None
            elif data[position] == _GRAPHIC_CONTROL:
                key = data[position + 5] if data[position + 2] & 1 else None
            position += 1  # the size of codes, or an extension's label
            while data[position]:
                position += 1 + data[position]
            position += 1
    except (struct.error, IndexError):
        if not found:
            raise ImageError("ends within its header") from None
    if not found:
        raise ImageError("holds no frame")


def _palette_size(flags: int) -> int:
    return 3 * (2 << (flags & 7)) if flags & 128 else 0


def _palette(data: bytes, flags: int, position: int) -> bytes:
    return data[position : position + _palette_size(flags)]


def _on_background(pixels: np.ndarray, box: tuple[int, int, int, int], data: bytes) -> np.ndarray:
    """Show the background color where the first frame leaves the canvas uncovered."""
    left, top, right, bottom = box
    color = np.frombuffer(data, np.uint8, 3, 13 + 3 * data[11]) if data[10] & 128 else np.zeros(3, np.uint8)
    canvas = np.empty_like(pixels)
    canvas[:] = color[: pixels.shape[2]] if pixels.ndim == 3 else color[0]
    canvas[top:bottom, left:right] = pixels[top:bottom, left:right]
    return canvas
