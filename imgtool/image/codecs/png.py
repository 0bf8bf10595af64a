"""PNG: 16-bit files through OpenCV, all others through Pillow; whole or not is told by the chunks themselves.

Source: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from imgtool.errors import ImageError
from imgtool.image.codecs.header import Header, Page, require_page
from imgtool.image.codecs.orientation import displayed_size, from_exif, require_supported, upright
from imgtool.image.codecs.png_chunks import TEXTS, PngChunks, is_complete, may_be_complete, minimal, walk
from imgtool.image.marks import MAX_PIECE_BYTES, XMP_KEYWORD

if TYPE_CHECKING:
    from imgtool.image.found import Found
    from imgtool.image.ifd import Content

_GRAY_ALPHA = 4
_COLOR = {b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI"}
_RAW = b"Raw profile type "  # keywords under which ImageMagick and others write blocks of bytes as digits
# Chunks that say how pixels are stored or what the file's frames are, rather than something of the picture.
_OF_PIXELS = {b"tRNS", b"bKGD", b"sBIT", b"hIST", b"sPLT", b"tIME", b"acTL", b"fcTL", b"fdAT"}
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def header(data: bytes, page: int | None = None) -> Header:
    """Read size, channels, depth and the number of frames from the IHDR, tRNS, eXIf and acTL chunks."""
    chunks = walk(data, check=False)
    channels = _CHANNELS[chunks.color] + (b"tRNS" in chunks.kept and chunks.color in (0, 2, 3))
    orientation = _orientation(data, chunks)
    height, width = displayed_size(orientation, chunks.height, chunks.width)
    dtype = "uint16" if chunks.depth == 16 else "uint8"
    profile = f"{len(chunks.kept[b'iCCP'])} bytes" if b"iCCP" in chunks.kept else None
    pages = _pages(chunks, width, height)
    number = require_page(page, len(pages))
    return Header("png", height, width, channels, dtype, orientation, profile, number, pages)


def _pages(chunks: PngChunks, width: int, height: int) -> tuple[Page, ...]:
    """Return what the file holds: an image, or frames, of which the image may be the first."""
    declared = int.from_bytes(chunks.kept.get(b"acTL", b"")[:4], "big")
    frames = min(declared, chunks.frames)
    if chunks.is_animated and frames:
        return (Page("frame" if frames > 1 else "image", width, height),) * frames
    return Page("image", width, height), *(Page("frame", width, height),) * frames


def decode(data: bytes, *, allow_truncated: bool, page: int = 1) -> np.ndarray:
    """Return the pixels, of the default image or of another frame."""
    chunks = walk(data, check=not allow_truncated)
    if page > 1:
        require_supported(chunks.depth < 16, "frames of 16 bits")
        from imgtool.image.codecs import pillow

        return upright(pillow.decode_stored(data, allow_truncated, page), _orientation(data, chunks))
    if not allow_truncated and not (chunks.ended and may_be_complete(chunks)):
        raise ImageError("is cut: the end of the PNG is missing", hint="truncated")
    if chunks.depth == 16:
        image = _by_opencv(minimal(chunks, mend=allow_truncated), chunks)
    elif chunks.is_plain and not allow_truncated:
        image = _by_opencv(data, chunks)
    else:
        from imgtool.image.codecs.pillow import decode_stored

        image = decode_stored(minimal(chunks, mend=True) if allow_truncated else data, False)
    if not allow_truncated and _may_lack_rows(image, chunks) and not is_complete(chunks):
        raise ImageError("is cut: its last rows are missing", hint="truncated")
    if b"tRNS" in chunks.kept and chunks.color in (0, 2):
        image = _with_key(image, np.frombuffer(chunks.kept[b"tRNS"], ">u2"), chunks.depth)
    return upright(image, _orientation(data, chunks))


def metadata(data: Content, found: Found) -> None:
    """Find profile, chunks that say what colors mean, EXIF, XMP, resolution and texts, before the pixels and behind."""
    seen = set()
    for name, body in _ancillary(data):
        if name in _COLOR and name not in seen:
            found.add("color", (name, body))
        elif name == b"iCCP":
            found.profile(_inflated(body.partition(b"\0")[2][1:]))
        elif name == b"eXIf":
            found.exif(body)
        elif name == b"pHYs" and len(body) == 9:
            x, y, unit = struct.unpack(">IIB", body)
            found.resolution((x, 1), (y, 1), "meter" if unit == 1 else "")
        elif name in TEXTS:
            _text(name, body, found)
        elif name not in _OF_PIXELS:
            found.leave_out(f"chunk {name.decode()}", "it is not kept", by_rule=True)
        seen.add(name)


def _ancillary(data: Content) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of all chunks but the critical ones, up to the end or to what is no chunk."""
    position = 8
    while position + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[position : position + 8])
        end = position + 8 + length
        if not name.isalpha() or name == b"IEND" or end > len(data):
            return
        if name[:1].islower() and length <= 2 * MAX_PIECE_BYTES:
            yield name, bytes(data[position + 8 : end])
        position = end + 4


def _text(name: bytes, body: bytes, found: Found) -> None:
    """Take a text: XMP, EXIF that older programs write as digits, or any other, which is kept as it is stored."""
    key, _, rest = body.partition(b"\0")
    if name == b"iTXt" and key == XMP_KEYWORD:
        packed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        found.xmp(_inflated(rest) if packed else rest)
    elif not key.startswith(_RAW):
        found.add("texts", (name, body))
    elif key.removeprefix(_RAW) in (b"exif", b"APP1"):
        digits = (_inflated(rest[1:]) if name == b"zTXt" else rest) or b""
        found.exif(bytes.fromhex(b"".join(digits.split()[2:]).decode("ascii", "replace")))
    else:
        found.leave_out(key.removeprefix(_RAW).decode("latin-1").upper()[:8], "it is not kept")


def _inflated(data: bytes) -> bytes | None:
    """Return what is packed in a chunk; of what is too large no more than shows that."""
    try:
        return zlib.decompressobj().decompress(data, MAX_PIECE_BYTES + 1)
    except zlib.error:
        return None


def _may_lack_rows(image: np.ndarray, chunks: PngChunks) -> bool:
    """Tell whether the data may have ended early: Pillow says nothing when rows are missing, and leaves them 0."""
    plain = chunks.color != 3 and not chunks.interlaced
    return chunks.depth < 16 and not (plain and image[-1].any())


def _orientation(data: bytes, chunks: PngChunks) -> int:
    """Return the orientation of the eXIf chunk; older files hold it in text chunks, which Pillow knows."""
    if b"eXIf" in chunks.kept or not chunks.kept.keys() & TEXTS:
        return from_exif(chunks.kept.get(b"eXIf", b""))
    from imgtool.image.codecs.pillow import stored_orientation

    return stored_orientation(data)


def _by_opencv(data: bytes, chunks: PngChunks) -> np.ndarray:
    """Decode 8 or 16 bits a sample; of 16 a minimal PNG: OpenCV 4.11 mistakes the byte order of an animated one."""
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype.itemsize * 8 != chunks.depth:
        raise ImageError("is cut or damaged", hint="truncated")
    if chunks.color == _GRAY_ALPHA:
        return np.asarray(image[:, :, [0, 3]])
    return np.asarray(image[:, :, [2, 1, 0, 3][: image.shape[2]]] if image.ndim == 3 else image)


def _with_key(image: np.ndarray, key: np.ndarray, depth: int) -> np.ndarray:
    """Append an alpha channel that is 0 where the pixel is the key color, which counts in the file's depth."""
    pixels = image if image.ndim == 3 else image[:, :, None]
    if len(key) != pixels.shape[2]:
        raise ImageError("has a tRNS chunk of the wrong length")
    top = np.iinfo(image.dtype).max
    scaled = (key & (2**depth - 1)).astype(np.int64) * top // (2**depth - 1)
    alpha = np.where((pixels == scaled).all(axis=2), 0, top).astype(image.dtype)
    return np.dstack([pixels, alpha])
