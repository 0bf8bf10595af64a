"""What a file says of its picture beside the pixels: profile, EXIF, resolution and the like.

`read.read_metadata` gives it as it is to be written: for a picture that stands upright, without a thumbnail. `carried`
leaves out what a computation has made wrong, `held` what a format has no place for; both say so in remarks.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from imgtool.image.exif import MAX_JPEG_BYTES as MAX_EXIF_BYTES
from imgtool.image.exif import block_has_maker_note, sized_block
from imgtool.image.profiles import is_of_matrix
from imgtool.image.resolution import Resolution, jfif_density
from imgtool.image.xmp import MAX_JPEG_BYTES as MAX_XMP_BYTES
from imgtool.image.xmp import sized_packet
from imgtool.remarks import Remark

Chunks = tuple[tuple[bytes, bytes], ...]
Tags = tuple[tuple[int, int, bytes], ...]
Form = tuple[tuple[int, ...], np.dtype]

_SPACES = {b"GRAY": (1, 2), b"RGB ": (3, 4)}  # what a profile says of its colors -> numbers of channels
_PROFILE_HEADER_BYTES = 128
GDAL_NODATA = 42113  # TIFF's tag for the value of pixels that hold no data, as text
COLOR_CHUNKS = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
# What these say where they mean sRGB, as files without them do.
_SRGB = {
    b"cICP": {b"\1\x0d\0\1"},
    b"sRGB": {bytes([intent]) for intent in range(4)},
    b"gAMA": {(45455).to_bytes(4, "big")},
    b"cHRM": {np.array([31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000], ">u4").tobytes()},
}


class Place(NamedTuple):
    """What a field of `Metadata` is called, and the formats that have a place for it."""

    name: str
    formats: tuple[str, ...]


PLACES = {
    "profile": Place("ICC profile", ("png", "jpeg", "webp", "tiff", "jp2")),
    "color": Place("color chunk", ("png",)),
    "exif": Place("EXIF", ("png", "jpeg", "webp", "tiff", "jp2")),
    "xmp": Place("XMP", ("png", "jpeg", "webp", "tiff", "jp2")),
    "resolution": Place("resolution", ("png", "jpeg", "webp", "tiff", "bmp", "jp2")),
    "texts": Place("text chunks", ("png",)),
    "comments": Place("comment", ("jpeg", "png")),
    "georeference": Place("georeference", ("tiff",)),
    "nodata": Place("GDAL's nodata and metadata", ("tiff",)),
}
MAX_COMMENT_BYTES = 65533  # bytes that one segment of a JPEG holds
_LABELS = {"jpeg": "JPEG", "webp": "WebP", "jp2": "JPEG 2000"}
_SAYING_WHAT_NUMBERS_MEAN = ("profile", "color", "nodata")


@dataclass(frozen=True)
class Metadata:
    """What a file says of its picture beside the pixels; every piece may be missing.

    profile: ICC profile; color: PNG's chunks gAMA, cHRM, sRGB, cICP, mDCV and cLLI as (name, content); exif: an EXIF
    block, beginning with its TIFF header, of orientation 1 and without thumbnail; xmp: a packet; resolution: pixels of
    a unit of length; texts: PNG's text chunks as (name, content); comments: JPEG's and GIF's; georeference: GeoTIFF's
    tags, and nodata: GDAL's nodata value and metadata, as (tag, TIFF's type, content in little-endian order).
    """

    profile: bytes | None = None
    color: Chunks = ()
    exif: bytes | None = None
    xmp: bytes | None = None
    resolution: Resolution | None = None
    texts: Chunks = ()
    comments: tuple[bytes, ...] = ()
    georeference: Tags = ()
    nodata: Tags = ()

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return any(getattr(self, each.name) for each in fields(self))


def carried(metadata: Metadata, before: Form, after: Form, *, same_meaning: bool, remarks: list[Remark]) -> Metadata:
    """Return what holds of a result too.

    before, after: shape and type of image and result; same_meaning: the numbers still mean what they did, if they are
    gray or color as before.
    """
    if not metadata:
        return metadata
    (shape, dtype), (new_shape, new_dtype) = before, after
    lost: dict[str, str] = {}
    if not same_meaning or _colors(shape) != _colors(new_shape):
        lost = dict.fromkeys(_SAYING_WHAT_NUMBERS_MEAN, "the numbers no longer mean what it says")
    elif dtype != new_dtype:
        lost["nodata"] = "the numbers are of another type"
    for field, why in lost.items():
        _leave_out(metadata, field, why, remarks, by_rule=True)
    if shape[:2] != new_shape[:2]:
        lost["georeference"] = "the picture has another size"
        _leave_out(metadata, "georeference", lost["georeference"], remarks)
    return without(metadata, *lost)


def held(metadata: Metadata, format: str, shape: tuple[int, ...], dtype: np.dtype, remarks: list[Remark]) -> Metadata:
    """Return what a format has a place for, with such an image, as it is for an image of this size."""
    label = _LABELS.get(format, format.upper())
    lost = [field for field, place in PLACES.items() if format not in place.formats]
    for field in lost:
        is_elsewhere = format == "jp2" and field == "georeference"  # as a TIFF file within, which is not written
        why = f"it is not written to {label}" if is_elsewhere else f"{label} has no place for it"
        _leave_out(metadata, field, why, remarks)
    kept = without(metadata, *lost)
    for field, (why, by_rule) in _misfits(kept, format, shape, dtype).items():
        _leave_out(kept, field, why, remarks, by_rule=by_rule)
        kept = without(kept, field)
    if kept.exif and format == "tiff" and block_has_maker_note(kept.exif):
        remarks.append(Remark("metadata", 1, "EXIF's maker note: what it points to would be elsewhere"))
    height, width = shape[:2]
    exif = kept.exif and sized_block(kept.exif, width, height)
    return replace(kept, exif=exif, xmp=kept.xmp and sized_packet(kept.xmp, width, height))


def _misfits(metadata: Metadata, format: str, shape: tuple[int, ...], dtype: np.dtype) -> dict[str, tuple[str, bool]]:
    """Return the fields that a format has no place for with such content: why, and whether that is a rule."""
    found = {}
    if metadata.profile and not _fits(metadata.profile, shape, dtype):
        found["profile"] = "it is of other colors than these pixels", True
    elif metadata.profile and format == "jp2" and not is_of_matrix(metadata.profile):
        found["profile"] = "JPEG 2000 holds profiles of curves and a matrix only", False
    resolution = metadata.resolution
    if resolution and not resolution.unit and format in ("bmp", "jp2"):
        found["resolution"] = "it is a ratio without a unit", False
    if format == "jpeg":
        if resolution and not jfif_density(resolution):
            found["resolution"] = "JPEG holds whole pixels of an inch or centimeter, up to 65535", False
        for field, most in (("exif", MAX_EXIF_BYTES), ("xmp", MAX_XMP_BYTES)):
            if len(getattr(metadata, field) or b"") > most:
                found[field] = f"JPEG has room for {most} bytes", False
        if max(map(len, metadata.comments), default=0) > MAX_COMMENT_BYTES:
            found["comments"] = f"JPEG has room for {MAX_COMMENT_BYTES} bytes", False
    return found


def to_plain(metadata: Metadata | None) -> dict[str, Any] | None:
    """Return metadata as JSON holds it, for another process."""
    if metadata is None:
        return None
    return {each.name: _plain(getattr(metadata, each.name)) for each in fields(metadata)}


def from_plain(plain: dict[str, Any] | None) -> Metadata | None:
    """Return the metadata of what `to_plain` gave."""
    if plain is None:
        return None
    pieces = {name: _piece(each) for name, each in plain.items()}
    resolution = pieces["resolution"]
    return Metadata(**{**pieces, "resolution": resolution and Resolution(*resolution)})


def _plain(piece: Any) -> Any:
    """Return a piece with its bytes as text."""
    if isinstance(piece, bytes):
        return {"bytes": base64.b64encode(piece).decode()}
    return [_plain(each) for each in piece] if isinstance(piece, tuple) else piece


def _piece(plain: Any) -> Any:
    """Return a piece of what `_plain` gave."""
    if isinstance(plain, dict):
        return base64.b64decode(plain["bytes"])
    return tuple(map(_piece, plain)) if isinstance(plain, list) else plain


def without(metadata: Metadata, *names: str) -> Metadata:
    """Return the metadata without these fields."""
    empty = Metadata()
    return replace(metadata, **{name: getattr(empty, name) for name in names}) if names else metadata


def _leave_out(metadata: Metadata, field: str, why: str, remarks: list[Remark], *, by_rule: bool = False) -> None:
    """Add a remark on a field that is left out, if there is something in it; of color chunks one for each."""
    if field == "color":
        for name, body in metadata.color:
            silent = by_rule or body in _SRGB.get(name, ())
            remarks.append(Remark("metadata", 1, f"{name.decode('latin-1')}: {why}", silent))
    elif getattr(metadata, field):
        remarks.append(Remark("metadata", 1, f"{PLACES[field].name}: {why}", by_rule))


def _colors(shape: tuple[int, ...]) -> int:
    """Return the number of channels without alpha."""
    channels = shape[2] if len(shape) == 3 else 1
    return channels - (channels in (2, 4))


def _fits(profile: bytes, shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Tell whether a profile says what an image's numbers mean: 8 or 16 bits, gray or RGB as the profile is."""
    channels = shape[2] if len(shape) == 3 else 1
    whole = len(profile) >= _PROFILE_HEADER_BYTES
    return whole and dtype in (np.uint8, np.uint16) and channels in _SPACES.get(profile[16:20], ())
