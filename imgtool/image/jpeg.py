"""JPEG: pixels through Pillow; its segments by ourselves, so that what is not read is refused by its name.

Source: ITU-T T.81 (JPEG), annex B; T.87 (JPEG-LS).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from imgtool.errors import ImageError
from imgtool.image import pillow
from imgtool.image.orientation import require_supported
from imgtool.image.read import Header

_ALONE = {0x01, *range(0xD0, 0xDA)}  # markers without a segment
_SCAN, _END, _LOSSLESS, _LS = 0xDA, 0xD9, 0xC3, 0xF7
_READ = {0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA}  # baseline, extended, progressive, lossless; arithmetic
_FRAMES = {
    0xC5: "hierarchical JPEG", 0xC6: "hierarchical JPEG", 0xC7: "hierarchical JPEG",
    0xCB: "arithmetic lossless JPEG", 0xCD: "hierarchical JPEG", 0xCE: "hierarchical JPEG", 0xCF: "hierarchical JPEG",
    _LS: "JPEG-LS",
}  # fmt: skip


def header(data: bytes) -> Header:
    """Read size, channels and orientation."""
    return pillow.header(_plain(data))


def size(data: bytes) -> tuple[int, int]:
    """Return height and width as stored, the largest if there are several frames."""
    frames = [data[begin + 4 : end] for marker, begin, end in _segments(data) if marker in _READ]
    sides = [(int.from_bytes(each[1:3], "big"), int.from_bytes(each[3:5], "big")) for each in frames]
    return max(sides, key=math.prod, default=(0, 0))


def decode(data: bytes, *, allow_truncated: bool) -> np.ndarray:
    """Return the pixels, upright."""
    return pillow.decode(_plain(data), allow_truncated=allow_truncated)


def profile(data: bytes) -> bytes | None:
    """Return the ICC profile."""
    return pillow.profile(_plain(data))


def _plain(data: bytes) -> bytes:
    """Return the file without stray bytes between its segments. Raises ImageError for a kind that is not read."""
    parts, end, found = [], 2, False
    for marker, begin, end in _segments(data):
        body = data[begin + 4 : end]
        if marker in _FRAMES or marker in _READ:
            _require_read(marker, body)
            found = True
        parts.append((begin, end))
    if not found:
        raise ImageError("is no valid JPEG: it holds no frame")
    if end == 2 + sum(last - first for first, last in parts):
        return data
    return data[:2] + b"".join(data[first:last] for first, last in parts) + data[end:]


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, begin, end) of each segment up to the first scan."""
    begin = data.find(b"\xff", 2)
    while 0 <= begin < len(data) - 3:
        marker = data[begin + 1]
        if marker in (0x00, 0xFF):  # a stray byte, or one that fills up
            begin = data.find(b"\xff", begin + 1)
            continue
        length = 0 if marker in _ALONE else int.from_bytes(data[begin + 2 : begin + 4], "big")
        end = min(begin + 2 + length, len(data))
        yield marker, begin, end
        if marker in (_SCAN, _END):
            return
        begin = data.find(b"\xff", end)


def _require_read(marker: int, frame: bytes) -> None:
    """Refuse a kind of frame that is not read."""
    require_supported(marker in _READ, _FRAMES.get(marker, ""))
    if len(frame) < 6:
        raise ImageError("ends within its header")
    kind = "lossless JPEG" if marker == _LOSSLESS else "JPEG"
    require_supported(frame[0] == 8, f"{kind} of {frame[0]} bits")
    require_supported(any(frame[1:3]), "JPEG whose height follows its first scan")
    require_supported(frame[5] in (1, 3, 4), f"JPEG of {frame[5]} components")
