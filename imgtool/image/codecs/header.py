"""The formats that imgtool reads, told by their first bytes, and what a file's header says of its image."""

from __future__ import annotations

import re
from dataclasses import dataclass

from imgtool.errors import ImageError

SIGNATURES = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "jpeg": re.compile(rb"\xff\xd8"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "gif": re.compile(rb"GIF8[79]a"),
    "bmp": re.compile(rb"BM"),
    "jp2": re.compile(rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    "tiff": re.compile(rb"II[*+]\x00|MM\x00[*+]"),
    "pnm": re.compile(rb"P[1-7Ff][\s#]"),
    "npy": re.compile(rb"\x93NUMPY"),
}


@dataclass(frozen=True)
class Header:
    """What a file says of itself before its pixels are decoded.

    orientation is EXIF's, 1 to 8, as stored; profile is the name or size of a color profile, None without one.
    """

    format: str
    height: int
    width: int
    channels: int
    dtype: str
    orientation: int = 1
    profile: str | None = None


def format_of_bytes(data: bytes) -> str:
    """Return the format that the first bytes tell. Raises ImageError when it is none that imgtool reads."""
    for name, signature in SIGNATURES.items():
        if signature.match(data):
            return name
    raise ImageError(f"is no image that imgtool reads ({', '.join(SIGNATURES)})")
