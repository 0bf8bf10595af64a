"""Read an image: bytes in, an array out, as it is displayed and at its full depth.

An array is (height, width) or (height, width, channels), channels gray, gray and alpha, RGB or RGBA: uint8 or uint16,
or numbers in their type, any other integers or floats. Orientation is applied, palettes are expanded, alpha is not
premultiplied; of several pages the first is read that is no reduced version of another. CMYK becomes RGB by
(1 - c)(1 - k); color profiles are not applied.

`decoders.DECODERS` says which library serves which format, and why.
"""

from __future__ import annotations

import importlib
import os
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from imgtool.errors import ImageError, ParameterError
from imgtool.files import open_regular
from imgtool.image.codecs.header import BANDS, MAX_PIXELS, PAGED, Header, format_of_bytes, require_page
from imgtool.image.content import file_content, stream_content
from imgtool.image.decoders import DECODERS
from imgtool.image.decoding import call_decoder
from imgtool.parameters import require_pixels
from imgtool.remarks import Remark

if TYPE_CHECKING:
    from imgtool.image.ifd import Content
    from imgtool.image.metadata import Metadata

_MARK_BYTES = 4096  # in which a file's format is told
_OWN_METADATA = ("tiff", "jpeg", "heic")  # formats of whose pages each has its own
_MOST_CHANNELS = 4
_WITH_ALPHA = (2, 4)  # numbers of channels of which the last is alpha


def probe(source: str | os.PathLike[str] | bytes | BinaryIO, *, page: int | None = None) -> Header:
    """Read the header of an image file, without decoding pixels.

    Parameters
    ----------
    source : path, bytes or binary file
        Where the image is.
    page : int, optional
        As for `read`.

    Returns
    -------
    Header
        With `format`; `height`, `width`, `channels` and `dtype` of the array that `read` returns; `orientation`
        (EXIF's, 1 to 8, as stored); `profile`, the name or size of the color profile, or None; `page`, the page that
        `read` takes; `pages`, for each page of the file its `kind`, `width` and `height`; and `bands`, the names of
        the samples of a pixel, those after `channels` being beyond color and alpha.

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
    data = _content(source, MAX_PIXELS)
    page = _checked_page(page)
    return call_decoder(lambda: _header(data, page))


def read(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    max_pixels: int = MAX_PIXELS,
    allow_truncated: bool = False,
    page: int | None = None,
    bands: Sequence[int] | None = None,
    remarks: list[Remark] | None = None,
) -> np.ndarray:
    """Read an image as it is displayed, at full depth.

    Parameters
    ----------
    source : path, bytes or binary file
        PNG, JPEG, WebP, GIF, BMP, JPEG 2000, TIFF, PNM, PAM, PFM, NPY, AVIF or, with the extra `heif`, HEIC;
        recognized by the first bytes, not by the name.
    max_pixels : int
        Larger images are refused before anything is decoded.
    allow_truncated : bool
        Return the existing part of a truncated file.
    page : int, optional
        Which page, frame or image of several, counted from 1 in the file's order (TIFF's SubIFDs after their page).
        Default: the first that is no reduced version of another.
    bands : sequence of int, optional
        Which samples of each pixel, counted from 1, one for gray or three for RGB; then perhaps the one that is alpha.
        Default: color and alpha.
    remarks : list of Remark, optional
        Takes what the file holds and the array lacks: other pages ("pages"), further samples ("bands").

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
    Orientation is applied, palettes are expanded, alpha is not premultiplied, color profiles are not applied. CMYK
    becomes RGB by (1 - c)(1 - k); `bands` counts red, green and blue then.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> image = imgtool.read(imgtool.encode(np.zeros((4, 6, 3), np.uint8), "png"))
    >>> image.shape, image.dtype
    ((4, 6, 3), dtype('uint8'))
    """
    page, bands = _checked_page(page), _checked_bands(bands)
    require_pixels(max_pixels)
    data = _content(source, max_pixels)

    def decode() -> np.ndarray:
        decoder, header = _decoder(data), _header(data, page, quick=bands is None)
        require_allowed(header.height, header.width, max_pixels)
        _require_samples(header, max_pixels)
        which = _places(header, bands)
        image = _decode(decoder, data, header, allow_truncated, which)
        if remarks is not None:
            remarks.extend(_left_out(header, page, bands))
        return np.ascontiguousarray(image)

    return call_decoder(decode)


def read_metadata(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    page: int | None = None,
    remarks: list[Remark] | None = None,
) -> Metadata:
    """Read what an image file says of its picture beside the pixels.

    Parameters
    ----------
    source : path, bytes or binary file
        An image that `read` reads.
    page : int, optional
        As for `read`.
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
    from imgtool.image.metadata import Metadata

    return find_metadata(source, _checked_page(page), [] if remarks is None else remarks) or Metadata()


def find_metadata(
    source: str | os.PathLike[str] | bytes | BinaryIO, page: int | None, remarks: list[Remark]
) -> Metadata | None:
    """Return an image's metadata, None where there is none, as most often; see `read_metadata`."""
    if not isinstance(source, str | os.PathLike):
        return _metadata_in(_content(source, MAX_PIXELS), remarks, page)
    from imgtool.image.ifd import FileContent

    try:
        with open_regular(source) as file:
            content = FileContent(file)
            name = format_of_bytes(content[:_MARK_BYTES])
            if name == "tiff":  # of which little has to be read
                return _metadata_in(content, remarks, page)
    except OSError as error:
        raise ImageError((error.strerror or str(error)).lower()) from None
    has_any = hasattr(importlib.import_module(DECODERS[name]), "metadata")
    return _metadata_in(_content(source, MAX_PIXELS), remarks, page) if has_any else None


def _metadata_in(content: Content, remarks: list[Remark], page: int | None) -> Metadata | None:
    """Return what the module that serves the format finds; where it fails, what it has found till then."""
    from imgtool.image.found import Found

    name = format_of_bytes(content[:_MARK_BYTES])
    decoder, found = importlib.import_module(DECODERS[name]), Found(remarks)
    own = {"page": page} if name in _OWN_METADATA else {}
    if hasattr(decoder, "metadata"):
        try:
            decoder.metadata(content, found, **own)
        except (ValueError, IndexError, struct.error, ImageError):  # of a hostile file
            found.leave_out("metadata", "it is damaged")
    return found.metadata()


def require_allowed(height: int, width: int, max_pixels: int) -> None:
    """Raise ImageError when an image has more pixels than are allowed."""
    if height * width > max_pixels:
        text = f"has {width}x{height} pixels, more than the {max_pixels} that are allowed"
        raise ImageError(text, hint="max-pixels")


def _require_samples(header: Header, max_pixels: int) -> None:
    """Raise ImageError when the bands, all of which are decoded, make more samples than pixels of RGBA would."""
    if header.height * header.width * len(header.bands) > _MOST_CHANNELS * max_pixels:
        text = f"has {header.width}x{header.height} pixels of {len(header.bands)} bands"
        raise ImageError(f"{text}, more samples than {max_pixels} pixels may have", hint="max-pixels")


def _decoder(data: bytes) -> ModuleType:
    """Return the module that serves the format."""
    return importlib.import_module(DECODERS[format_of_bytes(data)])


def _header(data: bytes, page: int | None, *, quick: bool = False) -> Header:
    """Read the header; quick: where a codec knows what has to be known before decoding in less time, only that."""
    decoder = _decoder(data)
    quick = quick and hasattr(decoder, "quick_header")
    read_header = decoder.quick_header if quick else decoder.header
    if format_of_bytes(data) in PAGED:
        header: Header = read_header(data, page)
    else:
        require_page(page, 1)
        header = read_header(data)
    if not quick and (header.height < 1 or header.width < 1):
        raise ImageError("has no pixels")
    return header


def _decode(
    decoder: ModuleType, data: bytes, header: Header, allow_truncated: bool, which: list[int] | None
) -> np.ndarray:
    """Return the pixels of the page that the header describes; which: the bands asked for, counted from 0."""
    asked: dict[str, Any] = {"page": header.page} if header.page != 1 else {}
    if which and len(header.bands) > header.channels:
        asked["every_band"] = True
    image: np.ndarray = decoder.decode(data, allow_truncated=allow_truncated, **asked)
    if which is None:
        return image
    planes = image.reshape(*image.shape[:2], -1)
    if max(which) >= planes.shape[2]:
        raise ImageError(f"has {planes.shape[2]} bands; there is no band {max(which) + 1}")
    return planes[:, :, which] if len(which) > 1 else planes[:, :, which[0]]


def _checked_page(page: int | None) -> int | None:
    """Return the number of a page. Raises ParameterError for what is none."""
    if page is not None and (isinstance(page, bool) or not isinstance(page, int | np.integer) or page < 1):
        raise ParameterError(f"page must be a whole number from 1 on, got {page!r}", parameters=("page",))
    return None if page is None else int(page)


def _checked_bands(bands: Sequence[int] | None) -> tuple[int, ...] | None:
    """Return the numbers of bands. Raises ParameterError for what are none."""
    if bands is None:
        return None
    try:
        numbers = tuple(int(each) for each in bands)
        right = 1 <= len(numbers) <= _MOST_CHANNELS and min(numbers) >= 1 and numbers == tuple(bands)
    except (TypeError, ValueError):
        right = False
    if not right:
        raise ParameterError(f"bands must be one to four whole numbers from 1 on, got {bands!r}", parameters=("bands",))
    return numbers


def _places(header: Header, bands: tuple[int, ...] | None) -> list[int] | None:
    """Return which bands are asked for, counted from 0. Raises ImageError where they would make no image."""
    names = header.bands
    if bands is None:
        if header.channels > _MOST_CHANNELS:
            text = f"has {header.channels} samples a pixel; an image has up to {_MOST_CHANNELS}, which bands picks"
            raise ImageError(text, parameters=("bands",))
        return None
    if max(bands) > len(names):
        raise ImageError(f"has no band {max(bands)}: its {len(names)} are {', '.join(names)}")
    if len(bands) in _WITH_ALPHA and names[bands[-1] - 1] != "alpha":
        text = f"would take band {bands[-1]}, which is {names[bands[-1] - 1]}, for alpha"
        raise ImageError(f"{text}; bands picks one or three, and perhaps alpha", parameters=("bands",))
    return [each - 1 for each in bands]


def _left_out(header: Header, page: int | None, bands: tuple[int, ...] | None) -> Iterator[Remark]:
    """Yield remarks on the pages and bands that a file holds and nobody chose among."""
    if page is None:
        others = [each for number, each in enumerate(header.pages, 1) if number != header.page]
        for kind, count in Counter(each.kind for each in others).items():
            detail = "further" if header.broken else ""
            yield Remark("pages", count, detail if kind in ("page", "image") else kind)
        if header.broken:
            yield Remark("pages", 1, "behind a broken link, perhaps with more")
    if bands is None and len(header.bands) > header.channels:
        for name, count in (Counter(header.bands) - Counter(BANDS.get(header.channels, ()))).items():
            yield Remark("bands", count, name)


def _content(source: str | os.PathLike[str] | bytes | BinaryIO, max_pixels: int) -> bytes:
    """Return the bytes of a path, file or bytes; of a path or file no more than an image of so many pixels has."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | os.PathLike):
        return file_content(source, max_pixels)
    if not hasattr(source, "read"):
        raise ParameterError(f"an image is read from a path, bytes or an open file, not from {type(source)}")
    return stream_content(source, max_pixels)
