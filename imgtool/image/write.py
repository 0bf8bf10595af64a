"""Encode an image: an array in, the bytes of a file out. Nothing is written to disk here."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from imgtool.errors import ImageError, ParameterError

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
    suffix = PurePath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise ParameterError(f"{name}: no format has the suffix {suffix or '(none)'}; there are {', '.join(SUFFIXES)}")
    return SUFFIXES[suffix]


def encode(image: np.ndarray, format: str, *, quality: int | None = None, compression: int | None = None) -> bytes:
    """Return the image as the bytes of a file.

    image: (height, width[, channels]) uint8, uint16 or floating; quality: 1 to 100 for jpeg, webp (default 90) and
    jp2 (default lossless); compression: 0 to 9 for png (default 6). float64 is written as float32 where a format has
    no other. Raises ImageError when the format cannot hold the image's depth or channels.
    """
    name = SUFFIXES.get(f".{format}", format)
    image = image.astype(check(name, image.shape, image.dtype, quality, compression), copy=False)
    if name in _OWN:
        return _OWN[name](image)
    if name == "png" and image.ndim == 3 and image.shape[2] == 2:
        return _png_gray_alpha(image, compression)
    if name == "jp2":
        return _jp2(image, quality)
    return _opencv(image, name, quality, compression)


def check(
    name: str, shape: tuple[int, ...], dtype: np.dtype, quality: int | None = None, compression: int | None = None
) -> np.dtype:
    """Return the type in which a format stores such an image.

    Raises ImageError, naming the formats that fit, when this one does not, ParameterError for options of another.
    """
    _require_capacity(name, shape, np.dtype(np.float32) if name == "pfm" and dtype == np.float64 else dtype)
    if quality is not None and name not in ("jpeg", "webp", "jp2"):
        raise ParameterError(f"--quality is for jpeg, webp and jp2, not for {name}")
    if compression is not None and name != "png":
        raise ParameterError(f"--compression is for png, not for {name}")
    return np.dtype(np.float32) if name == "pfm" else dtype


def _require_capacity(name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    channels = shape[2] if len(shape) == 3 else 1
    types, counts = CAPACITY[name]
    if dtype.name in types and channels in counts:
        return
    fitting = [each for each, (t, c) in CAPACITY.items() if dtype.name in t and channels in c]
    raise ImageError(
        f"{name} cannot hold {channels} channel{'s' * (channels != 1)} of {dtype.name};"
        f" {', '.join(fitting)} can, or convert with --depth"
    )


def _opencv(image: np.ndarray, name: str, quality: int | None, compression: int | None) -> bytes:
    """Encode with OpenCV, whose channels are BGR."""
    import cv2

    options = {
        "png": [cv2.IMWRITE_PNG_COMPRESSION, 6 if compression is None else compression],
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
        stream, "PNG", compress_level=6 if compression is None else compression
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

    stream = io.BytesIO()
    tifffile.imwrite(stream, image, **tiff_options(image.shape))
    return stream.getvalue()


def tiff_options(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what tifffile needs to know besides the samples."""
    channels = shape[2] if len(shape) == 3 else 1
    return {
        "photometric": "rgb" if channels >= 3 else "minisblack",
        "extrasamples": ["unassalpha"] if channels in (2, 4) else None,
        "planarconfig": "contig" if len(shape) == 3 else None,
        "metadata": None,
    }


def _pnm_head(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Return the header of a binary PGM or PPM."""
    kind = "P6" if shape[2:] == (3,) else "P5"
    return f"{kind}\n{shape[1]} {shape[0]}\n{np.iinfo(dtype).max}\n".encode()


def _pam_head(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Return the header of a PAM."""
    depth = shape[2] if len(shape) == 3 else 1
    kind = {1: "GRAYSCALE", 2: "GRAYSCALE_ALPHA", 3: "RGB", 4: "RGB_ALPHA"}[depth]
    lines = f"WIDTH {shape[1]}", f"HEIGHT {shape[0]}", f"DEPTH {depth}", f"MAXVAL {np.iinfo(dtype).max}"
    return "\n".join(["P7", *lines, f"TUPLTYPE {kind}", "ENDHDR\n"]).encode()


def _pfm_head(shape: tuple[int, ...], _dtype: np.dtype) -> bytes:
    """Return the header of a little-endian PFM."""
    kind = "PF" if shape[2:] == (3,) else "Pf"
    return f"{kind}\n{shape[1]} {shape[0]}\n-1.0\n".encode()


def _npy_head(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Return the header of an NPY file."""
    stream = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@dataclass(frozen=True)
class Plain:
    """A format that is a header and all samples, row by row."""

    head: Callable[[tuple[int, ...], np.dtype], bytes]
    big_endian: bool = False
    upside_down: bool = False

    def encode(self, image: np.ndarray) -> bytes:
        """Return the bytes of the file."""
        rows = image[::-1] if self.upside_down else image
        return self.head(image.shape, image.dtype) + rows.astype(self.stored(image.dtype), copy=False).tobytes()

    def stored(self, dtype: np.dtype) -> np.dtype:
        """Return the type of the samples with its byte order."""
        return dtype.newbyteorder(">" if self.big_endian else "<")


PLAIN = {
    "pnm": Plain(_pnm_head, big_endian=True),
    "pam": Plain(_pam_head, big_endian=True),
    "pfm": Plain(_pfm_head, upside_down=True),
    "npy": Plain(_npy_head),
}
_OWN: dict[str, Callable[[np.ndarray], bytes]] = {
    "tiff": _tiff,
    **{name: plain.encode for name, plain in PLAIN.items()},
}
