"""TIFF samples of 2 to 7 and 9 to 15 bits, packed without gaps: tifffile leaves these to a package of its own.

Source: Adobe, "TIFF Revision 6.0", 1992: rows begin on whole bytes, the highest bit comes first.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from imgtool.errors import ImageError
from imgtool.image.orientation import require_supported

_NONE, _DEFLATE, _PACKBITS = {1}, {8, 32946}, {32773}


def is_packed(page: Any) -> bool:
    """Tell whether the page's samples are of such an odd depth."""
    return int(page.bitspersample) not in (1, 8, 16, 24, 32, 64)


def samples(data: bytes, page: Any) -> np.ndarray:
    """Return (height, width, samples a pixel) uint8 or uint16, unscaled."""
    bits, height, width, count = page.bitspersample, page.imagelength, page.imagewidth, page.samplesperpixel
    require_supported(not page.is_tiled and page.predictor == 1, f"tiles or prediction of {bits} bits")
    require_supported(page.sampleformat == 1, f"signed samples of {bits} bits")
    planes = 1 if page.planarconfig == 1 else count
    across = width * (count // planes)  # samples in a row
    row_bytes = (across * bits + 7) // 8
    # each strip holds whole rows and may be followed by a few bytes more
    rows, heights = [], _strip_heights(height, int(page.rowsperstrip), planes)
    for offset, length, strip_rows in zip(page.dataoffsets, page.databytecounts, heights, strict=False):
        needed = strip_rows * row_bytes
        strip = _unpacked(data[offset : offset + length], page, needed)
        if len(strip) < needed:
            raise ImageError(f"is cut: a strip holds {len(strip)} of {needed} bytes")
        rows.append(np.frombuffer(strip, np.uint8, needed).reshape(strip_rows, row_bytes))
    packed = np.concatenate(rows)
    if page.fillorder == 2:
        packed = np.packbits(np.unpackbits(packed, axis=1).reshape(len(packed), -1, 8)[:, :, ::-1], axis=2)[:, :, 0]
    single = np.unpackbits(packed, axis=1)[:, : across * bits].reshape(len(packed), across, bits)
    values = single @ (1 << np.arange(bits - 1, -1, -1))
    values = values.astype(np.uint8 if bits < 8 else np.uint16)
    if planes == 1:
        return values.reshape(height, width, count)
    return np.ascontiguousarray(values.reshape(planes, height, width).transpose(1, 2, 0))


def _strip_heights(height: int, rows: int, planes: int) -> list[int]:
    """Return how many rows each strip holds, plane after plane."""
    return [min(rows, height - begin) for begin in range(0, height, max(1, rows))] * planes


def _unpacked(strip: bytes, page: Any, needed: int) -> bytes:
    """Undo the compression of one strip, as far as it is needed."""
    kind = int(page.compression)
    if kind in _NONE:
        return strip
    if kind in _DEFLATE:
        return zlib.decompressobj().decompress(strip, max(1, needed))
    require_supported(kind in _PACKBITS, f"TIFF of {page.bitspersample} bits with compression {kind}")
    return _packbits(strip)


def _packbits(strip: bytes) -> bytes:
    """Undo PackBits: n below 128 copies n + 1 bytes, n above 128 repeats the next byte 257 - n times."""
    result, position = bytearray(), 0
    while position < len(strip):
        n = strip[position]
        if n < 128:
            result += strip[position + 1 : position + 2 + n]
            position += 2 + n
        else:
            if n > 128:
                result += strip[position + 1 : position + 2] * (257 - n)
            position += 2 if n > 128 else 1
    return bytes(result)
