"""BMP: read by ourselves; the header is short, and readers differ on bit fields, palettes and runs.

Source: Microsoft, "Bitmap Storage" (BITMAPCOREHEADER, BITMAPINFOHEADER, V4, V5; V2 and V3 as Adobe wrote them); IBM,
"OS/2 2.0 Presentation Manager Reference" (BITMAPINFOHEADER2). Rows begin on multiples of 4 bytes, the lowest first
unless the height is negative; a field of n bits is scaled so that its largest value is 255. Pixels that runs leave out
are transparent.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imgtool.errors import ImageError
from imgtool.image.codecs.bmp_runs import unroll
from imgtool.image.codecs.header import Header
from imgtool.image.codecs.orientation import require_supported
from imgtool.image.codecs.photometry import scale_samples

if TYPE_CHECKING:
    from imgtool.image.found import Found
    from imgtool.image.ifd import Content

_CORE, _SHORTEST, _INFO, _V5 = 12, 16, 40, 124  # bytes of the info header: OS/2 1.x, 2.x' shortest, Windows 3 and 5
_PLAIN, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS, _RLE24 = 0, 1, 2, 3, 6, -4
_NAMES = {-3: "Huffman 1D compression", 4: "an embedded JPEG", 5: "an embedded PNG"}
_RUNS = {_RLE8: 8, _RLE4: 4, _RLE24: 24}  # compression -> bits a pixel
_DEFAULT_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_OS2_SIZES = range(16, 65)  # of which 40, 52 and 56 are Windows'
_WINDOWS_SIZES = {40, 52, 56, 64, 108, 124}


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
    def shape(self) -> tuple[int, int]:
        return abs(self.height), self.width


def header(data: bytes) -> Header:
    """Read size and channels; that runs leave pixels out, which gives alpha, is not known before they are decoded."""
    info = _info(data)
    alpha = info.bits in _DEFAULT_MASKS and _masks(data, info)[3] != 0
    gray = info.bits <= 8 and _is_gray(_palette(data, info))
    return Header("bmp", *info.shape, 1 if gray else 4 if alpha else 3, "uint8")


def metadata(data: Content, found: Found) -> None:
    """Find the resolution and, with the longest header, the profile."""
    head = bytes(data[14 : 14 + _V5])
    size = int.from_bytes(head[:4], "little")
    if size >= _INFO and len(head) >= _INFO:
        x, y = struct.unpack_from("<ii", head, 24)
        found.resolution((x, 1), (y, 1), "meter")
    if size == _V5 and head[56:60] == b"DEBM":  # MBED, the lowest byte first
        begin, length = struct.unpack_from("<II", head, 112)
        found.profile(bytes(data[14 + begin : 14 + begin + length]))


def decode(data: bytes, *, allow_truncated: bool) -> np.ndarray:
    """Return the pixels."""
    info = _info(data)
    shown = None
    if info.compression in _RUNS:
        values, shown = unroll(data[info.offset :], info.bits, info.shape, allow_truncated)
    else:
        values = _pixels(_rows(data, info, allow_truncated), info)
    if info.bits <= 8:
        palette = _palette(data, info)
        image = np.asarray((palette[:, 0] if _is_gray(palette) else palette)[values])
    elif info.bits == 24:
        image = values
    else:
        image = _by_fields(_masks(data, info), info.bits, values)
    if shown is not None and not shown.all():
        image = np.dstack([image, shown * np.uint8(255)])
    return image if info.height < 0 else image[::-1]


def _info(data: bytes) -> _Info:
    """Parse and check the headers."""
    try:
        offset, size = struct.unpack_from("<II", data, 10)
        if size == _CORE:
            width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
            compression = colors = 0
        else:
            width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
            rest = data[30 : 14 + size].ljust(24, b"\0")  # a shorter OS/2 header leaves out what is 0
            compression, colors = struct.unpack_from("<I", rest)[0], struct.unpack_from("<I", rest, 16)[0]
    except struct.error:
        raise ImageError("ends within its header") from None
    if size != _CORE and size not in _OS2_SIZES and size not in _WINDOWS_SIZES:
        raise ImageError(f"has a header of {size} bytes, which no kind of BMP has")
    if size not in _WINDOWS_SIZES or (size == 64 and compression in (3, 4)):
        compression = {3: -3, 4: _RLE24}.get(compression, compression)
    info = _Info(size, width, height, bits, compression, offset, colors)
    _check(info, data)
    return info


def _check(info: _Info, data: bytes) -> None:
    """Refuse what cannot be, and what is not read."""
    require_supported(info.compression not in _NAMES, f"BMP with {_NAMES.get(info.compression)}")
    if info.width < 1 or info.height == 0:
        raise ImageError("has no size in its header")
    fields = info.compression in (_BITFIELDS, _ALPHA_BITFIELDS)
    bits = {16, 32} if fields else {_RUNS.get(info.compression, 0)} if info.compression else {1, 2, 4, 8, 16, 24, 32}
    require_supported(info.bits in bits, f"BMP of {info.bits} bits a pixel with compression {info.compression}")
    if info.offset >= len(data):
        raise ImageError("is cut: its pixels lie behind its end")


def _masks(data: bytes, info: _Info) -> tuple[int, ...]:
    """Return the masks of red, green, blue and alpha; they lie in the header or right behind it."""
    if info.compression not in (_BITFIELDS, _ALPHA_BITFIELDS):
        return _DEFAULT_MASKS[info.bits]
    masks = list(struct.unpack_from("<4I", data.ljust(14 + _INFO + 16, b"\0"), 14 + _INFO))
    if info.size < 56 and info.compression != _ALPHA_BITFIELDS:
        masks[3] = 0
    return tuple(masks)


def _rows(data: bytes, info: _Info, allow_truncated: bool) -> np.ndarray:
    """Return the raw rows (height, bytes)."""
    height, width = info.shape
    length = (width * info.bits + 31) // 32 * 4
    body = data[info.offset : info.offset + length * height]
    missing = length * height - len(body)
    if missing and not allow_truncated:
        raise ImageError(f"is cut: {missing} bytes of pixels are missing", hint="truncated")
    return np.frombuffer(body + bytes(missing), np.uint8).reshape(height, length)


def _pixels(rows: np.ndarray, info: _Info) -> np.ndarray:
    """Return each pixel's number, or its RGB of 24 bits; the leftmost pixel is in the highest bits of a byte."""
    width, bits = info.width, info.bits
    if bits == 8:
        return rows[:, :width]
    if bits < 8:
        places = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
        single = (rows[:, : (width * bits + 7) // 8, None] >> places) & np.uint8((1 << bits) - 1)
        return single.reshape(len(rows), -1)[:, :width]
    if bits == 24:
        return rows[:, : 3 * width].reshape(-1, width, 3)[:, :, ::-1]
    return rows.view("<u2" if bits == 16 else "<u4")[:, :width].astype(np.uint32)


def _by_fields(masks: tuple[int, ...], bits: int, pixels: np.ndarray) -> np.ndarray:
    """Take each channel out of its bits."""
    if not any(masks[:3]) or max(masks) >= 1 << bits:
        raise ImageError("has masks of colors that do not fit its pixels")
    # readers differ on whether a single bit is alpha or unused, so neither is guessed
    require_supported(masks[3].bit_count() != 1, "BMP with one bit of alpha")
    return np.stack([_field(pixels, mask) for mask in (masks if masks[3] else masks[:3])], axis=2)


def _field(pixels: np.ndarray, mask: int) -> np.ndarray:
    """Return one channel as uint8; a channel without bits is 0."""
    if mask == 0:
        return np.zeros(pixels.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    bits = (mask >> shift).bit_length()
    if mask >> shift != (1 << bits) - 1:
        raise ImageError(f"has a mask {mask:#x} whose bits do not lie side by side")
    values = (pixels & np.uint32(mask)) >> np.uint32(shift)
    if bits > 8:  # in full precision, rounded once
        return np.asarray((values.astype(np.uint64) * 510 + (1 << bits) - 1) // (2 * ((1 << bits) - 1)), np.uint8)
    return scale_samples(values, (1 << bits) - 1)


def _palette(data: bytes, info: _Info) -> np.ndarray:
    """Return a color for each index; those outside the palette are black."""
    entry = 3 if info.size == _CORE else 4
    start, full = 14 + info.size, 1 << info.bits
    if info.colors > full and start + info.colors * entry > info.offset:
        raise ImageError(f"declares a palette of {info.colors} colors, more than lie before its pixels")
    count = min(info.colors or full, full, max(0, info.offset - start) // entry)
    if count == 0:
        raise ImageError("has no palette")
    palette = np.zeros((full, 3), np.uint8)
    palette[:count] = np.frombuffer(data, np.uint8, entry * count, start).reshape(count, entry)[:, 2::-1]
    return palette


def _is_gray(palette: np.ndarray) -> bool:
    return bool((palette == palette[:, :1]).all())
