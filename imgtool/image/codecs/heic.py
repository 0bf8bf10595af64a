"""HEIC through pillow-heif (the extra `heif`), at its full depth.

Source: ISO/IEC 23008-12 (HEIF).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from imgtool.errors import ImageError, failed_import
from imgtool.image.codecs.boxes import largest_size
from imgtool.image.codecs.header import Header, Page, require_page
from imgtool.image.codecs.orientation import require_supported
from imgtool.image.codecs.photometry import scale_samples

if TYPE_CHECKING:
    from imgtool.image.found import Found
    from imgtool.image.ifd import Content

_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def header(data: bytes, page: int | None = None) -> Header:
    """Read size, channels, depth and the number of images; the library turns them upright."""
    file = _open(data)
    number = require_page(page, len(file)) if page else 1 + file.primary_index
    image = file[number - 1]
    width, height = image.size
    profile = image.info.get("icc_profile")
    return Header(
        "heic", height, width, _CHANNELS[_mode(image)], "uint16" if ";" in image.mode else "uint8",
        profile=f"{len(profile)} bytes" if profile else None, page=number,
        pages=tuple(Page("image", *each.size) for each in file),
    )  # fmt: skip


def decode(data: bytes, *, allow_truncated: bool, page: int = 1) -> np.ndarray:
    """Return the pixels of an image; what is above 8 bits in all of uint16."""
    image = _open(data, allow_truncated)[page - 1]
    require_supported(not image.mode.endswith("a"), "HEIC with premultiplied alpha")
    array, bits = np.asarray(image), image.info["bit_depth"]
    return scale_samples(array >> (16 - bits), (1 << bits) - 1) if array.dtype == np.uint16 else array


def metadata(data: Content, found: Found, page: int | None = None) -> None:
    """Find profile, EXIF and XMP of an image."""
    file = _open(bytes(data[:]))
    info = file[(page or 1 + file.primary_index) - 1].info
    found.profile(info.get("icc_profile"))
    found.exif(info.get("exif"))
    found.xmp(info.get("xmp"))


def declared_bytes(head: bytes, _: BinaryIO | None) -> int:
    """Return how many bytes the pixels of the largest image take."""
    height, width = largest_size(head)
    return 8 * height * width


def _open(data: bytes, allow_truncated: bool = False) -> Any:
    """Open the file. Raises MissingExtraError without the package."""
    try:
        import pillow_heif
    except ImportError as error:
        raise failed_import("heif", "HEIC", error) from None
    try:
        return pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise ImageError(f"cannot be decoded: {error}") from None


def _mode(image: Any) -> str:
    mode: str = image.mode.partition(";")[0]
    require_supported(mode in _CHANNELS, f"HEIC of mode {image.mode}")
    return mode
