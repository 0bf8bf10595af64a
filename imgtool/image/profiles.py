"""ICC profiles: which pixels one belongs to, and putting one into a file that holds none yet.

Sources: ICC.1:2022, sections 7.2 and B; W3C PNG, iCCP; Google, "WebP Container Specification".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np

_SPACES = {b"GRAY": (1, 2), b"RGB ": (3, 4)}  # what a profile says of its colors -> numbers of channels
_HEADER_BYTES = 128  # bytes of a profile's header
_ICC_MARK = b"ICC_PROFILE\0"
_SEGMENT_MAX_BYTES = 65535 - 2 - len(_ICC_MARK) - 2  # bytes of a profile that one segment of a JPEG holds
_WEBP_PROFILE, _WEBP_ALPHA = 0x20, 0x10


def fits(profile: bytes, image: np.ndarray) -> bool:
    """Tell whether a profile says what an image's numbers mean: 8 or 16 bits, gray or RGB as the profile is."""
    channels = image.shape[2] if image.ndim == 3 else 1
    return len(profile) >= _HEADER_BYTES and image.dtype.kind == "u" and channels in _SPACES.get(profile[16:20], ())


def embed(data: bytes, format: str, profile: bytes) -> bytes:
    """Return a PNG, JPEG or WebP with the profile in it; any other format's bytes as they are."""
    return _EMBED[format](data, profile) if format in _EMBED else data


def _in_png(data: bytes, profile: bytes) -> bytes:
    """Put an iCCP chunk behind the header chunk."""
    end = 8 + 12 + 13
    body = b"iCCP" + b"ICC Profile\0\0" + zlib.compress(profile)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:end] + chunk + data[end:]


def _in_jpeg(data: bytes, profile: bytes) -> bytes:
    """Put segments of the profile's parts behind JFIF's segment."""
    end = 2
    if data[2:4] == b"\xff\xe0":
        end = 4 + int.from_bytes(data[4:6], "big")
    parts = [profile[begin : begin + _SEGMENT_MAX_BYTES] for begin in range(0, len(profile), _SEGMENT_MAX_BYTES)]
    segments = b""
    for number, part in enumerate(parts, 1):
        body = _ICC_MARK + bytes([number, len(parts)]) + part
        segments += b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body
    return data[:end] + segments + data[end:]


def _in_webp(data: bytes, profile: bytes) -> bytes:
    """Put the profile before the pixels; the extended header that it needs is there already or is made."""
    from imgtool.image.codecs import pillow

    chunks = data[12:]
    if chunks[:4] == b"VP8X":
        extended, chunks = bytearray(chunks[:18]), chunks[18:]
    else:
        size = pillow.header(data)
        extended = bytearray(b"VP8X" + struct.pack("<II", 10, _WEBP_ALPHA if size.channels == 4 else 0))
        extended += (size.width - 1).to_bytes(3, "little") + (size.height - 1).to_bytes(3, "little")
    extended[8] |= _WEBP_PROFILE
    icc = b"ICCP" + struct.pack("<I", len(profile)) + profile + bytes(len(profile) % 2)
    body = b"WEBP" + bytes(extended) + icc + chunks
    return b"RIFF" + struct.pack("<I", len(body)) + body


_EMBED: dict[str, Callable[[bytes, bytes], bytes]] = {"png": _in_png, "jpeg": _in_jpeg, "webp": _in_webp}
