"""JPEG: pixels through OpenCV or Pillow; its segments by ourselves, so that what is not read is refused by its name.

Sources: ITU-T T.81 (JPEG), annex B; T.87 (JPEG-LS); CIPA DC-007 (several pictures in one file, MPO).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import cv2
import numpy as np

from imgtool.errors import ImageError
from imgtool.image import marks
from imgtool.image.codecs import opencv
from imgtool.image.codecs.header import Header, Page, require_page
from imgtool.image.codecs.orientation import require_supported, upright

if TYPE_CHECKING:
    from imgtool.image.found import Found
    from imgtool.image.ifd import Content

_ALONE = {0x01, *range(0xD0, 0xDA)}  # markers without a segment
_SCAN, _END, _LOSSLESS, _LS, _APP1 = 0xDA, 0xD9, 0xC3, 0xF7, 0xE1
_APP0, _APP2, _APP11, _APP13, _APP14, _COMMENT = 0xE0, 0xE2, 0xEB, 0xED, 0xEE, 0xFE
_ICC_MARK = b"ICC_PROFILE\0"
_ICC_HEAD = len(_ICC_MARK) + 2  # bytes of a segment before its part of a profile: mark, number, how many parts
_IPTC = b"8BIM\x04\x04"  # Photoshop's block of it
_UNITS = {1: "inch", 2: "centimeter"}
_HEAD_BYTES = 1 << 20  # in which the size of a picture among others must stand
_PICTURES = 0xB002  # the tag of the table of pictures, 16 bytes each
_PROGRESSIVE = 0xC2
_COMMON = {0xC0, 0xC1, _PROGRESSIVE}  # without lossless and arithmetic ones
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # that ends the data of a scan
_READ = {0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA}  # baseline, extended, progressive, lossless; arithmetic
_FRAMES = {
    0xC5: "hierarchical JPEG", 0xC6: "hierarchical JPEG", 0xC7: "hierarchical JPEG",
    0xCB: "arithmetic lossless JPEG", 0xCD: "hierarchical JPEG", 0xCE: "hierarchical JPEG", 0xCF: "hierarchical JPEG",
    _LS: "JPEG-LS",
}  # fmt: skip


def header(data: bytes, page: int | None = None) -> Header:
    """Read size, channels, orientation and the number of pictures."""
    from imgtool.image.codecs import pillow

    places = _pictures(data)
    number = require_page(page, len(places))
    found = pillow.header(_plain(data[places[number - 1]]))
    return replace(found, page=number, pages=_pages(data, places))


def quick_header(data: bytes, page: int | None = None) -> Header:
    """Return size as stored, the largest if there are several frames, and the pictures; not channels, orientation."""
    places = _pictures(data)
    number = require_page(page, len(places))
    height, width = _size(data if number == 1 else data[places[number - 1]])
    pages = _pages(data, places) if len(places) > 1 else ()
    return Header("jpeg", height, width, 3, "uint8", page=number, pages=pages)


def decode(data: bytes, *, allow_truncated: bool, page: int = 1) -> np.ndarray:
    """Return the pixels, upright."""
    plain = _plain(data if page == 1 else data[_pictures(data)[page - 1]])
    image = _by_opencv(plain)
    if image is not None:
        return image
    from imgtool.image.codecs import pillow

    return pillow.decode(plain, allow_truncated=allow_truncated)


def _size(data: bytes) -> tuple[int, int]:
    """Return height and width as stored, the largest if there are several frames."""
    frames = [data[begin + 4 : end] for marker, begin, end in _segments(data) if marker in _READ]
    sides = [(int.from_bytes(each[1:3], "big"), int.from_bytes(each[3:5], "big")) for each in frames]
    return max(sides, key=math.prod, default=(0, 0))


def _pages(data: bytes, places: list[slice]) -> tuple[Page, ...]:
    """Return what the file holds."""
    sizes = [_size(data[each.start : min(each.stop, each.start + _HEAD_BYTES)]) for each in places]
    return tuple(Page("image", width, height) for height, width in sizes)


def _pictures(data: bytes) -> list[slice]:
    """Return where each picture lies; the first is the file's own, which begins it."""
    places = [slice(0, len(data))]
    for marker, begin, end in _segments(data):
        if marker == _APP2 and data[begin + 4 : begin + 8] == b"MPF\0":
            try:
                for size, offset in _table_of_pictures(data[begin + 8 : end]):
                    first = begin + 8 + offset
                    if offset and data[first : first + 2] == b"\xff\xd8":
                        places.append(slice(first, first + size))
            except (KeyError, struct.error):
                break
    return places


def _table_of_pictures(block: bytes) -> Iterator[tuple[int, int]]:
    """Yield size and offset of each picture that a block of MPF data names."""
    order = {b"II": "<", b"MM": ">"}[block[:2]]
    (directory,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, _, length, place = struct.unpack_from(order + "HHII", block, entry)
        if tag == _PICTURES:
            for begin in range(place, min(place + length, len(block) - 15), 16):
                yield struct.unpack_from(order + "4xII", block, begin)


def metadata(data: Content, found: Found, page: int | None = None) -> None:
    """Find profile, EXIF, XMP, resolution and comments in the segments before a picture's first scan."""
    whole = bytes(data[:])
    whole = whole[_pictures(whole)[(page or 1) - 1]]
    parts: dict[int, bytes] = {}
    for marker, begin, end in _segments(whole):
        body = whole[begin + 4 : end]
        if marker == _APP1 and body.startswith(marks.EXIF):
            found.exif(body)
        elif marker == _APP1 and body.startswith(marks.XMP):
            found.xmp(body.removeprefix(marks.XMP))
        elif marker == _APP2 and body.startswith(_ICC_MARK) and len(body) > _ICC_HEAD:
            parts.setdefault(body[_ICC_HEAD - 2], body[_ICC_HEAD:])
        elif marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 12:
            unit, x, y = struct.unpack_from(">BHH", body, 7)
            found.resolution((x, 1), (y, 1), _UNITS.get(unit, ""))
        elif marker == _COMMENT:
            found.add("comments", body)
        else:
            _leave_out(marker, body, found)
    if list(parts) and sorted(parts) != list(range(1, len(parts) + 1)):
        found.leave_out("ICC profile", "a part of it is missing")
    else:
        found.profile(b"".join(parts[number] for number in sorted(parts)))


def _leave_out(marker: int, body: bytes, found: Found) -> None:
    """Say which segments are left out: those of IPTC, of extended XMP and of signatures; others by rule."""
    if marker == _APP13 and _IPTC in body:
        found.leave_out("IPTC", "it is not kept")
    elif marker == _APP1 and body.startswith(marks.XMP_EXTENSION):
        found.leave_out("extended XMP", "it is not kept")
    elif marker == _APP11:
        found.leave_out("signature (JUMBF)", "it does not hold for other pixels")
    elif _APP0 < marker < _APP14 and not body.startswith(b"MPF\0"):
        found.leave_out(f"segment APP{marker - _APP0}", "it is not kept", by_rule=True)


def declared_bytes(head: bytes, _: BinaryIO | None) -> int:
    """Return how many bytes the pixels take."""
    return 4 * math.prod(_size(head))


def _by_opencv(data: bytes) -> np.ndarray | None:
    """Return the pixels, upright, of a common JPEG that goes on to its end; None for another.

    The bits are those of Pillow, which uses the same library but takes a third longer. It says when a file is cut,
    which OpenCV does not.
    """
    segments = list(_segments(data))
    frames = [(marker, data[begin + 9]) for marker, begin, _ in segments if marker in _READ]
    if len(frames) != 1:
        return None
    frame, components = frames[0]
    if frame not in _COMMON or components == 4 or not _is_whole(data, frame, segments[-1][2]):
        return None
    flags = cv2.IMREAD_GRAYSCALE if components == 1 else cv2.IMREAD_COLOR_RGB
    shape = _size(data) if components == 1 else (*_size(data), 3)
    image = opencv.decode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION, shape)
    if image is None:
        return None
    if not any(marker == _APP1 for marker, _, _ in segments):  # neither EXIF nor XMP
        return image
    from imgtool.image.codecs.pillow import stored_orientation  # here: importing Pillow takes 20 ms

    return upright(image, stored_orientation(data))


def _is_whole(data: bytes, frame: int, end: int) -> bool:
    """Tell whether after a first scan's header, which ends there, just its data stand to the end of the file.

    In a progressive file tables and other scans may stand between.
    """
    while found := _MARKER.search(data, end):
        begin, marker = found.start(), data[found.start() + 1]
        if marker == _END or frame != _PROGRESSIVE:
            return marker == _END and begin + 2 == len(data)
        end = begin + 2 + int.from_bytes(data[begin + 2 : begin + 4], "big")
    return False


def _plain(data: bytes) -> bytes:
    """Return the file without stray bytes between its segments. Raises ImageError for a kind that is not read."""
    parts, end, found = [], 2, False
    for marker, begin, end in _segments(data):
        body = data[begin + 4 : end]
        if marker in _FRAMES or marker in _READ:
            _require_read(marker, body)
            found = True
        parts.append((begin, end))
    if not found:
        raise ImageError("is no valid JPEG: it holds no frame")
    if end == 2 + sum(last - first for first, last in parts):
        return data
    return data[:2] + b"".join(data[first:last] for first, last in parts) + data[end:]


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, begin, end) of each segment up to the first scan."""
    begin = data.find(b"\xff", 2)
    while 0 <= begin < len(data) - 3:
        marker = data[begin + 1]
        if marker in (0x00, 0xFF):  # a stray byte, or one that fills up
            begin = data.find(b"\xff", begin + 1)
            continue
        length = 0 if marker in _ALONE else int.from_bytes(data[begin + 2 : begin + 4], "big")
        end = min(begin + 2 + length, len(data))
        yield marker, begin, end
        if marker in (_SCAN, _END):
            return
        begin = data.find(b"\xff", end)


def _require_read(marker: int, frame: bytes) -> None:
    """Refuse a kind of frame that is not read."""
    require_supported(marker in _READ, _FRAMES.get(marker, ""))
    if len(frame) < 6:
        raise ImageError("ends within its header")
    kind = "lossless JPEG" if marker == _LOSSLESS else "JPEG"
    require_supported(frame[0] == 8, f"{kind} of {frame[0]} bits")
    require_supported(any(frame[1:3]), "JPEG whose height follows its first scan")
    require_supported(frame[5] in (1, 3, 4), f"JPEG of {frame[5]} components")
