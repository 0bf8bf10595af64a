"""PNG: plain and 16-bit files through OpenCV, all others through Pillow; the chunks themselves tell what is whole.

A plain file, such as nearly all are, is gray or RGB(A) of 8 bits without a transparent color; Pillow, which takes a
fifth of a short command's time to import, is then not needed.

Source: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)".
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

from imgtool.errors import ImageError
from imgtool.image.orientation import from_exif, turned, upright
from imgtool.image.read import Header

_KEPT = {b"acTL", b"PLTE", b"tRNS", b"eXIf", b"iCCP"}
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_ORIENTED = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")  # texts in which older files hold EXIF and XMP
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


@dataclass
class _Chunks:
    """The chunks that matter: ancillary ones are kept by name, the first of each."""

    width: int = 0
    height: int = 0
    depth: int = 0
    color: int = 0
    ended: bool = False
    kept: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """True for 8-bit gray, RGB and RGBA of one frame, without a transparent color."""
        return self.depth == 8 and self.color in (0, 2, 6) and not self.kept.keys() & {b"tRNS", b"acTL"}


def header(data: bytes) -> Header:
    """Read size, channels and depth from the IHDR, tRNS and eXIf chunks."""
    chunks = _walk(data, check=False)
    channels = _CHANNELS[chunks.color] + (b"tRNS" in chunks.kept and chunks.color in (0, 2, 3))
    orientation = _orientation(data, chunks)
    height, width = turned(orientation, chunks.height, chunks.width)
    dtype = "uint16" if chunks.depth == 16 else "uint8"
    profile = f"{len(chunks.kept[b'iCCP'])} bytes" if b"iCCP" in chunks.kept else None
    return Header("png", height, width, channels, dtype, orientation, profile)


def decode(data: bytes, *, allow_truncated: bool) -> np.ndarray:
    """Return the pixels."""
    chunks = _walk(data, check=not allow_truncated)
    if not chunks.ended and not allow_truncated:
        raise ImageError("is cut: the end of the PNG is missing; --allow-truncated reads what is there")
    if chunks.depth == 16 or (chunks.is_plain and not allow_truncated):
        image = _by_opencv(data, chunks)
    else:
        from imgtool.image.pillow import decode_stored

        image = decode_stored(data, allow_truncated)
    if b"tRNS" in chunks.kept and chunks.color in (0, 2):
        image = _with_key(image, np.frombuffer(chunks.kept[b"tRNS"], ">u2"), chunks.depth)
    return upright(image, _orientation(data, chunks))


def _orientation(data: bytes, chunks: _Chunks) -> int:
    """Return the orientation of the eXIf chunk; older files hold it in text chunks, which Pillow knows."""
    if b"eXIf" in chunks.kept or not chunks.kept.keys() & _TEXTS:
        return from_exif(chunks.kept.get(b"eXIf", b""))
    from imgtool.image.pillow import stored_orientation

    return stored_orientation(data)


def _by_opencv(data: bytes, chunks: _Chunks) -> np.ndarray:
    """Decode 8 or 16 bits a sample."""
    import cv2

    flags = cv2.IMREAD_UNCHANGED if chunks.color in (4, 6) else cv2.IMREAD_ANYDEPTH
    flags |= cv2.IMREAD_IGNORE_ORIENTATION if chunks.color in (0, 2) else 0
    if chunks.color == 2:
        flags |= cv2.IMREAD_COLOR
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None or image.dtype.itemsize * 8 != chunks.depth:
        raise ImageError("is cut or damaged; --allow-truncated reads what is there")
    image = np.asarray(image)
    if image.ndim == 3:
        image = image[:, :, [2, 1, 0, 3][: image.shape[2]]]
    if chunks.color == 4 and image.ndim == 3 and image.shape[2] == 4:
        return np.asarray(image[:, :, [0, 3]])
    return image


def _with_key(image: np.ndarray, key: np.ndarray, depth: int) -> np.ndarray:
    """Append an alpha channel that is 0 where the pixel is the key color, which counts in the file's depth."""
    pixels = image if image.ndim == 3 else image[:, :, None]
    if len(key) != pixels.shape[2]:
        raise ImageError("has a tRNS chunk of the wrong length")
    top = np.iinfo(image.dtype).max
    scaled = (key & (2**depth - 1)).astype(np.int64) * top // (2**depth - 1)
    alpha = np.where((pixels == scaled).all(axis=2), 0, top).astype(image.dtype)
    return np.dstack([pixels, alpha])


def _walk(data: bytes, *, check: bool) -> _Chunks:
    """Go through the chunks; check their sums where asked. Raises ImageError when a critical one is broken."""
    chunks, position = _Chunks(), 8
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if not name.isalpha():
            raise ImageError("is damaged: a chunk has no valid name")
        body = data[position + 8 : position + 8 + length]
        if len(body) < length or position + 12 + length > len(data):
            break
        if check and name[:1].isupper():
            _check_sum(name, body, data, position + 8 + length)
        if name == b"IHDR" and length == 13 and not chunks.width:
            chunks.width, chunks.height, chunks.depth, chunks.color = struct.unpack_from(">IIBB", body)
        elif name == b"IEND":
            chunks.ended = True
            break
        elif name in _KEPT or (name in _TEXTS and body.startswith(_ORIENTED)):
            chunks.kept.setdefault(name, body)
        position += 12 + length
    if not chunks.width or chunks.color not in _CHANNELS:
        raise ImageError("has no valid PNG header")
    if chunks.color == 3 and b"PLTE" not in chunks.kept:
        raise ImageError("has no palette, which its header says it needs")
    return chunks


def _check_sum(name: bytes, body: bytes, data: bytes, position: int) -> None:
    """Compare a chunk's CRC with its content."""
    (stored,) = struct.unpack_from(">I", data, position)
    if zlib.crc32(name + body) != stored:
        raise ImageError(f"is damaged: the check sum of its {name.decode('latin-1')} chunk is wrong")
