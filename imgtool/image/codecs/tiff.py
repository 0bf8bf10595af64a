"""TIFF: tags by tifffile, samples by tiff_samples.py; what they mean, here.

Source: Adobe, "TIFF Revision 6.0", 1992; BigTIFF by the libtiff project.
"""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import tifffile

from imgtool.errors import ImageError
from imgtool.image.codecs import jpeg
from imgtool.image.codecs.header import BANDS, Header, Page, require_page
from imgtool.image.codecs.orientation import displayed_size, require_supported, upright
from imgtool.image.codecs.photometry import (
    FULL_RANGE,
    REC_601,
    cielab_to_rgb,
    cmyk_to_rgb,
    scale_samples,
    unpremultiply,
    ycbcr_to_rgb,
)
from imgtool.image.codecs.pillow import open_image, to_array
from imgtool.image.codecs.tiff_codecs import is_image
from imgtool.image.codecs.tiff_pages import FILTER_ARRAY, RAW, REDUCED, Directory, chain, directories
from imgtool.image.codecs.tiff_samples import sample_type, samples
from imgtool.image.ifd import Content, DamagedError, FileContent, directory, layout_of, numbers, value

if TYPE_CHECKING:
    from imgtool.image.found import Found

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _CIELAB = 0, 1, 2, 3, 5, 6, 8
_COLORS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}  # samples that make the color, by photometric interpretation
_PLAIN = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
_ASSOCIATED, _UNASSOCIATED = 1, 2
_ORIENTATION = 274
# Tags -> what is in them, and who takes it; GeoTIFF's are scale, tie points, matrix, keys, RPCs.
_KEPT = {
    34675: ("ICC profile", "profile"), 700: ("XMP", "xmp"),
    **dict.fromkeys((33550, 33922, 34264, 34735, 34736, 34737, 50844), ("georeference", "georeference")),
    42112: ("GDAL's metadata", "nodata"), 42113: ("GDAL's nodata value", "nodata"), 33723: ("IPTC", ""),
}  # fmt: skip
_OLD_JPEG = 6
_FLOAT = 3

# tifffile reports what is odd in a file to the log; what matters comes as an error, in one line.
logging.getLogger("tifffile").disabled = True


def header(data: bytes, page: int | None = None) -> Header:
    """Read the tags of a page, and what the other pages are."""
    with _open(data) as file:
        found, broken = chain(data)
        number = _number(page, found, data, broken)
        pages = tuple(_described(data, each, len(found)) for each in found)
        if found and (picture := _embedded_jpeg(data, found[number - 1])):
            _, width, height = pages[number - 1]
            inside = jpeg.header(picture)
            return replace(inside, format="tiff", height=height, width=width, page=number, pages=pages, broken=broken)
        shown = _page(file, number, found)
        orientation = _orientation(shown)
        height, width = displayed_size(orientation, shown.imagelength, shown.imagewidth)
        bands = _bands(shown)
        channels = _color_bands(shown) + (_alpha_place(shown) is not None)
        dtype = _shown_type(shown)
        tag = shown.tags.get(34675)
        profile = f"{len(tag.value)} bytes" if tag else None
        return Header("tiff", height, width, channels, dtype, orientation, profile, number, pages, bands, broken)


def _described(data: bytes, page: Directory, count: int) -> Page:
    """Return what a page is; a single one is an image."""
    width, height = page.size
    if picture := _embedded_jpeg(data, page):
        inside = jpeg.quick_header(picture)
        height, width = displayed_size(page.orientation, inside.height, inside.width)
    return Page("image" if count == 1 and page.kind == "page" else page.kind, width, height)


def _number(page: int | None, found: list[Directory], data: Content, broken: bool = False) -> int:
    """Return the number of the page to read: the first that is no reduced version of another, unless told otherwise.

    Raises ImageError where that is no picture yet, naming the preview that there is.
    """
    if page is not None:
        require_page(page, max(1, len(found)), broken)
        if found and found[page - 1].kind in RAW:
            raise ImageError(f"its page {page} is a {found[page - 1].kind}, which imgtool does not read")
        return page
    kinds = [each.kind for each in found]
    number = next((number for number, kind in enumerate(kinds, 1) if kind != REDUCED), 1)
    if not kinds or kinds[number - 1] not in RAW:
        return number
    what = "a color filter array" if kinds[number - 1] == FILTER_ARRAY else kinds[number - 1]
    text = f"its full picture is {what}, which imgtool does not read"
    previews = [k for k, kind in enumerate(kinds, 1) if kind not in RAW]
    if not previews:
        raise ImageError(text)
    sizes = {k: _described(bytes(data[:]), found[k - 1], len(found)) for k in previews}
    largest = max(previews, key=lambda k: sizes[k].width * sizes[k].height)
    raise ImageError(f"{text}; page {largest} reads the preview", parameters=("page",))


def _embedded_jpeg(data: bytes, page: Directory) -> bytes | None:
    """Return the JPEG file that a preview in a camera's raw file is, None for other pages."""
    begin, size = page.old_jpeg or (0, 0)
    if page.kind == REDUCED and size and data[begin : begin + 2] == b"\xff\xd8":
        return data[begin : begin + size]
    return None


def declared_bytes(head: bytes, file: BinaryIO | None) -> int:
    """Return how many bytes the pages take; of a stream whose tags come later, where these are."""
    found = directories(FileContent(file) if file else head)
    if not found:
        big = head[2:4] in (b"+\0", b"\0+")
        return int.from_bytes(head[8:16] if big else head[4:8], "little" if head[:2] == b"II" else "big")
    return 2 * sum(each.bytes for each in found)


def metadata(data: Content, found: Found, page: int | None = None) -> None:
    """Find the profile, EXIF, XMP, resolution and georeference of the page that is read."""
    from imgtool.image.exif import block_of_tiff, has_maker_note, resolution_in

    pages = directories(data)
    layout, own = layout_of(data), directory(data, layout_of(data), pages[_number(page, pages, data) - 1].offset)
    entries = own.entries
    if _ORIENTATION in entries:
        found.orientation = numbers(data, layout, entries[_ORIENTATION])[0]
    if resolution := resolution_in(data, layout, own):
        found.resolution(*resolution)
    for tag in sorted(entries.keys() & _KEPT.keys()):
        name, take = _KEPT[tag]
        try:
            piece = value(data, layout, entries[tag])
        except DamagedError:
            found.leave_out(name, "it is damaged")
            continue
        if take in ("georeference", "nodata"):
            found.add(take, (tag, piece.kind, piece.data))
        elif take:
            getattr(found, take)(piece.data)
        else:
            found.leave_out(name, "it is not kept")
    try:
        found.exif(block_of_tiff(data, layout, own))
        if has_maker_note(data, layout, own):
            found.leave_out("EXIF's maker note", "what it points to would be elsewhere")
    except DamagedError:
        found.leave_out("EXIF", "it is damaged")


def _shown_type(page: Any) -> str:
    """Return the type of the picture."""
    return "uint8" if page.photometric == _PALETTE else _as_numbers(np.zeros(0, sample_type(page))).dtype.name


def decode(data: bytes, *, allow_truncated: bool, page: int = 1, every_band: bool = False) -> np.ndarray:
    """Return a page's pixels; every_band: with all samples, in the order of the file."""
    with _open(data) as file:
        found = directories(data)
        if found and (picture := _embedded_jpeg(data, found[page - 1])):
            return upright(jpeg.decode(picture, allow_truncated=allow_truncated), found[page - 1].orientation)
        shown = _page(file, page, found)
        if int(shown.compression) == _OLD_JPEG:
            require_supported(page == 1, "old-style JPEG-compressed TIFF of a further page")
            return _by_pillow(data, shown)
        stored = samples(data, shown, allow_truncated=allow_truncated)
        return upright(_meaning(shown, stored, every_band), _orientation(shown))


def plain_rows(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype, int] | None:
    """Return shape, stored type and offset when the only page's samples are the picture's rows as they stand.

    That is gray or color, with alpha or without, upright, of whole bytes, in uncompressed strips that follow each
    other. Of anything else return None.
    """
    with _open(file) as whole:
        found, broken = chain(FileContent(file))
        if len(found) != 1 or broken:
            return None
        page = _page(whole, 1, found)
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


def _page(file: tifffile.TiffFile, number: int, found: list[Directory]) -> Any:
    """Return a page, whose header must make sense."""
    if not len(file.pages):
        raise ImageError("holds no page")
    page: Any = file.pages[0]
    if number > 1:
        file.filehandle.seek(found[number - 1].offset)
        page = tifffile.TiffPage(file, number - 1)
    if page.imagewidth < 1 or page.imagelength < 1:
        raise ImageError("has no size in its header")
    if 262 not in page.tags and not (page.samplesperpixel == 1 and page.sampleformat == _FLOAT):
        raise ImageError("does not say what its samples mean: it has no photometric interpretation")
    require_supported(page.imagedepth == 1, "a TIFF volume")
    return page


def _orientation(page: Any) -> int:
    tag = page.tags.get(274)
    value = tag.value if tag else 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _color_bands(page: Any) -> int:
    """Return how many bands the color makes when it is shown."""
    return 3 if page.photometric in (_RGB, _PALETTE, _CMYK, _YCBCR, _CIELAB) else 1


def _alpha_place(page: Any) -> int | None:
    """Return which of the extra samples is alpha; None without one."""
    kinds = [int(kind) for kind in page.extrasamples]
    return next((place for place, kind in enumerate(kinds) if kind in (_ASSOCIATED, _UNASSOCIATED)), None)


def _bands(page: Any) -> tuple[str, ...]:
    """Return the names of all bands, in the order of the file."""
    names = list(BANDS[_color_bands(page)])
    extra = max(0, page.samplesperpixel - _COLORS.get(int(page.photometric), 1))
    alpha = _alpha_place(page)
    return (*names, *("alpha" if place == alpha else "unspecified" for place in range(extra)))


def _meaning(page: Any, samples: np.ndarray, every_band: bool) -> np.ndarray:
    """Turn samples into a picture: palette, photometry, depth, alpha; every_band: further samples after its color."""
    photometric, bits = int(page.photometric), int(page.bitspersample)
    require_supported(photometric in _COLORS, f"photometric interpretation {photometric}")
    colors, place = _COLORS[photometric], _alpha_place(page)
    if samples.shape[2] < colors:
        raise ImageError(f"has {samples.shape[2]} samples a pixel, fewer than its colors")
    color, extra = samples[:, :, :colors], samples[:, :, colors:]
    place = place if place is not None and place < extra.shape[2] else None
    if not every_band:
        extra, place = (extra[:, :, :0], None) if place is None else (extra[:, :, place : place + 1], 0)
    associated = place is not None and int(page.extrasamples[_alpha_place(page) or 0]) == _ASSOCIATED
    if samples.dtype.kind != "u" or bits > 16:
        require_supported(photometric in _PLAIN, "a photometric interpretation of such numbers")
        color, extra = _as_numbers(color), _as_numbers(extra)
        associated &= samples.dtype.kind == "f"
    else:
        extra = scale_samples(extra, (1 << bits) - 1)
        if photometric == _PALETTE:
            color, extra = _by_palette(page, color[:, :, 0]), extra.astype(np.uint8)
        else:
            color = _colors(page, scale_samples(color, (1 << bits) - 1))
    if associated and place is not None:
        color = unpremultiply(color, extra[:, :, place : place + 1])
    return _join(color, extra)


def _colors(page: Any, color: np.ndarray) -> np.ndarray:
    """Return gray or RGB of samples in their full range."""
    photometric = int(page.photometric)
    if photometric == _WHITE_IS_ZERO:
        return np.iinfo(color.dtype).max - color
    if photometric == _CMYK:
        require_supported(page.tags.valueof(332, default=1) == 1, "inks other than cyan, magenta, yellow and black")
        return cmyk_to_rgb(color)
    if photometric == _CIELAB:
        return cielab_to_rgb(color)
    if photometric == _YCBCR and not (is_image(page) and page.planarconfig == 1):
        require_supported(color.dtype == np.uint8, "YCbCr of more than 8 bits")
        return ycbcr_to_rgb(color, _luma_weights(page), _reference_levels(page))
    return color


def _luma_weights(page: Any) -> tuple[float, ...]:
    """Return what red, green and blue add to luma."""
    found = page.tags.valueof(529)
    if found is None or len(found) != 6 or not all(found[1::2]) or not found[2]:
        return REC_601
    return tuple(found[k] / found[k + 1] for k in (0, 2, 4))


def _reference_levels(page: Any) -> tuple[tuple[float, float], ...]:
    """Return the levels of black and white of each channel of YCbCr."""
    found = page.tags.valueof(532)
    if found is None or len(found) != 12 or not all(found[1::2]):
        return FULL_RANGE
    levels = [found[k] / found[k + 1] for k in range(0, 12, 2)]
    pairs = tuple(zip(levels[::2], levels[1::2], strict=True))
    return pairs if all(low < high for low, high in pairs) else FULL_RANGE


def _as_numbers(samples: np.ndarray) -> np.ndarray:
    """Return floats of half precision as float32, all other numbers in their type."""
    return samples.astype(np.float32) if samples.dtype == np.float16 else samples


def _by_palette(page: Any, indices: np.ndarray) -> np.ndarray:
    """Look up colors; a palette has 16 bits a color, in which writers put v * 256 or v * 257, or v alone."""
    palette = np.asarray(page.colormap, np.uint16)
    if palette.shape != (3, 1 << int(page.bitspersample)):
        raise ImageError("has a palette of the wrong length")
    colors = (palette if palette.max() < 256 else palette >> 8).astype(np.uint8)
    return np.asarray(colors[:, indices].transpose(1, 2, 0))


def _join(color: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """Return (height, width) or (height, width, channels)."""
    if extra.shape[2]:
        return np.concatenate([color, extra], axis=2)
    return color[:, :, 0] if color.shape[2] == 1 else color


def _by_pillow(data: bytes, page: Any) -> np.ndarray:
    """Decode the old kind of JPEG compression, whose tables lie anywhere in the file; Pillow also turns it upright."""
    plain = page.photometric in (_BLACK_IS_ZERO, _RGB, _YCBCR) and page.planarconfig == 1 and page.bitspersample == 8
    require_supported(plain, "old-style JPEG-compressed TIFF of such samples")
    with open_image(data, ["TIFF"]) as image:
        image.load()
        return to_array(image)
