"""GIF: sizes by ourselves, because Pillow fills a frame's area while it opens the file; pixels through Pillow.

The first frame is shown on the whole canvas. Where it leaves the canvas uncovered, the background color shows, unless
the frame has a transparent color. Source: CompuServe, "Graphics Interchange Format, Version 89a", 1990.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np

from imgtool.errors import ImageError
from imgtool.image.codecs import pillow
from imgtool.image.codecs.header import Header

_BLOCK = re.compile(rb"[!,;]")
_GRAPHIC_CONTROL = 0xF9


@dataclass(frozen=True)
class _First:
    """What lies before the first frame's pixels: the canvas, the frame's box, its transparent index, its palette."""

    width: int
    height: int
    box: tuple[int, int, int, int]
    key: int | None
    palette: bytes

    @property
    def is_gray(self) -> bool:
        """True when index i means gray i, so that Pillow gives one channel."""
        return all(self.palette[i : i + 3] == bytes([i // 3] * 3) for i in range(0, len(self.palette), 3))


def header(data: bytes) -> Header:
    """Read size and channels; a frame that reaches past the canvas makes it larger."""
    first = _first(data)
    channels = (1 if first.is_gray else 3) + (first.key is not None)
    return Header("gif", first.height, first.width, channels, "uint8")


def decode(data: bytes, *, allow_truncated: bool) -> np.ndarray:
    """Return the first frame."""
    first = _first(data)
    pixels = pillow.decode_stored(data, allow_truncated)
    if pixels.ndim == 2 and first.key is not None:
        return np.dstack([pixels, np.where(pixels == first.key, 0, 255)]).astype(np.uint8)
    covered = first.key is not None or first.box == (0, 0, first.width, first.height)
    return pixels if covered else _on_background(pixels, first.box, data)


def _first(data: bytes) -> _First:
    """Go through the blocks up to the first frame. Raises ImageError when there is none."""
    try:
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        palette, position, key = _palette(data, flags, 13), 13 + _palette_size(flags), None
        while (block := _BLOCK.search(data, position)) and block[0] != b";":
            position = block.end()
            if block[0] == b",":
                left, top, across, down, flags = struct.unpack_from("<HHHHB", data, position)
                box = (left, top, left + across, top + down)
                palette = _palette(data, flags, position + 9) if flags & 128 else palette
                return _First(max(width, box[2]), max(height, box[3]), box, key, palette)
            if data[position] == _GRAPHIC_CONTROL:
                key = data[position + 5] if data[position + 2] & 1 else None
            position += 1
            while data[position]:
                position += 1 + data[position]
            position += 1
    except (struct.error, IndexError):
        raise ImageError("ends within its header") from None
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
