"""Put metadata into an encoded file that holds none yet; its pixels' bytes stay as they are.

Sources: W3C PNG, sections 11.3 and 13.4; ITU-T T.871 (JFIF); ICC.1:2022, section B; Google, "WebP Container
Specification"; ISO/IEC 15444-1, annex I (JPEG 2000); of its boxes for XMP and EXIF, Adobe, "XMP Specification, Part
3", and ExifTool.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO

from imgtool.errors import ImageError
from imgtool.image import marks
from imgtool.image.codecs.boxes import box, boxes
from imgtool.image.exif import resolution_tags, resolved_block, tags_for_tiff
from imgtool.image.ifd import BYTE, UNDEFINED, FileContent, Tree, Value, with_tags
from imgtool.image.metadata import Metadata
from imgtool.image.resolution import Resolution, jfif_density, rounded

_ICC_MARK = b"ICC_PROFILE\0"
_SEGMENT_MAX_BYTES = 65535 - 2 - len(_ICC_MARK) - 2  # bytes of a profile that one segment of a JPEG holds
_JFIF_DENSITY, _BMP_DENSITY = 13, 38  # where in the file it stands
_WEBP_PROFILE, _WEBP_ALPHA, _WEBP_EXIF, _WEBP_XMP = 0x20, 0x10, 0x08, 0x04
_XMP_TAG, _PROFILE_TAG = 700, 34675


def embed(data: bytes, format: str, metadata: Metadata) -> bytes:
    """Return a file with metadata in it, all of which its format has a place for (`metadata.held`)."""
    return _EMBED[format](data, metadata) if metadata else data


def _in_png(data: bytes, metadata: Metadata) -> bytes:
    """Put chunks behind the header chunk, where what says what colors mean has to stand."""
    chunks = list(metadata.color)
    if metadata.profile:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.profile)))
    if metadata.resolution:
        chunks.append((b"pHYs", _png_density(metadata.resolution)))
    if metadata.exif:
        chunks.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        chunks.append((b"iTXt", marks.XMP_KEYWORD + bytes(5) + metadata.xmp))
    chunks += [*metadata.texts, *map(_comment, metadata.comments)]
    end = 8 + 12 + 13
    return data[:end] + b"".join(_chunk(*each) for each in chunks) + data[end:]


def _comment(comment: bytes) -> tuple[bytes, bytes]:
    """Return a comment as a text chunk: in UTF-8 where it is that and no ASCII, else in Latin-1."""
    text = comment.rstrip(b"\0").replace(b"\0", b" ")
    try:
        international = not text.isascii() and bool(text.decode())
    except UnicodeDecodeError:
        international = False
    return (b"iTXt", b"Comment" + bytes(5) + text) if international else (b"tEXt", b"Comment\0" + text)


def _png_density(resolution: Resolution) -> bytes:
    """Return pixels of a meter across and down, or their ratio, and which of these it is."""
    if not resolution.unit:
        return struct.pack(">IIB", *resolution.whole_ratio((1 << 31) - 1), 0)
    return struct.pack(">IIB", *map(rounded, resolution.per("meter")), 1)


def _chunk(name: bytes, body: bytes) -> bytes:
    """Return a chunk with its length and check sum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _in_jpeg(data: bytes, metadata: Metadata) -> bytes:
    """Put the resolution into JFIF's segment, and the others behind it."""
    if data[2:4] != b"\xff\xe0":
        data = data[:2] + b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + data[2:]
    density = jfif_density(metadata.resolution) if metadata.resolution else None
    if density:
        data = data[:_JFIF_DENSITY] + struct.pack(">BHH", *density) + data[_JFIF_DENSITY + 5 :]
    end = 4 + int.from_bytes(data[4:6], "big")
    segments = [(0xE1, marks.EXIF + metadata.exif)] if metadata.exif else []
    segments += [(0xE1, marks.XMP + metadata.xmp)] if metadata.xmp else []
    profile = metadata.profile or b""
    parts = [profile[begin : begin + _SEGMENT_MAX_BYTES] for begin in range(0, len(profile), _SEGMENT_MAX_BYTES)]
    segments += [(0xE2, _ICC_MARK + bytes([number, len(parts)]) + part) for number, part in enumerate(parts, 1)]
    segments += [(0xFE, comment) for comment in metadata.comments]
    behind = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return data[:end] + behind + data[end:]


def _in_webp(data: bytes, metadata: Metadata) -> bytes:
    """Put the profile before the pixels and the rest behind them, with the extended header that says what is there."""
    from imgtool.image.codecs import pillow

    exif = resolved_block(metadata.exif, metadata.resolution) if metadata.resolution else metadata.exif
    chunks = data[12:]
    if chunks[:4] == b"VP8X":
        extended, chunks = bytearray(chunks[:18]), chunks[18:]
    else:
        size = pillow.header(data)
        extended = bytearray(b"VP8X" + struct.pack("<II", 10, _WEBP_ALPHA if size.channels == 4 else 0))
        extended += (size.width - 1).to_bytes(3, "little") + (size.height - 1).to_bytes(3, "little")
    for flag, name, body in (
        (_WEBP_PROFILE, b"ICCP", metadata.profile), (_WEBP_EXIF, b"EXIF", exif), (_WEBP_XMP, b"XMP ", metadata.xmp),
    ):  # fmt: skip
        if body:
            extended[8] |= flag
            chunk = name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
            chunks = chunk + chunks if flag == _WEBP_PROFILE else chunks + chunk
    whole = b"WEBP" + bytes(extended) + chunks
    return b"RIFF" + struct.pack("<I", len(whole)) + whole


def _in_bmp(data: bytes, metadata: Metadata) -> bytes:
    """Put pixels of a meter into the header."""
    if not metadata.resolution:
        return data
    x, y = map(rounded, metadata.resolution.per("meter"))
    return data[:_BMP_DENSITY] + struct.pack("<ii", x, y) + data[_BMP_DENSITY + 8 :]


def _in_jp2(data: bytes, metadata: Metadata) -> bytes:
    """Put the profile in the place of the color space, the resolution behind it, and the rest behind the header box."""
    begin = data.find(b"jp2h") - 4
    if begin < 0:
        return data
    end = begin + int.from_bytes(data[begin : begin + 4], "big")
    header = list(boxes(data[begin + 8 : end]))
    if metadata.profile:
        header = [(name, marks.JP2_PROFILE + metadata.profile if name == b"colr" else body) for name, body in header]
    if metadata.resolution:
        (x, x_power), (y, y_power) = map(_with_power, metadata.resolution.per("meter"))
        header.append((b"res ", box(b"resc", struct.pack(">HHHHbb", y, 1, x, 1, y_power, x_power))))
    others = ((marks.JP2_EXIF, metadata.exif), (marks.JP2_XMP, metadata.xmp))
    behind = b"".join(box(b"uuid", mark + body) for mark, body in others if body)
    return data[:begin] + box(b"jp2h", b"".join(box(*each) for each in header)) + behind + data[end:]


def _with_power(ratio: tuple[int, int]) -> tuple[int, int]:
    """Return a whole number of 16 bits and the power of ten that it is to be multiplied with."""
    power = 0
    while rounded(ratio) > 65535:
        ratio, power = (ratio[0], ratio[1] * 10), power + 1
    return rounded(ratio), power


def _in_tiff(data: bytes, metadata: Metadata) -> bytes:
    """Put tags into the first directory."""
    stream = io.BytesIO(data)
    add_tags(stream, metadata, len(data))
    return stream.getvalue()


def add_tags(file: BinaryIO, metadata: Metadata, end: int) -> None:
    """Put tags into the first directory of a TIFF file, which moves to the end, behind the samples."""
    base = end + -end % 8
    try:
        tail, place, pointer = with_tags(FileContent(file), _tiff_tags(metadata), base)
    except struct.error:  # offsets of 4 bytes end within 32 MB of where tifffile takes longer ones
        raise ImageError("has more metadata than a TIFF file of this size has room for") from None
    for where, what in ((base, tail), (place, pointer)):
        file.seek(where)
        file.write(what)


def _tiff_tags(metadata: Metadata) -> Tree:
    """Return all as tags."""
    tags = tags_for_tiff(metadata.exif) if metadata.exif else {}
    if metadata.resolution:
        tags.update(resolution_tags(metadata.resolution))
    if metadata.xmp:
        tags[_XMP_TAG] = Value(BYTE, metadata.xmp)
    if metadata.profile:
        tags[_PROFILE_TAG] = Value(UNDEFINED, metadata.profile)
    for tag, kind, data in (*metadata.georeference, *metadata.nodata):
        tags[tag] = Value(kind, data)
    return tags


_EMBED: dict[str, Callable[[bytes, Metadata], bytes]] = {
    "png": _in_png, "jpeg": _in_jpeg, "webp": _in_webp, "bmp": _in_bmp, "jp2": _in_jp2, "tiff": _in_tiff,
}  # fmt: skip
