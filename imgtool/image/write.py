"""Encode an image: an array in, the bytes of a file out. Nothing is written to disk here."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from imgtool.errors import ImageError, ParameterError

PNG_COMPRESSION = 4  # a third of the time that 6 takes, for 1 to 6 % more bytes

# Suffix -> format.
SUFFIXES = {
    ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".bmp": "bmp", ".tif": "tiff", ".tiff": "tiff",
    ".jp2": "jp2", ".pgm": "pnm", ".ppm": "pnm", ".pnm": "pnm", ".pam": "pam", ".pfm": "pfm", ".npy": "npy",
}  # fmt: skip

# Format -> the types and channel counts it can hold.
_8, _16, _FLOAT = "uint8", "uint16", "float32"
CAPACITY: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "png": ((_8, _16), (1, 2, 3, 4)),
    "jpeg": ((_8,), (1, 3)),
    "webp": ((_8,), (1, 3, 4)),
    "bmp": ((_8,), (1, 3, 4)),
    "tiff": ((_8, _16, _FLOAT, "float64"), (1, 2, 3, 4)),
    "jp2": ((_8,), (1, 3, 4)),
    "pnm": ((_8, _16), (1, 3)),
    "pam": ((_8, _16), (1, 2, 3, 4)),
    "pfm": ((_FLOAT,), (1, 3)),
    "npy": ((_8, _16, _FLOAT, "float64"), (1, 2, 3, 4)),
}


def format_of(name: str) -> str:
    """Return the format that a file name's suffix stands for. Raises ParameterError for an unknown one."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in SUFFIXES:
        raise ParameterError(f"{name}: no format has the suffix {suffix or '(none)'}; there are {', '.join(SUFFIXES)}")
    return SUFFIXES[suffix]


def encode(image: np.ndarray, format: str, *, quality: int | None = None, compression: int | None = None) -> bytes:
    """Return the image as the bytes of a file.

    image: (height, width[, channels]) uint8, uint16 or floating; quality: 1 to 100 for jpeg, webp (default 90) and
    jp2 (default lossless); compression: 0 to 9 for png (default 4). float64 is written as float32 where a format has no
    other. Raises ImageError when the format cannot hold the image's depth or channels.
    """
    name = SUFFIXES.get(f".{format}", format)
    if name == "pfm" and image.dtype == np.float64:
        image = image.astype(np.float32)
    _require_capacity(image, name)
    if quality is not None and name not in ("jpeg", "webp", "jp2"):
        raise ParameterError(f"--quality is for jpeg, webp and jp2, not for {name}")
    if compression is not None and name != "png":
        raise ParameterError(f"--compression is for png, not for {name}")
    if name in _OWN:
        return _OWN[name](np.ascontiguousarray(image))
    if name == "png" and image.ndim == 3 and image.shape[2] == 2:
        return _png_gray_alpha(image, compression)
    if name == "jp2":
        return _jp2(image, quality)
    return _opencv(image, name, quality, compression)


def _require_capacity(image: np.ndarray, name: str) -> None:
    """Raise ImageError, naming the formats that fit, when this one does not."""
    channels = image.shape[2] if image.ndim == 3 else 1
    types, counts = CAPACITY[name]
    if image.dtype.name in types and channels in counts:
        return
    fitting = [each for each, (t, c) in CAPACITY.items() if image.dtype.name in t and channels in c]
    raise ImageError(
        f"{name} cannot hold {channels} channel{'s' * (channels != 1)} of {image.dtype.name};"
        f" {', '.join(fitting)} can, or convert with --depth"
    )


def _opencv(image: np.ndarray, name: str, quality: int | None, compression: int | None) -> bytes:
    """Encode with OpenCV, whose channels are BGR."""
    import cv2

    options = {
        "png": [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION if compression is None else compression],
        "jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality or 90],
        "webp": [cv2.IMWRITE_WEBP_QUALITY, quality or 90],
        "bmp": [],
    }[name]
    if image.ndim == 3:
        image = image[:, :, [2, 1, 0, 3][: image.shape[2]]] if image.shape[2] > 1 else image[:, :, 0]
    try:
        done, data = cv2.imencode(f".{name}", np.ascontiguousarray(image), options)
    except cv2.error as error:
        raise ImageError(f"cannot be encoded as {name}: {error.err}") from None
    if not done:
        raise ImageError(f"cannot be encoded as {name}")
    return data.tobytes()


def _png_gray_alpha(image: np.ndarray, compression: int | None) -> bytes:
    """Encode gray with alpha as PNG; 16 bits become RGBA, which OpenCV writes."""
    if image.dtype != np.uint8:
        return _opencv(image[:, :, [0, 0, 0, 1]], "png", None, compression)
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(
        stream, "PNG", compress_level=PNG_COMPRESSION if compression is None else compression
    )
    return stream.getvalue()


def _jp2(image: np.ndarray, quality: int | None) -> bytes:
    """Encode as JPEG 2000, lossless without a quality, else at 20 + 0.3 quality dB."""
    from PIL import Image

    options: dict[str, Any] = {"num_resolutions": min(6, min(image.shape[:2]).bit_length())}
    if quality is not None:
        options |= {"irreversible": True, "quality_mode": "dB", "quality_layers": [20 + 0.3 * quality]}
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "JPEG2000", **options)
    return stream.getvalue()


def _tiff(image: np.ndarray) -> bytes:
    """Encode as uncompressed TIFF, readable by strips."""
    import tifffile

    channels = image.shape[2] if image.ndim == 3 else 1
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        image,
        photometric="rgb" if channels >= 3 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        planarconfig="contig" if image.ndim == 3 else None,
        metadata=None,
    )
    return stream.getvalue()


def _pnm(image: np.ndarray) -> bytes:
    """Encode as binary PGM or PPM."""
    height, width = image.shape[:2]
    kind = "P6" if image.ndim == 3 and image.shape[2] == 3 else "P5"
    return f"{kind}\n{width} {height}\n{np.iinfo(image.dtype).max}\n".encode() + _big_endian(image)


def _pam(image: np.ndarray) -> bytes:
    """Encode as PAM."""
    height, width = image.shape[:2]
    depth = image.shape[2] if image.ndim == 3 else 1
    kind = {1: "GRAYSCALE", 2: "GRAYSCALE_ALPHA", 3: "RGB", 4: "RGB_ALPHA"}[depth]
    top = np.iinfo(image.dtype).max
    head = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL {top}\nTUPLTYPE {kind}\nENDHDR\n"
    return head.encode() + _big_endian(image)


def _big_endian(image: np.ndarray) -> bytes:
    return image.astype(">u2" if image.dtype == np.uint16 else "u1").tobytes()


def _pfm(image: np.ndarray) -> bytes:
    """Encode as little-endian PFM, lowest row first."""
    height, width = image.shape[:2]
    kind = "PF" if image.ndim == 3 and image.shape[2] == 3 else "Pf"
    return f"{kind}\n{width} {height}\n-1.0\n".encode() + image[::-1].astype("<f4").tobytes()


def _npy(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, image, allow_pickle=False)
    return stream.getvalue()


_OWN: dict[str, Callable[[np.ndarray], bytes]] = {"tiff": _tiff, "pnm": _pnm, "pam": _pam, "pfm": _pfm, "npy": _npy}
