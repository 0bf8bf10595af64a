"""Encode an image: an array in, the bytes of a file out. Nothing is written to disk here."""

from __future__ import annotations

import io
import math
import os
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array, whole_number
from imgtool.errors import ImageError, ParameterError
from imgtool.image.plain_formats import PLAIN_FORMATS
from imgtool.image.text_images import SEPARATORS, encode_text
from imgtool.names import unknown_name
from imgtool.remarks import Remark

if TYPE_CHECKING:
    from imgtool.image.metadata import Metadata

PNG_COMPRESSION = 4  # a third of the time that 6 takes, for 1 to 6 % more bytes

# Suffix -> format.
SUFFIXES = {
    ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".bmp": "bmp", ".tif": "tiff", ".tiff": "tiff",
    ".jp2": "jp2", ".pgm": "pnm", ".ppm": "pnm", ".pnm": "pnm", ".pam": "pam", ".pfm": "pfm", ".npy": "npy",
    ".csv": "csv", ".txt": "txt",
}  # fmt: skip

# Format -> the types and channel counts it can hold; csv and txt, which are only written, hold what npy does.
_8, _16, _FLOAT = "uint8", "uint16", "float32"
_NUMBERS = (_8, _16, _FLOAT, "float64", "int8", "int16", "int32", "int64", "uint32", "uint64")
CAPACITY: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "png": ((_8, _16), (1, 2, 3, 4)),
    "jpeg": ((_8,), (1, 3)),
    "webp": ((_8,), (1, 3, 4)),
    "bmp": ((_8,), (1, 3, 4)),
    "tiff": (_NUMBERS, (1, 2, 3, 4)),
    "jp2": ((_8, _16), (1, 3, 4)),
    "pnm": ((_8, _16), (1, 3)),
    "pam": ((_8, _16), (1, 2, 3, 4)),
    "pfm": ((_FLOAT,), (1, 3)),
    "npy": (_NUMBERS, (1, 2, 3, 4)),
}
FORMATS = (*CAPACITY, *SEPARATORS)
# Pixels a side at most: of VP8, of libjpeg, of libpng unless it is told otherwise.
MAX_SIDE = {"webp": 16_383, "jpeg": 65_500, "png": 1_000_000}


_GRAY_ALPHA = 4  # PNG's color type
_SWAPPED_BYTES = 1 << 18  # whose colors are swapped at once: they stay in the processor's cache


def format_of(name: str) -> str:
    """Return the format that a file name's suffix stands for. Raises ParameterError for an unknown one."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in SUFFIXES:
        raise ParameterError(f"{name}: no format has the suffix {suffix or '(none)'}; there are {', '.join(SUFFIXES)}")
    return SUFFIXES[suffix]


def capacity_of(name: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the types and channel counts that a format can hold."""
    return CAPACITY["npy" if name in SEPARATORS else name]


def encode(
    image: ArrayLike,
    format: str,
    *,
    quality: int | None = None,
    compression: int | None = None,
    metadata: Metadata | None = None,
    remarks: list[Remark] | None = None,
) -> bytes:
    """Encode an image as the bytes of a file.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Of a type that the format supports: tiff, npy, csv and txt any integers and floats; bool is written as 8-bit
        black and white.
    format : {"png", "jpeg", "webp", "bmp", "tiff", "jp2", "pnm", "pam", "pfm", "npy", "csv", "txt"}
        Name of a format, or a suffix of one, such as "jpg" or "tif".
    quality : int, optional
        1 to 100, for jpeg and webp (default 90) and jp2 (default: lossless).
    compression : int, optional
        0 to 9, for png (default 4).
    metadata : Metadata, optional
        What `read_metadata` returns: profile, EXIF, resolution and the like; stored as far as the format has a place
        for it and the profile fits the pixels.
    remarks : list of Remark, optional
        Takes what of the metadata is left out.

    Returns
    -------
    bytes

    Raises
    ------
    ImageError
        The image is not valid, or the format does not support its type or channels.
    ParameterError
        The format is unknown, or does not have an option.

    Notes
    -----
    pfm stores float64 as float32; TIFF is written uncompressed. Channels are gray, gray with alpha, RGB or RGBA. csv
    and txt are lines of numbers, channels side by side; they are not read as images.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> data = imgtool.encode(np.zeros((4, 6), np.uint8), "png")
    >>> imgtool.read(data).shape
    (4, 6)
    """
    return _encode_any(image, format, quality, compression, metadata, remarks, spoil=False)


def encode_and_spoil(
    image: np.ndarray,
    format: str,
    *,
    quality: int | None = None,
    compression: int | None = None,
    metadata: Metadata | None = None,
    remarks: list[Remark] | None = None,
) -> bytes:
    """Encode as `encode` does, swapping colors within the image, whose memory is not needed twice."""
    return _encode_any(image, format, quality, compression, metadata, remarks, spoil=True)


def _encode_any(
    image: ArrayLike,
    format: str,
    quality: int | None,
    compression: int | None,
    metadata: Metadata | None,
    remarks: list[Remark] | None,
    *,
    spoil: bool,
) -> bytes:
    name = SUFFIXES.get(f".{format}", format)
    if name not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    quality = quality if quality is None else whole_number(quality, "quality", high=100)
    compression = compression if compression is None else whole_number(compression, "compression", low=0, high=9)
    _require_metadata(metadata)
    array = to_writable(image)
    if array.ndim == 3 and array.shape[2] == 1 and name != "npy":  # which keeps the shape
        array = array[:, :, 0]
    stored = storage_type(name, array.shape, array.dtype, quality, compression)
    if stored != array.dtype:
        _require_range(array, name)
    array = np.ascontiguousarray(array, stored)
    if name == "webp" and array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    spoil = spoil and array.flags.writeable
    data = _encode(array, name, quality, compression, spoil=spoil)
    if not metadata:
        return data
    from imgtool.image.embedding import embed
    from imgtool.image.metadata import held

    return embed(data, name, held(metadata, name, array.shape, array.dtype, [] if remarks is None else remarks))


def _encode(array: np.ndarray, name: str, quality: int | None, compression: int | None, *, spoil: bool) -> bytes:
    """Encode an array of a type that the format stores."""
    if name in SEPARATORS:
        return encode_text(array, name)
    if name in _OWN_ENCODERS:
        return _OWN_ENCODERS[name](array)
    if name == "jp2":
        return _jp2(array, quality)
    if name == "png" and array.ndim == 3 and array.shape[2] == 2:
        return _png_gray_alpha(array, compression)
    return _opencv(array, name, quality, compression, spoil=spoil)


def _require_metadata(metadata: Metadata | None) -> None:
    """Raise ParameterError for what is no metadata."""
    if metadata is None:
        return
    from imgtool.image.metadata import Metadata

    if not isinstance(metadata, Metadata):
        raise ParameterError(f"metadata is what read_metadata returns, not {type(metadata)}")


def to_writable(image: ArrayLike) -> np.ndarray:
    """Return an image as it is encoded: a mask in black and white of 8 bits, others in their type."""
    if isinstance(image, np.ndarray) and image.dtype == np.bool_:
        image = np.where(image, np.uint8(255), np.uint8(0))
    return image_array(image)


def storage_type(
    name: str, shape: tuple[int, ...], dtype: np.dtype, quality: int | None = None, compression: int | None = None
) -> np.dtype:
    """Return the type in which a format stores such an image.

    Raises ImageError, naming the formats that fit, when this one does not, ParameterError for options of another.
    """
    _require_capacity(name, shape, np.dtype(np.float32) if name == "pfm" and dtype == np.float64 else dtype)
    if quality is not None and name not in ("jpeg", "webp", "jp2"):
        raise ParameterError(f"quality is for jpeg, webp and jp2, not for {name}", parameters=("quality",))
    if compression is not None and name != "png":
        raise ParameterError(f"compression is for png, not for {name}", parameters=("compression",))
    return np.dtype(np.float32) if name == "pfm" else dtype


def _require_capacity(name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    channels = shape[2] if len(shape) == 3 else 1
    types, counts = capacity_of(name)
    fits, too_large = dtype.name in types and channels in counts, max(shape[:2]) > MAX_SIDE.get(name, math.inf)
    if fits and not too_large:
        return
    fitting = [each for each, (t, c) in CAPACITY.items() if dtype.name in t and channels in c]
    if fits:
        others = ", ".join(each for each in fitting if max(shape[:2]) <= MAX_SIDE.get(each, math.inf))
        text = f"is {shape[1]}x{shape[0]} pixels, and {name} holds {MAX_SIDE[name]} a side; {others} hold more"
        raise ImageError(text, hint="size")
    others = f"{', '.join(fitting)} can" if fitting else "no format can"
    text = f"{name} cannot hold {channels} channel{'s' * (channels != 1)} of {dtype.name}; {others}"
    if channels not in counts:
        raise ImageError(text)
    raise ImageError(text, hint="depth" if _8 in types else "float")


def _require_range(image: np.ndarray, name: str) -> None:
    """Raise ImageError for finite numbers that float32 does not hold."""
    sizes = np.abs(image)
    largest = sizes.max(initial=0, where=np.isfinite(sizes))
    if largest > np.finfo(np.float32).max:
        raise ImageError(f"holds values of {largest:.3g}, and {name} only float32; tiff and npy hold them")


def _opencv(image: np.ndarray, name: str, quality: int | None, compression: int | None, *, spoil: bool) -> bytes:
    """Encode with OpenCV, whose channels are BGR."""
    import cv2

    options = {
        "png": [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION if compression is None else compression],
        "jpeg": _jpeg_options(quality or 90),
        "webp": [cv2.IMWRITE_WEBP_QUALITY, quality or 90],
    }[name]
    if image.ndim == 3:
        image = _to_bgr(image, spoil=spoil) if image.shape[2] > 1 else image[:, :, 0]
    try:
        done, data = cv2.imencode(f".{name}", np.ascontiguousarray(image), options)
    except cv2.error as error:
        raise ImageError(f"cannot be encoded as {name}: {error.err}") from None
    if not done:
        raise ImageError(f"cannot be encoded as {name}")
    return data.tobytes()


def _to_bgr(image: np.ndarray, *, spoil: bool) -> np.ndarray:
    """Return RGB as BGR, RGBA as BGRA: a copy, or the image itself, a few rows at a time."""
    import cv2

    code = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    if not spoil:
        return np.asarray(cv2.cvtColor(image, code))
    step = max(1, _SWAPPED_BYTES // image[0].nbytes)
    for begin in range(0, len(image), step):
        rows = image[begin : begin + step]
        rows[...] = cv2.cvtColor(rows, code)
    return image


def _jpeg_options(quality: int) -> list[int]:
    """Return OpenCV's options: color at half resolution below quality 90, at full from there on."""
    import cv2

    full, half = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full if quality >= 90 else half]
    return [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling]


def _png_gray_alpha(image: np.ndarray, compression: int | None) -> bytes:
    """Encode gray with alpha as PNG, which OpenCV does not; 16 bits are told to Pillow as four channels of 8 bits.

    A PNG's rows and filters are made of bytes, so that only the header has to say what they mean.
    """
    from PIL import Image

    deep = image.dtype == np.uint16
    samples = np.ascontiguousarray(image, ">u2").view(np.uint8) if deep else np.ascontiguousarray(image)
    stream = io.BytesIO()
    Image.fromarray(samples).save(stream, "PNG", compress_level=PNG_COMPRESSION if compression is None else compression)
    data = stream.getvalue()
    if not deep:
        return data
    head = b"IHDR" + struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 16, _GRAY_ALPHA, 0, 0, 0)
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]


def _jp2(image: np.ndarray, quality: int | None) -> bytes:
    """Encode as JPEG 2000, lossless without a quality, else at 20 + 0.3 quality dB."""
    if image.ndim == 3 and image.dtype == np.uint16:
        return _deep_jp2(image, quality)
    from PIL import Image

    options: dict[str, Any] = {"num_resolutions": min(6, min(image.shape[:2]).bit_length())}
    if quality is not None:
        options |= {"irreversible": True, "quality_mode": "dB", "quality_layers": [20 + 0.3 * quality]}
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "JPEG2000", **options)
    return stream.getvalue()


def _deep_jp2(image: np.ndarray, quality: int | None) -> bytes:
    """Encode 16-bit color as lossless JPEG 2000 with OpenCV, which halves the sides five times; Pillow cannot."""
    import cv2

    if quality is not None:
        raise ImageError("16-bit color is written as lossless jp2 only, which takes no quality", hint="lossless")
    if min(image.shape[:2]) < 32:
        raise ImageError("jp2 of 16-bit color needs 32 pixels a side; png and tiff hold smaller images")
    pixels = np.ascontiguousarray(image[:, :, [2, 1, 0, 3][: image.shape[2]]])
    done, data = cv2.imencode(".jp2", pixels, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    if not done:
        raise ImageError("cannot be encoded as jp2")
    return data.tobytes()


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


def _bmp(image: np.ndarray) -> bytes:
    """Encode as BMP: gray by a palette of 256, color in 24 bits, alpha in 32 bits with the masks of a V4 header."""
    height, width = image.shape[:2]
    channels = image.shape[2] if image.ndim == 3 else 1
    pixels = image[:, :, [2, 1, 0, 3][:channels]] if channels > 1 else image
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, -width * channels % 4)))
    palette = np.repeat(np.arange(256, dtype=np.uint8), 4).reshape(-1, 4) * np.array([1, 1, 1, 0], np.uint8)
    colors = palette.tobytes() if channels == 1 else b""
    size, compression = (108, 3) if channels == 4 else (40, 0)
    info = struct.pack("<IiiHHIIiiII", size, width, height, 1, 8 * channels, compression, rows.size, 0, 0, 0, 0)
    if channels == 4:
        info = (info + struct.pack("<4I4s", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs")).ljust(size, b"\0")
    offset = 14 + len(info + colors)
    file = struct.pack("<2sIHHI", b"BM", offset + rows.size, 0, 0, offset)
    return file + info + colors + rows[::-1].tobytes()


_OWN_ENCODERS: dict[str, Callable[[np.ndarray], bytes]] = {
    "bmp": _bmp,
    "tiff": _tiff,
    **{name: plain.encode for name, plain in PLAIN_FORMATS.items()},
}
