"""Undoing a TIFF's compression, strip by strip or tile by tile: bytes in, bytes (or decoded pixels) out.

Deflate and LZMA by Python's own libraries. Others by the libtiff inside Pillow: what LZW, PackBits, Zstandard and fax
put out are bytes, whatever samples they stand for, so each strip goes through as a small TIFF of 8-bit gray (of 1 or
4 bits where the compression is made for these). JPEG, WebP and JPEG 2000 strips are files of their own.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from PIL import TiffImagePlugin

from imgtool.errors import ImageError
from imgtool.image.codecs.orientation import require_supported
from imgtool.image.codecs.pillow import open_image

Bytes = memoryview | bytes
_NONE, _FAX, _JPEG, _LZMA = 1, {2, 3, 4}, {7, 99}, 34925
_DEFLATE = {8, 32946}
_BYTES = {5: "tiff_lzw", 32773: "packbits", 50000: "zstd"}
_THUNDERSCAN = 32809
_WEBP, _JP2, _PNG = 50001, 34712, 34933
_FILES = {*_JPEG, _WEBP, _JP2, _PNG}  # whose strips are image files of their own
PREDICTABLE = {5, *_DEFLATE, _LZMA, 50000}  # after others libtiff takes no notice of the predictor's tag
_FREE_PIXELS = 1 << 20  # that a strip or tile may have in any case
_MOST_BYTES = 1 << 30  # of one strip or tile: a header that asks for more is not believed

_PHOTOMETRIC_TRANSFORM = {6: 1, 5: 0, 2: 0}  # how Adobe's marker says YCbCr, CMYK, RGB


def is_image(page: Any) -> bool:
    """Tell whether a strip or tile is an image file of its own."""
    return int(page.compression) in _FILES


def require_codec(page: Any) -> None:
    """Raise ImageError, naming the compression, when there is no way to undo it."""
    kind, bits = int(page.compression), int(page.bitspersample)
    name = getattr(page.compression, "name", kind)
    known = {_NONE, _LZMA, _THUNDERSCAN, *_FAX, *_DEFLATE, *_BYTES, *_FILES}
    require_supported(kind in known, f"{name}-compressed TIFF")
    require_supported(kind not in _FAX or (bits, page.samplesperpixel) == (1, 1), f"{name} of {bits} bits")
    require_supported(kind != _THUNDERSCAN or bits == 4, f"{name} of {bits} bits")
    require_supported(
        not is_image(page) or bits == 8 or (kind in (_JP2, _PNG) and bits == 16),
        f"{name}-compressed TIFF of {bits} bits",
    )


def unpack(strip: Bytes, page: Any, rows: int, row_bytes: int, width: int) -> Bytes:
    """Return the rows that a strip holds, uncompressed; fewer bytes than rows * row_bytes when it is cut.

    Raises ImageError when the strip is broken.
    """
    kind, wanted = int(page.compression), rows * row_bytes
    if wanted > _MOST_BYTES:
        raise ImageError(f"declares a strip or tile of {wanted} bytes")
    if page.fillorder == 2 and kind not in _FAX:
        strip = bytes(strip).translate(_REVERSED)
    if kind == _NONE:
        return strip[:wanted]
    if kind in _DEFLATE:
        return _stream(zlib.decompressobj().decompress, strip, wanted)
    if kind == _LZMA:
        return _stream(lzma.LZMADecompressor().decompress, strip, wanted)
    if kind == _THUNDERSCAN:
        levels = _libtiff(strip, "tiff_thunderscan", width, rows, 4, {}) // 17
        padded = np.pad(levels, ((0, 0), (0, width % 2)))
        return bytes((padded[:, ::2] << 4 | padded[:, 1::2]).tobytes())
    if kind in _FAX:
        tags = {tag: page.tags.valueof(tag) for tag in (292, 293) if page.tags.valueof(tag) is not None}
        name = {2: "tiff_ccitt", 3: "group3", 4: "group4"}[kind]
        bits = _libtiff(strip, name, width, rows, 1, {**tags, 266: int(page.fillorder)})
        return np.packbits(bits > 0, axis=1).tobytes()
    return _libtiff(strip, _BYTES[kind], row_bytes, rows, 8, {}).tobytes()


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _stream(decompress: Callable[[Bytes, int], bytes], strip: Bytes, wanted: int) -> bytes:
    """Return at most as many bytes as the pixels need, so that no strip unpacks to more."""
    try:
        return decompress(strip, wanted)
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise ImageError(f"is damaged: {error}") from None


def _libtiff(strip: Bytes, name: str, width: int, rows: int, bits: int, tags: dict[int, int]) -> np.ndarray:
    """Decode a strip as the only one of a gray TIFF; return (rows, width) uint8."""
    entries = {256: width, 257: rows, 258: bits, 259: TiffImagePlugin.COMPRESSION_INFO_REV[name], 262: 1, 273: 8}
    entries |= {277: 1, 278: rows, 279: len(strip), **tags}
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries)) + bytes(4)
    content = bytes(strip) + bytes(len(strip) % 2)
    file = struct.pack("<2sHI", b"II", 42, 8 + len(content)) + content + directory
    try:
        with open_image(file, ["TIFF"]) as image:
            return np.asarray(image.convert("L") if image.mode == "1" else image)
    except OSError as error:
        raise ImageError(f"has a strip or tile that is cut or damaged: {error}") from None


def decode_strip(strip: memoryview, page: Any, pixels: int) -> np.ndarray:
    """Return the pixels (rows, width, samples) of a strip or tile that is an image file of its own.

    pixels: how many the strip or tile has; a file of many more is refused.
    """
    from imgtool.image.codecs import jp2, png

    kind, file = int(page.compression), bytes(strip)
    if page.fillorder == 2 and kind not in _JPEG:
        file = file.translate(_REVERSED)
    if kind in (_JP2, _PNG):
        decoder: ModuleType = jp2 if kind == _JP2 else png
        header = decoder.header(file)
        _require_size(header.height * header.width, pixels)
        image = decoder.decode(file, allow_truncated=False)
    else:
        file = _whole_jpeg(file, page) if kind in _JPEG else file
        try:
            with open_image(file, ["JPEG", "WEBP"]) as picture:
                _require_size(picture.width * picture.height, pixels)
                image = np.asarray(picture)
                image = 255 - image if picture.mode == "CMYK" else image  # Pillow takes it for Adobe's, inverted
        except OSError as error:
            raise ImageError(f"has a strip or tile that is cut or damaged: {error}") from None
    return np.asarray(image.reshape(*image.shape[:2], -1))


def _require_size(found: int, pixels: int) -> None:
    """Raise ImageError when the file that a strip or tile is has many more pixels than it."""
    if found > max(_FREE_PIXELS, 4 * pixels):
        raise ImageError(f"has a strip or tile of {found} pixels where {pixels} are declared")


def _whole_jpeg(strip: bytes, page: Any) -> bytes:
    """Put the tables that all strips share, and Adobe's marker that names the colors, before a strip's own data."""
    tables = page.tags.valueof(347)
    begin = (bytes(tables).removesuffix(b"\xff\xd9") if tables else b"\xff\xd8") + strip.removeprefix(b"\xff\xd8")
    transform = _PHOTOMETRIC_TRANSFORM.get(int(page.photometric))
    if transform is None or page.planarconfig == 2:
        return begin
    return begin[:2] + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform]) + begin[2:]
