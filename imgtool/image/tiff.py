"""TIFF: samples by tifffile (by Pillow where tifffile lacks the codec); what they mean, by ourselves.

Source: Adobe, "TIFF Revision 6.0", 1992; BigTIFF by the libtiff project.
"""

from __future__ import annotations

import io
import logging
import threading
import zlib
from typing import Any, BinaryIO

import numpy as np
import tifffile

from imgtool.errors import ImageError
from imgtool.image.orientation import require_supported, turned, upright
from imgtool.image.read import Header
from imgtool.image.tiff_bits import is_packed, samples

_NATIVE = {1, 8, 32773, 32946}  # compressions that tifffile decodes without imagecodecs: none, deflate, PackBits
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_ASSOCIATED, _UNASSOCIATED = 1, 2
_FLOAT_PREDICTOR = 3
_LZW, _WEBP, _DEFLATE = 5, 50001, {8, 32946}
_DEFLATE_RATIO = 1032  # deflate packs at most so many bytes into one
_HARMLESS = 64 << 20  # bytes that may be unpacked in vain
_pillow = threading.Lock()

# tifffile reports what is odd in a file to the log; what matters comes as an error, in one line.
logging.getLogger("tifffile").disabled = True


def header(data: bytes) -> Header:
    """Read the first page's tags."""
    with _open(data) as file:
        page = _page(file)
        orientation = _orientation(page)
        height, width = turned(orientation, page.imagelength, page.imagewidth)
        channels = 3 if page.photometric in (_RGB, _PALETTE, _CMYK, _YCBCR) else 1
        channels += _alpha_kind(page) is not None
        bits = page.bitspersample
        name = page.dtype.name if page.dtype is not None else "uint8"
        dtype = name if name.startswith("float") else "uint8" if bits <= 8 else "uint16" if bits <= 16 else "float64"
        tag = page.tags.get(34675)
        return Header("tiff", height, width, channels, dtype, orientation, f"{len(tag.value)} bytes" if tag else None)


def decode(data: bytes, *, allow_truncated: bool) -> np.ndarray:
    """Return the first page's pixels."""
    with _open(data) as file:
        page = _page(file)
        _require_whole(page, len(data), allow_truncated)
        if is_packed(page) and page.photometric != _YCBCR:
            return upright(_meaning(page, samples(data, page)), _orientation(page))
        _require_no_bomb(data, page)
        if int(page.compression) in _NATIVE and page.photometric != _YCBCR and int(page.predictor) != _FLOAT_PREDICTOR:
            found = page.asarray()
            found = found.astype(np.uint8) if found.dtype.kind == "b" else found
            return upright(_meaning(page, _channels_last(page, found)), _orientation(page))
        require_supported(int(page.compression) != _WEBP, f"{_compression(page)} TIFF")
        if _fits_opencv(page):
            return upright(_by_opencv(data, page), _orientation(page))
        return _by_pillow(data, page)


def plain_rows(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype, int] | None:
    """Return shape, stored type and offset when the first page's samples are the picture's rows as they stand.

    That is gray or color, with alpha or without, upright, of whole bytes, in uncompressed strips that follow each
    other. Of anything else return None.
    """
    with _open(file) as whole:
        page = _page(whole)
        count, colors = page.samplesperpixel, {_BLACK_IS_ZERO: 1, _RGB: 3}.get(int(page.photometric))
        plain = page.is_final and not page.is_tiled and sum(page.databytecounts) == page.nbytes
        alpha = [_UNASSOCIATED] if count != colors else []
        if not plain or [int(kind) for kind in page.extrasamples] != alpha or count - len(alpha) != colors:
            return None
        if _orientation(page) != 1 or (page.planarconfig != 1 and count > 1):
            return None
        shape = (page.imagelength, page.imagewidth) + ((count,) if count > 1 else ())
        return shape, page.dtype.newbyteorder(whole.byteorder), page.dataoffsets[0]


def _open(source: bytes | BinaryIO) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(io.BytesIO(source) if isinstance(source, bytes) else source)
    except (tifffile.TiffFileError, ValueError, KeyError, IndexError, OSError) as error:
        raise ImageError(f"has a broken TIFF header: {error}") from None


def _page(file: tifffile.TiffFile) -> Any:
    """Return the first page, whose header must make sense."""
    if not len(file.pages):
        raise ImageError("holds no page")
    page: Any = file.pages[0]
    if page.imagewidth < 1 or page.imagelength < 1:
        raise ImageError("has no size in its header")
    require_supported(page.imagedepth == 1, "a TIFF volume")
    return page


def _orientation(page: Any) -> int:
    tag = page.tags.get(274)
    value = tag.value if tag else 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _require_whole(page: Any, length: int, allow_truncated: bool) -> None:
    """Refuse a file that ends before its strips or tiles do."""
    offsets, counts = page.dataoffsets, page.databytecounts
    expected = int(np.prod(page.chunked)) if page.chunked else 1
    if len(offsets) != len(counts) or len(offsets) < expected:
        raise ImageError("has fewer strips or tiles than its size needs")
    if not allow_truncated and any(offset + count > length for offset, count in zip(offsets, counts, strict=True)):
        raise ImageError("is cut: pixels lie behind its end; --allow-truncated reads what is there")


def _require_no_bomb(data: bytes, page: Any) -> None:
    """Refuse deflated strips that hold far more than their pixels: tifffile would unpack them whole."""
    if int(page.compression) not in _DEFLATE or max(page.databytecounts, default=0) * _DEFLATE_RATIO < _HARMLESS:
        return
    most = int(np.prod(page.chunks)) * max(1, int(page.bitspersample) // 8) + _HARMLESS
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        unpacked, strip, length = zlib.decompressobj(), data[offset : offset + count], 0
        while strip and length <= most:
            length += len(unpacked.decompress(strip, 1 << 20))
            strip = unpacked.unconsumed_tail
        if length > most:
            raise ImageError(f"has a strip that unpacks to more than its {most - _HARMLESS} bytes of pixels")


def _channels_last(page: Any, samples: np.ndarray) -> np.ndarray:
    """Return samples as (height, width, samples a pixel)."""
    height, width, count = page.imagelength, page.imagewidth, page.samplesperpixel
    if page.planarconfig == 2 and count > 1:
        return samples.reshape(count, height, width).transpose(1, 2, 0)
    return samples.reshape(height, width, count)


def _alpha_kind(page: Any) -> int | None:
    """Return whether the first extra sample is associated or unassociated alpha; None when it is no alpha."""
    kinds = [int(kind) for kind in page.extrasamples]
    return kinds[0] if kinds and kinds[0] in (_ASSOCIATED, _UNASSOCIATED) else None


def _meaning(page: Any, samples: np.ndarray) -> np.ndarray:
    """Turn samples into a picture: palette, photometry, depth, alpha."""
    photometric, bits = int(page.photometric), int(page.bitspersample)
    require_supported(photometric in (0, 1, 2, 3, 5), f"photometric interpretation {photometric}")
    require_supported(samples.dtype.kind in "uif", f"samples of type {samples.dtype}")
    if photometric == _PALETTE:
        require_supported(samples.shape[2] == 1 and bits <= 16, "a palette with further samples")
        return _by_palette(page, samples[:, :, 0])
    colors = {_RGB: 3, _CMYK: 4}.get(photometric, 1)
    if samples.shape[2] < colors:
        raise ImageError(f"has {samples.shape[2]} samples a pixel, fewer than its colors")
    alpha = samples[:, :, colors : colors + 1] if _alpha_kind(page) else None
    color = samples[:, :, :colors]
    if samples.dtype.kind != "u" or bits > 16:
        require_supported(photometric in (_BLACK_IS_ZERO, _RGB), "a photometric interpretation of such numbers")
        return _joined(_as_float(color), None if alpha is None else _as_float(alpha))
    color = _full_range(color, bits)
    top = np.iinfo(color.dtype).max
    alpha = None if alpha is None else _full_range(alpha, bits)
    if photometric == _WHITE_IS_ZERO:
        color = top - color
    if photometric == _CMYK:
        inks = color.astype(np.uint64)
        color = (((top - inks[:, :, :3]) * (top - inks[:, :, 3:]) + top // 2) // top).astype(color.dtype)
    if alpha is not None and _alpha_kind(page) == _ASSOCIATED:
        color = _unpremultiplied(color, alpha)
    return _joined(color, alpha)


def _as_float(samples: np.ndarray) -> np.ndarray:
    """Return signed and wide integers as the float that holds them; floats of half precision as float32."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32 if samples.dtype.itemsize <= 4 else np.float64)
    return samples.astype(np.float32 if samples.dtype.itemsize <= 2 else np.float64)


def _full_range(samples: np.ndarray, bits: int) -> np.ndarray:
    """Scale samples of 1 to 16 bits to all of uint8 or uint16."""
    top, full = (1 << bits) - 1, 255 if bits <= 8 else 65535
    dtype = np.uint8 if bits <= 8 else np.uint16
    if top == full:
        return samples.astype(dtype)
    return ((samples.astype(np.uint32) * full + top // 2) // top).astype(dtype)


def _by_palette(page: Any, indices: np.ndarray) -> np.ndarray:
    """Look up colors; a palette has 16 bits a color, and 8 when it was written as if 255 were white."""
    palette = np.asarray(page.colormap, np.uint16)
    if palette.shape != (3, 1 << int(page.bitspersample)):
        raise ImageError("has a palette of the wrong length")
    colors = palette.astype(np.uint8) if palette.max() < 256 else ((palette + np.uint32(128)) // 257).astype(np.uint8)
    return np.asarray(colors[:, indices].transpose(1, 2, 0))


def _unpremultiplied(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Divide color by its alpha; black where alpha is 0."""
    top = np.iinfo(color.dtype).max
    divided = color.astype(np.float64) * top / np.maximum(alpha, 1)
    return np.where(alpha > 0, np.clip(np.rint(divided), 0, top), 0).astype(color.dtype)


def _joined(color: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Return (height, width) or (height, width, channels)."""
    if alpha is not None:
        return np.concatenate([color, alpha], axis=2)
    return color[:, :, 0] if color.shape[2] == 1 else color


def _fits_opencv(page: Any) -> bool:
    """Tell whether OpenCV's decoder, which has LZW at any depth, reads such samples as they are."""
    bits, kind = int(page.bitspersample), int(page.sampleformat)
    deep = (bits == 16 and kind == 1) or (bits in (32, 64) and kind == 3)
    return deep and int(page.photometric) in (_BLACK_IS_ZERO, _RGB) and page.planarconfig == 1 and not page.extrasamples


def _by_opencv(data: bytes, page: Any) -> np.ndarray:
    """Decode 16-bit and floating samples of compressions that tifffile lacks."""
    import cv2

    packed = int(page.compression) in _NATIVE | {_LZW}
    require_supported(packed, f"{_compression(page)} TIFF of {page.bitspersample} bits")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = (page.imagelength, page.imagewidth, page.samplesperpixel)
    if image is None or (*image.shape, 1)[:3] != expected or image.dtype != page.dtype.newbyteorder("="):
        raise ImageError(f"cannot be decoded: {_compression(page)} TIFF of {page.bitspersample} bits")
    return np.asarray(image[:, :, ::-1] if image.ndim == 3 else image)


def _compression(page: Any) -> str:
    return f"{getattr(page.compression, 'name', page.compression)}-compressed"


def _by_pillow(data: bytes, page: Any) -> np.ndarray:
    """Decode compressions that tifffile lacks; Pillow has them for 8 bits, and turns the image upright itself."""
    from PIL import Image

    from imgtool.image.pillow import to_array

    kind = f"{_compression(page)} TIFF"
    bits, plain = int(page.bitspersample), int(page.photometric) in (0, 1, 2, 6)
    fits = (bits == 8 or (bits == 1 and page.samplesperpixel == 1)) and page.sampleformat == 1
    require_supported(plain and fits and page.planarconfig == 1, f"{kind} of {bits} bits")
    require_supported(_alpha_kind(page) != _ASSOCIATED, f"{kind} with associated alpha")
    with _pillow, Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
        image.load()
        return to_array(image)
