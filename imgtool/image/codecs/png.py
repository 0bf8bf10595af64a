"""PNG: 16-bit files through OpenCV, all others through Pillow; whole or not is told by the chunks themselves.

Source: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)".
"""

from __future__ import annotations

import zlib

import numpy as np

from imgtool.errors import ImageError
from imgtool.image.codecs.header import Header
from imgtool.image.codecs.orientation import displayed_size, from_exif, upright
from imgtool.image.codecs.png_chunks import TEXTS, PngChunks, is_complete, may_be_complete, minimal, walk

_GRAY_ALPHA = 4
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def header(data: bytes) -> Header:
    """Read size, channels and depth from the IHDR, tRNS and eXIf chunks."""
    chunks = walk(data, check=False)
    channels = _CHANNELS[chunks.color] + (b"tRNS" in chunks.kept and chunks.color in (0, 2, 3))
    orientation = _orientation(data, chunks)
    height, width = displayed_size(orientation, chunks.height, chunks.width)
    dtype = "uint16" if chunks.depth == 16 else "uint8"
    profile = f"{len(chunks.kept[b'iCCP'])} bytes" if b"iCCP" in chunks.kept else None
    return Header("png", height, width, channels, dtype, orientation, profile)


def decode(data: bytes, *, allow_truncated: bool) -> np.ndarray:
    """Return the pixels."""
    chunks = walk(data, check=not allow_truncated)
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


def profile(data: bytes) -> bytes | None:
    """Return the ICC profile."""
    packed = walk(data, check=False).kept.get(b"iCCP", b"").partition(b"\0")[2]
    return zlib.decompress(packed[1:]) if packed else None


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
