"""Read an image: bytes in, an array out, as it is displayed and at its full depth.

An array is (height, width) or (height, width, channels), channels gray, gray and alpha, RGB or RGBA: uint8 or uint16,
or numbers in their type, any other integers or floats. Orientation is applied, palettes are expanded, alpha is not
premultiplied; of several images or frames the first is read. CMYK becomes RGB by (1 - c)(1 - k); color profiles are not
applied.

DECODERS says which library serves which format, and why.
"""

from __future__ import annotations

import importlib
import os
import struct
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import numpy as np

from imgtool.errors import ImageError, ParameterError
from imgtool.files import open_regular
from imgtool.image.codecs.header import Header, format_of_bytes
from imgtool.image.content import MAX_BYTES, file_content, limit_of
from imgtool.image.shared_setting import SharedSetting
from imgtool.remarks import Remark

if TYPE_CHECKING:
    from imgtool.image.ifd import Content
    from imgtool.image.metadata import Metadata

MAX_PIXELS = 178_000_000
_MARK_BYTES = 4096  # in which a file's format is told

Result = TypeVar("Result")


class _Warnings:
    """Python's warning filters, which may be changed by one thread at a time only."""

    def __init__(self) -> None:
        self._before = warnings.catch_warnings()

    def ignore(self, on: bool) -> None:
        """Ignore all warnings, or bring back the filters that were there before."""
        if on:
            self._before = warnings.catch_warnings()
            self._before.__enter__()
            warnings.simplefilter("ignore")
        else:
            self._before.__exit__(None, None, None)


_silence = SharedSetting(_Warnings().ignore)

# Format -> module of codecs with `header(data)`, `decode(data, allow_truncated)` and, where the format has room for
# any, `metadata(content, found)`.
#
# png   OpenCV for 16 bits and plain 8 bits, else Pillow (Pillow makes 16-bit color 8-bit, OpenCV mistakes tRNS); chunks
#       by ourselves: whether all rows are there, and what there is of a cut file
# jpeg  OpenCV for common ones that end as they should (the same bits, faster), else Pillow
# webp  Pillow: it says when a file is cut, which OpenCV does not
# jp2   Pillow, OpenCV for several components above 8 bits (Pillow makes them 8-bit); boxes by ourselves: palettes,
#       order of channels, color space
# gif   Pillow; sizes, transparent gray and background by ourselves
# bmp, pnm, npy   short enough to read ourselves (readers differ on BMP's bit fields, runs and palettes; OpenCV ignores
#       PNM's maxval)
# tiff  tifffile for tags; strips, tiles, depths, predictors, photometry, palette, orientation by ourselves, since
#       tifffile leaves most of it to a package of 40 MB; LZW, PackBits, Zstandard, fax, JPEG, WebP by Pillow's codecs,
#       one strip at a time
DECODERS = {
    "png": "imgtool.image.codecs.png",
    "jpeg": "imgtool.image.codecs.jpeg",
    "webp": "imgtool.image.codecs.webp",
    "gif": "imgtool.image.codecs.gif",
    "bmp": "imgtool.image.codecs.bmp",
    "jp2": "imgtool.image.codecs.jp2",
    "tiff": "imgtool.image.codecs.tiff",
    "pnm": "imgtool.image.codecs.pnm",
    "npy": "imgtool.image.codecs.npy",
}


def probe(source: str | os.PathLike[str] | bytes | BinaryIO) -> Header:
    """Read the header of an image file, without decoding pixels.

    Parameters
    ----------
    source : path, bytes or binary file
        Where the image is.

    Returns
    -------
    Header
        With `format`; `height`, `width`, `channels` and `dtype` of the array that `read` returns; `orientation`
        (EXIF's, 1 to 8, as stored); and `profile`, the name or size of the color profile, or None.

    Raises
    ------
    ImageError
        The file cannot be read, or is not an image that imgtool supports.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> header = imgtool.probe(imgtool.encode(np.zeros((4, 6, 3), np.uint16), "png"))
    >>> header.format, header.height, header.width, header.channels, header.dtype
    ('png', 4, 6, 3, 'uint16')
    """
    data = _content(source)
    return call_decoder(lambda: _header(data))


def read(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    max_pixels: int = MAX_PIXELS,
    allow_truncated: bool = False,
    remarks: list[Remark] | None = None,
) -> np.ndarray:
    """Read an image as it is displayed, at full depth.

    Parameters
    ----------
    source : path, bytes or binary file
        PNG, JPEG, WebP, GIF, BMP, JPEG 2000, TIFF, PNM, PAM, PFM or NPY; recognized by the first bytes, not by the
        name.
    max_pixels : int
        Larger images are refused before anything is decoded.
    allow_truncated : bool
        Return the existing part of a truncated file.
    remarks : list of Remark, optional
        Takes what the file holds and the array lacks.

    Returns
    -------
    ndarray, (height, width) or (height, width, channels)
        uint8 or uint16; from TIFF and NPY also other integers, float32 and float64, as they are stored. The channels
        are gray and alpha, RGB, or RGBA.

    Raises
    ------
    ImageError
        The file cannot be read; is not an image; is damaged, truncated or too large; or uses an unsupported feature.

    Notes
    -----
    Orientation is applied, palettes are expanded, alpha is not premultiplied, color profiles are not applied; if there
    are several images or frames, the first is read. CMYK becomes RGB by (1 - c)(1 - k).

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> image = imgtool.read(imgtool.encode(np.zeros((4, 6, 3), np.uint8), "png"))
    >>> image.shape, image.dtype
    ((4, 6, 3), dtype('uint8'))
    """
    data = _content(source, limit_of(max_pixels))

    def decode() -> np.ndarray:
        decoder = importlib.import_module(DECODERS[format_of_bytes(data)])
        if hasattr(decoder, "size"):  # opening a file takes a while, even if only for its header
            height, width = decoder.size(data)
        else:
            header = _header(data)
            height, width = header.height, header.width
        require_allowed(height, width, max_pixels)
        image: np.ndarray = decoder.decode(data, allow_truncated=allow_truncated)
        return np.ascontiguousarray(image)

    return call_decoder(decode)


def read_metadata(
    source: str | os.PathLike[str] | bytes | BinaryIO, *, remarks: list[Remark] | None = None
) -> Metadata:
    """Read what an image file says of its picture beside the pixels.

    Parameters
    ----------
    source : path, bytes or binary file
        An image that `read` reads.
    remarks : list of Remark, optional
        Takes what is left out: damaged or huge pieces, and kinds that are not kept.

    Returns
    -------
    Metadata
        For the picture as `read` returns it, upright: `profile`, `exif`, `resolution` ... `encode` and `write` take it.

    Raises
    ------
    ImageError
        The file cannot be read, or is not an image that imgtool supports. Damaged metadata raises nothing.

    Examples
    --------
    >>> import imgtool
    >>> found = imgtool.read_metadata("sample_images/rocket_turned.jpg")
    >>> imgtool.read_metadata(imgtool.encode(imgtool.read("sample_images/cat.jpg"), "png", metadata=found)) == found
    True
    """
    noted = [] if remarks is None else remarks
    if not isinstance(source, str | os.PathLike):
        return _metadata_in(_content(source), noted)
    try:
        found = _metadata_of_file(source, noted)
    except OSError as error:
        raise ImageError((error.strerror or str(error)).lower()) from None
    return _metadata_in(_content(source), noted) if found is None else found


def _metadata_of_file(path: str | os.PathLike[str], remarks: list[Remark]) -> Metadata | None:
    """Return the metadata of a file of which little has to be read; None where all of it has to be."""
    from imgtool.image.ifd import FileContent
    from imgtool.image.metadata import Metadata

    with open_regular(path) as file:
        content = FileContent(file)
        name = format_of_bytes(content[:_MARK_BYTES])
        if name == "tiff":
            return _metadata_in(content, remarks)
    return None if hasattr(importlib.import_module(DECODERS[name]), "metadata") else Metadata()


def _metadata_in(content: Content, remarks: list[Remark]) -> Metadata:
    """Return what the module that serves the format finds; where it fails, what it has found till then."""
    from imgtool.image.found import Found

    decoder = importlib.import_module(DECODERS[format_of_bytes(content[:_MARK_BYTES])])
    found = Found(remarks)
    if hasattr(decoder, "metadata"):
        try:
            decoder.metadata(content, found)
        except (ValueError, IndexError, struct.error, ImageError):  # of a hostile file
            found.leave_out("metadata", "it is damaged")
    return found.metadata()


def require_allowed(height: int, width: int, max_pixels: int) -> None:
    """Raise ImageError when an image has more pixels than are allowed."""
    if height * width > max_pixels:
        text = f"has {width}x{height} pixels, more than the {max_pixels} that are allowed"
        raise ImageError(text, hint="max-pixels")


def _header(data: bytes) -> Header:
    """Read the header with the module that serves the format."""
    name = format_of_bytes(data)
    header: Header = importlib.import_module(DECODERS[name]).header(data)
    if header.height < 1 or header.width < 1:
        raise ImageError("has no pixels")
    return header


def _content(source: str | os.PathLike[str] | bytes | BinaryIO, limit: int = MAX_BYTES) -> bytes:
    """Return the bytes of a path, file or bytes; of a path, at most so many."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | os.PathLike):
        return file_content(source, limit)
    if not hasattr(source, "read"):
        raise ParameterError(f"an image is read from a path, bytes or an open file, not from {type(source)}")
    return source.read()


def call_decoder(work: Callable[[], Result]) -> Result:
    """Do what calls decoders, whose many kinds of errors all mean that the file is broken."""
    try:
        with _silence.at(True):
            return work()
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # whatever a decoder raises on a hostile file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"cannot be decoded: {reason[:160]}") from None
