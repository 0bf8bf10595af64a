"""Formats that Pillow decodes: JPEG, WebP, GIF, BMP, JPEG 2000, and PNG of 8 bits and fewer.

Pillow's modes become arrays here; a mode that would lose depth or meaning is refused.
"""

from __future__ import annotations

import io
import struct
import threading

import numpy as np
from PIL import Image, ImageFile

from imgtool.errors import ImageError
from imgtool.image.orientation import TAG, require_supported, turned, upright
from imgtool.image.read import Header

FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "jp2": "JPEG2000"}
_NAMES = {pillow: name for name, pillow in FORMATS.items()}
_CHANNELS = {"1": 1, "L": 1, "LA": 2, "P": 3, "PA": 4, "RGB": 3, "RGBA": 4, "CMYK": 3, "YCbCr": 3, "I;16": 1}
_DIRECT = {"L", "LA", "RGB", "RGBA", "I;16"}

# Our own limit is checked on the header. Pillow's, which refuses twice this, stays for what it allocates while it reads
# headers: a GIF's frame may be larger than its canvas.
Image.MAX_IMAGE_PIXELS = 250_000_000
_truncation = threading.Lock()  # Pillow's switch for truncated files is one for the whole process


def header(data: bytes) -> Header:
    """Read what Pillow says without decoding."""
    with _open(data) as image:
        orientation = _orientation(image)
        height, width = turned(orientation, image.height, image.width)
        channels = _CHANNELS.get(image.mode, len(image.getbands()))
        channels += _has_key(image) and image.mode == "P"
        dtype = "uint16" if image.mode.startswith("I;16") else "uint8"
        profile = image.info.get("icc_profile")
        name = _NAMES[str(image.format).replace("DIB", "BMP").replace("MPO", "JPEG")]
        return Header(name, height, width, channels, dtype, orientation, f"{len(profile)} bytes" if profile else None)


def decode(data: bytes, *, allow_truncated: bool) -> np.ndarray:
    """Return the pixels of the first frame, upright."""
    with _open(data) as image:
        orientation, covered = _orientation(image), _covered(image)
        pixels = _loaded(image, data, allow_truncated)
        if covered and pixels.shape[2:] == (3,):  # with transparency, what is uncovered is transparent already
            pixels = _on_background(pixels, covered, data)
        return upright(pixels, orientation)


def stored_orientation(data: bytes) -> int:
    """Return the orientation that EXIF or XMP names, 1 without either."""
    with _open(data) as image:
        return _orientation(image)


def decode_stored(data: bytes, allow_truncated: bool) -> np.ndarray:
    """Return the pixels as they are stored, neither turned nor with a transparent color."""
    with _open(data) as image:
        return _loaded(image, data, allow_truncated)


def _loaded(image: Image.Image, data: bytes, allow_truncated: bool) -> np.ndarray:
    """Decode the pixels."""
    _require_plain(image, data)
    with _truncation:
        ImageFile.LOAD_TRUNCATED_IMAGES = allow_truncated
        try:
            image.load()
        except OSError as error:
            if "truncated" in str(error) or "broken" in str(error):
                raise ImageError("is cut or damaged; --allow-truncated reads what is there") from None
            raise
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False
    return to_array(image)


def _require_plain(image: Image.Image, data: bytes) -> None:
    """Refuse what Pillow is known to decode wrongly."""
    if image.format == "JPEG2000":
        start = data.find(b"\xff\x4f\xff\x51")
        (count,) = struct.unpack_from(">H", data, start + 40)
        components = [data[start + 42 + 3 * k : start + 45 + 3 * k] for k in range(count)]
        require_supported(all(each[1:] == b"\1\1" for each in components), "JPEG 2000 with subsampled components")
        deep = any((each[0] & 127) > 7 for each in components)
        require_supported(not deep or count == 1, "JPEG 2000 of several components above 8 bits")
        require_supported(b"pclr" not in data[:start], "JPEG 2000 with a palette")


def _covered(image: Image.Image) -> tuple[int, ...] | None:
    """Return the box of a GIF's first frame when it covers less than the whole canvas."""
    tiles = getattr(image, "tile", ())
    if image.format != "GIF" or not tiles:
        return None
    box = tuple(tiles[0][1])
    return None if box == (0, 0, image.width, image.height) else box


def _on_background(pixels: np.ndarray, box: tuple[int, ...], data: bytes) -> np.ndarray:
    """Show the GIF's background color where its first frame leaves the canvas uncovered."""
    left, top, right, bottom = box
    color = np.frombuffer(data, np.uint8, 3, 13 + 3 * data[11]) if data[10] & 128 else np.zeros(3, np.uint8)
    canvas = np.empty_like(pixels)
    canvas[:] = color
    canvas[top:bottom, left:right] = pixels[top:bottom, left:right]
    return canvas


def _open(data: bytes) -> Image.Image:
    """Open with the decoders that this module answers for, and no others."""
    try:
        return Image.open(io.BytesIO(data), formats=[*FORMATS.values(), "DIB"])
    except (OSError, ValueError, SyntaxError) as error:
        reason = "its header is broken" if "cannot identify" in str(error) else str(error)
        raise ImageError(f"cannot be decoded: {reason}") from None


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(TAG, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _has_key(image: Image.Image) -> bool:
    """Tell whether a color or palette entry stands for transparent."""
    return "transparency" in image.info


def to_array(image: Image.Image) -> np.ndarray:
    """Return a Pillow image as an array of this room's conventions."""
    if image.mode == "CMYK":
        inks = np.asarray(image, np.uint16)
        colors = (255 - inks[:, :, :3]) * (255 - inks[:, :, 3:]).astype(np.uint32)
        return ((colors + 127) // 255).astype(np.uint8)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode in ("P", "PA"):
        return np.asarray(image.convert("RGBA" if _has_key(image) or image.mode == "PA" else "RGB"))
    if image.mode == "YCbCr":
        return np.asarray(image.convert("RGB"))
    require_supported(image.mode in _DIRECT, f"Pillow's mode {image.mode}")
    if image.mode == "I;16":
        return np.asarray(image, np.uint16)
    return np.asarray(image)
