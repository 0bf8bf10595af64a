"""JPEG 2000: boxes by ourselves, the codestream through Pillow, or OpenCV for several components above 8 bits.

Pillow makes such components 8-bit and follows only some of the boxes, so palettes and the order of
channels are undone here.
Source: ISO/IEC 15444-1, annexes A (codestream) and I (boxes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from imgtool.errors import ImageError
from imgtool.image import marks
from imgtool.image.codecs import pillow
from imgtool.image.codecs.boxes import boxes
from imgtool.image.codecs.header import Header
from imgtool.image.codecs.orientation import require_supported
from imgtool.image.codecs.photometry import cmyk_to_rgb, scale_samples, ycbcr_to_rgb

if TYPE_CHECKING:
    from imgtool.image.found import Found
    from imgtool.image.ifd import Content

_START, _TILE, _END = b"\xff\x4f\xff\x51", b"\xff\x90", b"\xff\xd9"
_TILE_HEADER = 14  # bytes of a tile's shortest header; a length of 0 means up to the end marker
_UNKNOWN, _CMYK, _SRGB, _GRAY, _YCC = 0, 12, 16, 17, 18
_OF_PROFILES = {b"CMYK": _CMYK, b"RGB ": _SRGB, b"GRAY": _GRAY}
_PROFILE_HEAD = 128  # bytes of a profile's header
_OPACITY, _PREMULTIPLIED = 1, 2
_FOLDERS = {b"jp2h", b"res "}
_RESOLUTIONS = {b"resc", b"resd"}  # as captured, and as to be displayed
_GEO = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")


@dataclass
class _Parts:
    """The codestream and what the boxes around it say of its colors."""

    stream: bytes
    boxes: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def space(self) -> int:
        """The number of the color space; 0 when it is not said."""
        if self.profile:
            return _OF_PROFILES.get(self.profile[16:20], -1)
        colr = self.boxes.get(b"colr", b"")
        return int.from_bytes(colr[3:7], "big") if colr[:1] == b"\1" else _UNKNOWN

    @property
    def profile(self) -> bytes | None:
        """The ICC profile."""
        colr = self.boxes.get(b"colr", b"")
        return colr[3:] if colr[:1] in (b"\2", b"\3") and len(colr) > _PROFILE_HEAD else None


@dataclass(frozen=True)
class _Size:
    """The codestream's SIZ marker: the picture's box on the canvas; of each component bits, sign and step."""

    left: int
    top: int
    right: int
    bottom: int
    bits: tuple[int, ...]
    signed: bool
    steps: tuple[tuple[int, int], ...]

    @property
    def is_subsampled(self) -> bool:
        return any(step != (1, 1) for step in self.steps)


def header(data: bytes) -> Header:
    """Read size, channels and depth."""
    parts = _parts(data)
    size = _size(parts.stream)
    channels = len(size.bits)
    if b"pclr" in parts.boxes:
        channels = _palette(parts.boxes[b"pclr"]).shape[1]
    if parts.space == _CMYK:
        channels = 3
    dtype = "uint16" if max(size.bits) > 8 else "uint8"
    profile = parts.profile
    shape = (size.bottom - size.top, size.right - size.left)
    return Header("jp2", *shape, channels, dtype, profile=f"{len(profile)} bytes" if profile else None)


def decode(data: bytes, *, allow_truncated: bool) -> np.ndarray:
    """Return the pixels."""
    parts = _parts(data)
    size = _size(parts.stream)
    require_supported(len(size.bits) <= 4, f"JPEG 2000 of {len(size.bits)} components")
    require_supported(max(size.bits) <= 16, f"JPEG 2000 of {max(size.bits)} bits")
    known = parts.space in (_UNKNOWN, _CMYK, _SRGB, _GRAY, _YCC)
    require_supported(known, "JPEG 2000 in another color space than sRGB, gray, YCC or CMYK")
    if size.is_subsampled:
        _require_even_steps(size, parts.space)
    image = _components(parts.stream, size, allow_truncated)
    if b"pclr" in parts.boxes:
        require_supported(image.ndim == 2, "JPEG 2000 with a palette and further components")
        image = _by_palette(image >> (8 - min(size.bits[0], 8)), parts.boxes)
    else:
        image = _full_range(image, size)
    if b"cdef" in parts.boxes:
        image = _in_order(image, parts.boxes[b"cdef"])
    if parts.space == _CMYK and image.ndim == 3 and image.shape[2] == 4:
        return cmyk_to_rgb(image)
    if parts.space == _YCC and image.ndim == 3 and image.shape[2] == 3 and not size.is_subsampled:
        require_supported(image.dtype == np.uint8, "JPEG 2000 in YCC of more than 8 bits")
        return ycbcr_to_rgb(image)  # Pillow has converted subsampled ones
    return image


def metadata(data: Content, found: Found) -> None:
    """Find the profile, the resolution, and XMP and EXIF in boxes named by an identifier."""
    whole = bytes(data[:])
    if whole.startswith(_START):
        return
    found.profile(_Parts(b"", dict(reversed([*_boxes(whole)]))).profile)
    for name, body in _boxes(whole):
        if name in _RESOLUTIONS and len(body) == 10:
            y, y_bottom, x, x_bottom, y_power, x_power = struct.unpack(">HHHHbb", body)
            found.resolution(_times(x, x_bottom, x_power), _times(y, y_bottom, y_power), "meter")
        elif name == b"uuid":
            take = {marks.JP2_XMP: found.xmp, marks.JP2_EXIF: found.exif}.get(body[:16])
            if take:
                take(body[16:])
            else:
                found.leave_out("georeference" if body[:16] == _GEO else "uuid box", "it is not kept")
        elif name == b"xml ":
            found.leave_out("XML box", "it is not kept")


def _times(number: int, bottom: int, power: int) -> tuple[int, int]:
    """Return a ratio times a power of ten."""
    return (number * 10**power, bottom) if power >= 0 else (number, bottom * 10**-power)


def _parts(data: bytes) -> _Parts:
    """Find the codestream, and the first box of each kind that says something of colors."""
    if data.startswith(_START):
        return _Parts(data)
    parts = _Parts(b"")
    for name, body in _boxes(data):
        if name == b"jp2c" and not parts.stream:
            parts.stream = body
        parts.boxes.setdefault(name, body)
    if not parts.stream.startswith(_START):
        raise ImageError("is cut or damaged: it holds no JPEG 2000 codestream")
    return parts


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each box, and of those inside the header box."""
    for name, content in boxes(data):
        if name in _FOLDERS:
            yield from _boxes(content)
        else:
            yield name, content


def _size(stream: bytes) -> _Size:
    """Parse the SIZ marker, which follows the start of the codestream."""
    try:
        right, bottom, left, top = struct.unpack_from(">4I", stream, 8)
        (count,) = struct.unpack_from(">H", stream, 40)
        components = [struct.unpack_from(">3B", stream, 42 + 3 * k) for k in range(count)]
    except struct.error:
        raise ImageError("ends within its header") from None
    if not components or right <= left or bottom <= top:
        raise ImageError("has no pixels")
    bits = tuple((each[0] & 127) + 1 for each in components)
    signed = any(each[0] & 128 for each in components)
    return _Size(left, top, right, bottom, bits, signed, tuple((each[1], each[2]) for each in components))


def _components(stream: bytes, size: _Size, allow_truncated: bool) -> np.ndarray:
    """Decode the codestream; samples below the largest depth lie in the highest bits, as Pillow gives them."""
    if not allow_truncated:
        _require_whole(stream)
    if max(size.bits) > 8 and len(size.bits) > 1:
        return _by_opencv(stream, size)
    if size.is_subsampled:
        return pillow.decode_stored(stream, False)
    try:
        return pillow.decode_stored(stream, False)
    except ImageError:  # Pillow is stricter on tiles than OpenJPEG itself
        return _by_opencv(stream, size)


def _require_whole(stream: bytes) -> None:
    """Refuse a codestream that ends within a tile or before its end marker: OpenJPEG leaves the rest blank."""
    position = 2
    while stream[position : position + 1] == _END[:1] and stream[position : position + 2] != _TILE:
        position += 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
    while stream[position : position + 2] == _TILE:
        length = int.from_bytes(stream[position + 6 : position + 10], "big")
        if length < _TILE_HEADER:
            position = len(stream.rstrip(b"\0")) - len(_END)
            break
        position += length
    if stream[position : position + 2] != _END:
        raise ImageError("is cut or damaged", hint="truncated")


def _require_even_steps(size: _Size, space: int) -> None:
    """Refuse subsampled components that Pillow mistakes: those whose steps do not divide the size."""
    sides = (size.left, size.top, size.right, size.bottom)
    whole = all(side % step[i % 2] == 0 for step in size.steps for i, side in enumerate(sides))
    halved = size.steps[0] == (1, 1) and size.steps[1:] in (((2, 1),) * 2, ((2, 2),) * 2)
    require_supported(
        whole and halved and space in (_UNKNOWN, _YCC) and set(size.bits) == {8},
        "JPEG 2000 with components subsampled in this way",
    )


def _by_opencv(stream: bytes, size: _Size) -> np.ndarray:
    """Decode with OpenCV, and move the samples to the highest bits."""
    import cv2

    count, bits = len(size.bits), size.bits[0]
    plain = not (size.is_subsampled or size.signed) and (size.left, size.top) == (0, 0) and set(size.bits) == {bits}
    require_supported(plain and count != 2 and bits <= 16, f"JPEG 2000 of {count} such components of {bits} bits")
    image = cv2.imdecode(np.frombuffer(stream, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or (*image.shape, 1)[:3] != (size.bottom, size.right, count):
        raise ImageError("is cut or damaged: its JPEG 2000 codestream cannot be decoded")
    image = image[:, :, [2, 1, 0, 3][:count]] if count > 1 else image
    return np.left_shift(image, 8 * image.itemsize - bits)


def _full_range(image: np.ndarray, size: _Size) -> np.ndarray:
    """Scale samples that lie in the highest bits to all of uint8 or uint16."""
    width = 8 * image.itemsize
    if set(size.bits) == {width} or max(size.bits) > 16:
        return image
    planes = [image] if image.ndim == 2 else list(np.moveaxis(image, 2, 0))
    planes = [scale_samples(p >> (width - b), (1 << b) - 1) for p, b in zip(planes, size.bits, strict=True)]
    return planes[0] if image.ndim == 2 else np.stack(planes, axis=2)


def _palette(box: bytes) -> np.ndarray:
    """Return the palette (entries, columns) of 8 bits."""
    entries, columns = struct.unpack_from(">HB", box)
    require_supported(set(box[3 : 3 + columns]) == {7}, "JPEG 2000 with a palette that is not of 8 bits")
    return np.frombuffer(box, np.uint8, entries * columns, 3 + columns).reshape(entries, columns)


def _by_palette(indices: np.ndarray, boxes: dict[bytes, bytes]) -> np.ndarray:
    """Look up colors, and put the palette's columns where the component mapping says."""
    palette = _palette(boxes[b"pclr"])
    if indices.max(initial=0) >= len(palette):
        raise ImageError("has pixels outside its palette")
    mapping = boxes.get(b"cmap", b"")
    columns = [mapping[i + 3] for i in range(0, len(mapping) - 3, 4)]
    if sorted(columns) != list(range(palette.shape[1])):  # OpenJPEG, too, mends a mapping that is none
        columns = list(range(palette.shape[1]))
    image = palette[:, columns][indices]
    return np.asarray(image[:, :, 0] if image.shape[2] == 1 else image)


def _in_order(image: np.ndarray, box: bytes) -> np.ndarray:
    """Put channels in the order of their colors, opacity last."""
    if image.ndim == 2:
        return image
    (count,) = struct.unpack_from(">H", box)
    entries = [struct.unpack_from(">3H", box, 2 + 6 * k) for k in range(count)]
    require_supported(all(kind != _PREMULTIPLIED for _, kind, _ in entries), "JPEG 2000 with premultiplied opacity")
    colors = sorted((place, channel) for channel, kind, place in entries if kind == 0)
    opacity = [channel for channel, kind, _ in entries if kind == _OPACITY][:1]
    order = [channel for _, channel in colors] + opacity
    if sorted(set(order)) != list(range(image.shape[2])):
        raise ImageError("has channels in an order that makes no sense")
    return np.asarray(image[:, :, order])
