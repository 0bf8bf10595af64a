"""What Pillow decodes: JPEG, WebP, PNG of 8 bits and fewer, codestreams of JPEG 2000, the pixels of GIF and AVIF.

Pillow's modes become arrays here; a mode that would lose depth or meaning is refused.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFile

from imgtool.errors import ImageError
from imgtool.image.codecs.header import Header
from imgtool.image.codecs.orientation import TAG, displayed_size, require_supported, upright
from imgtool.image.codecs.photometry import cmyk_to_rgb
from imgtool.image.shared_setting import SharedSetting

FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "gif": "GIF", "jp2": "JPEG2000", "avif": "AVIF"}
_NAMES = {pillow: name for name, pillow in FORMATS.items()}
_CHANNELS = {"1": 1, "L": 1, "LA": 2, "P": 3, "PA": 4, "RGB": 3, "RGBA": 4, "CMYK": 3, "YCbCr": 3, "I;16": 1}
_DIRECT = {"L", "LA", "RGB", "RGBA", "I;16"}

Image.MAX_IMAGE_PIXELS = None  # the limit is ours, and is checked on the header


def _set_truncation(on: bool) -> None:
    ImageFile.LOAD_TRUNCATED_IMAGES = on


_truncation = SharedSetting(_set_truncation)


def header(data: bytes) -> Header:
    """Read what Pillow says without decoding."""
    with open_image(data, list(FORMATS.values())) as image:
        orientation = _orientation(image)
        height, width = displayed_size(orientation, image.height, image.width)
        channels = _CHANNELS.get(image.mode, len(image.getbands()))
        channels += _has_key(image) and image.mode == "P"
        dtype = "uint16" if image.mode.startswith("I;16") else "uint8"
        profile = image.info.get("icc_profile")
        name = _NAMES[str(image.format).replace("MPO", "JPEG")]
        return Header(name, height, width, channels, dtype, orientation, f"{len(profile)} bytes" if profile else None)


def decode(data: bytes, *, allow_truncated: bool, page: int = 1) -> np.ndarray:
    """Return the pixels of a frame, upright."""
    with open_image(data, list(FORMATS.values())) as image:
        orientation = _orientation(image)
        return upright(_load(image, allow_truncated, page), orientation)


def stored_orientation(data: bytes) -> int:
    """Return the orientation that EXIF or XMP names, 1 without either."""
    with open_image(data, list(FORMATS.values())) as image:
        return _orientation(image)


def frames(data: bytes) -> int:
    """Return how many frames there are."""
    with open_image(data, list(FORMATS.values())) as image:
        return int(getattr(image, "n_frames", 1))


def decode_stored(data: bytes, allow_truncated: bool, page: int = 1) -> np.ndarray:
    """Return the pixels of a frame as they are stored, neither turned nor with a transparent color."""
    with open_image(data, list(FORMATS.values())) as image:
        return _load(image, allow_truncated, page)


def _load(image: Image.Image, allow_truncated: bool, page: int) -> np.ndarray:
    """Decode the pixels of a frame."""
    try:
        with _truncation.at(allow_truncated):
            if page > 1:
                image.seek(page - 1)
            image.load()
    except EOFError:
        raise ImageError(f"is cut before its frame {page}", hint="truncated") from None
    except OSError as error:
        if "truncated" in str(error) or "broken" in str(error):
            raise ImageError("is cut or damaged", hint="truncated") from None
        raise
    return to_array(image)


def open_image(data: bytes, formats: list[str]) -> Image.Image:
    """Open with the decoders of these formats of Pillow's, and no others."""
    try:
        return Image.open(io.BytesIO(data), formats=formats)
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
    """Return a Pillow image as an array of this package's conventions."""
    if image.mode == "CMYK":
        return cmyk_to_rgb(np.asarray(image))
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
