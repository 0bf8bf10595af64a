"""BMP: bit fields of any width and palettes of 2 bits by ourselves, all else through Pillow.

Source: Microsoft, "Bitmap Storage" (BITMAPINFOHEADER, BITMAPV4HEADER); V2 and V3 headers as Adobe wrote them. Rows
begin on multiples of 4 bytes, the lowest first unless the height is negative; a field of n bits is scaled so that its
largest value is 255.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from imgtool.errors import ImageError
from imgtool.image import pillow
from imgtool.image.orientation import require_supported
from imgtool.image.read import Header

_BITFIELDS, _ALPHA_BITFIELDS = 3, 6
_SMALLEST = 40  # bytes of the first header that has a compression


@dataclass(frozen=True)
class _Info:
    """What the headers say: size of the info header, pixels, bits a pixel, compression, where pixels begin."""

    size: int
    width: int
    height: int
    bits: int
    compression: int
    offset: int
    colors: int

    @property
    def is_ours(self) -> bool:
        """True for what Pillow does not read, or reads wrongly."""
        fields = self.compression in (_BITFIELDS, _ALPHA_BITFIELDS) and self.bits in (16, 32)
        return fields or (self.bits == 2 and self.compression == 0)


def header(data: bytes) -> Header:
    """Read size and channels."""
    info = _info(data)
    if info is None or not info.is_ours:
        return pillow.header(data)
    channels = 4 if info.bits != 2 and _masks(data, info)[3] else 3
    return Header("bmp", abs(info.height), info.width, channels, "uint8")


def decode(data: bytes, *, allow_truncated: bool) -> np.ndarray:
    """Return the pixels."""
    info = _info(data)
    if info is None or not info.is_ours:
        return pillow.decode(data, allow_truncated=allow_truncated)
    rows = _rows(data, info, allow_truncated)
    image = _by_palette(data, info, rows) if info.bits == 2 else _by_fields(data, info, rows)
    return image if info.height < 0 else image[::-1]


def _info(data: bytes) -> _Info | None:
    """Parse the headers; None for those too old to have a compression."""
    if len(data) < 14 + _SMALLEST:
        return None
    (offset,) = struct.unpack_from("<I", data, 10)
    size, width, height, _, bits, compression = struct.unpack_from("<IiiHHI", data, 14)
    (colors,) = struct.unpack_from("<I", data, 46)
    return _Info(size, width, height, bits, compression, offset, colors) if size >= _SMALLEST else None


def _masks(data: bytes, info: _Info) -> tuple[int, ...]:
    """Return the masks of red, green, blue and alpha; they lie in the header or right behind it."""
    masks = list(struct.unpack_from("<4I", data.ljust(14 + _SMALLEST + 16, b"\0"), 14 + _SMALLEST))
    if info.size < 56 and info.compression != _ALPHA_BITFIELDS:
        masks[3] = 0
    return tuple(masks)


def _rows(data: bytes, info: _Info, allow_truncated: bool) -> np.ndarray:
    """Return the raw rows (height, bytes)."""
    if info.width < 1 or info.height == 0:
        raise ImageError("has no size in its header")
    length = (info.width * info.bits + 31) // 32 * 4
    body = data[info.offset : info.offset + length * abs(info.height)]
    missing = length * abs(info.height) - len(body)
    if missing and not allow_truncated:
        raise ImageError(f"is cut: {missing} bytes of pixels are missing; --allow-truncated reads what is there")
    return np.frombuffer(body + bytes(missing), np.uint8).reshape(abs(info.height), length)


def _by_fields(data: bytes, info: _Info, rows: np.ndarray) -> np.ndarray:
    """Take each channel out of its bits."""
    pixels = rows.view("<u2" if info.bits == 16 else "<u4")[:, : info.width].astype(np.uint32)
    masks = _masks(data, info)
    if not any(masks[:3]) or max(masks) >= 1 << info.bits:
        raise ImageError("has masks of colors that do not fit its pixels")
    # readers differ on whether a single bit is alpha or unused, so neither is guessed
    require_supported(masks[3].bit_count() != 1, "BMP with one bit of alpha")
    return np.stack([_field(pixels, mask) for mask in (masks if masks[3] else masks[:3])], axis=2)


def _field(pixels: np.ndarray, mask: int) -> np.ndarray:
    """Return one channel as uint8; a channel without bits is 0."""
    if mask == 0:
        return np.zeros(pixels.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    top = mask >> shift
    if top & (top + 1):
        raise ImageError(f"has a mask {mask:#x} whose bits do not lie side by side")
    values = ((pixels & np.uint32(mask)) >> np.uint32(shift)).astype(np.uint64)
    return ((values * 255 + top // 2) // top).astype(np.uint8)


def _by_palette(data: bytes, info: _Info, rows: np.ndarray) -> np.ndarray:
    """Look up 2-bit indices, the leftmost pixel in the highest bits."""
    bits = np.unpackbits(rows, axis=1).reshape(len(rows), -1, 2)
    indices = (2 * bits[:, : info.width, 0] + bits[:, : info.width, 1]).astype(np.intp)
    count = min(info.colors or 4, 4)
    start = 14 + info.size
    if len(data) < start + 4 * count or indices.max(initial=0) >= count:
        raise ImageError("has pixels outside its palette")
    palette = np.frombuffer(data, np.uint8, 4 * count, start).reshape(count, 4)[:, 2::-1]
    return np.asarray(palette[indices])
