"""TIFF's directories: which pages a file holds, in its order, and what each is.

Source: Adobe, "TIFF Revision 6.0", 1992 (NewSubfileType, SubfileType); "TIFF Technical Note 1: TIFF Trees" (SubIFDs);
Adobe, "Digital Negative (DNG) Specification" (color filter arrays).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

from imgtool.errors import ImageError
from imgtool.image.ifd import Content

REDUCED, MASK, FILTER_ARRAY, LINEAR_RAW = "reduced version", "mask", "color filter array", "linear raw samples"
RAW = (FILTER_ARRAY, LINEAR_RAW)  # what is no picture yet
_MOST_PAGES = 1 << 20
_MOST_ENTRIES = 1 << 22  # of all directories: what comes after is not looked at
_MOST_VALUES = 1 << 16  # of a tag
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # of the tags that are looked at
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 262, 277
_NEW_SUBFILE, _OLD_SUBFILE, _CHILDREN = 254, 255, 330
_COMPRESSION, _STRIPS, _STRIP_BYTES, _JPEG, _JPEG_BYTES = 259, 273, 279, 513, 514
_ORIENTATION, _TILES = 274, 324
_KEPT = {
    _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _NEW_SUBFILE, _OLD_SUBFILE, _CHILDREN,
    _COMPRESSION, _STRIPS, _STRIP_BYTES, _JPEG, _JPEG_BYTES, _ORIENTATION,
    _TILES,
}  # fmt: skip
_OLD_JPEG = 6
_RAW_PHOTOMETRIC = {32803: FILTER_ARRAY, 34892: LINEAR_RAW}


@dataclass(frozen=True)
class Directory:
    """A page: where its tags begin, and those of them that say what it is."""

    offset: int
    tags: dict[int, tuple[int, ...]] = field(default_factory=dict)
    role: str = ""  # of a page that does not say itself what it is

    def value(self, tag: int, default: int = 0) -> int:
        """Return a tag's first value."""
        return (self.tags.get(tag) or (default,))[0]

    @property
    def kind(self) -> str:
        """What the page is."""
        if self.role:
            return self.role
        bits, old = self.value(_NEW_SUBFILE), self.value(_OLD_SUBFILE)
        if bits & 1 or old == 2:
            return REDUCED
        return _RAW_PHOTOMETRIC.get(self.value(_PHOTOMETRIC), MASK if bits & 4 else "page")

    @property
    def old_jpeg(self) -> tuple[int, int] | None:
        """Where a page of the old kind of JPEG lies, and how many bytes it has; None for another page."""
        if self.value(_COMPRESSION) != _OLD_JPEG:
            return None
        return self.value(_JPEG) or self.value(_STRIPS), self.value(_JPEG_BYTES) or self.value(_STRIP_BYTES)

    @property
    def has_pixels(self) -> bool:
        """Whether it says where pixels are, and how many, as a page does."""
        return (min(self.size) > 0 and bool(self.tags.keys() & {_STRIPS, _TILES})) or self.old_jpeg is not None

    @property
    def orientation(self) -> int:
        """How the page lies, 1 to 8."""
        return self.value(_ORIENTATION, 1) if 1 <= self.value(_ORIENTATION, 1) <= 8 else 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as stored."""
        return self.value(_WIDTH), self.value(_HEIGHT)

    @property
    def bytes(self) -> int:
        """How many bytes its samples take."""
        bits = self.value(_SAMPLES, 1) * max(self.tags.get(_BITS, (1,)))
        return self.value(_WIDTH) * self.value(_HEIGHT) * bits // 8 + 1


def directories(content: Content) -> list[Directory]:
    """Return all pages, each followed by its SubIFDs; what leads nowhere, or back, is left out."""
    return chain(content)[0]


def chain(content: Content) -> tuple[list[Directory], bool]:
    """Return all pages, and whether a link leads to what is none, so that there may be more."""
    reader = _Reader(content)
    found, seen, waiting, broken = list[Directory](), set[int](), [reader.first], False
    while waiting and len(found) < _MOST_PAGES:
        offset = waiting.pop()
        if not offset or offset in seen:
            continue
        seen.add(offset)
        try:
            page, following = reader.directory(offset)
        except struct.error:
            broken = True
            continue
        broken |= not page.tags
        if page.has_pixels or not found:
            found.append(page)
        waiting += [following, *reversed(page.tags.get(_CHILDREN, ()))]  # the last of which is taken first
    if reader.is_canon and len(found) > 1:  # previews, then the sensor's samples
        found = [replace(page, role=REDUCED) for page in found[:-1]] + [replace(found[-1], role=FILTER_ARRAY)]
    return found, broken or any(waiting)


class _Reader:
    """Reads directories; classic ones have offsets of 4 bytes, BigTIFF's of 8."""

    def __init__(self, content: Content) -> None:
        self._content = content
        head = self._at(0, 16)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "<")
        self.big = head[2:4] in (b"+\0", b"\0+")
        self.is_canon = head[8:10] == b"CR"
        self._left = _MOST_ENTRIES
        self._count, self._entry, self._offset = ("Q", "HHQ8s", "Q") if self.big else ("H", "HHI4s", "I")
        try:
            (self.first,) = struct.unpack_from(self.order + self._offset, head, 8 if self.big else 4)
        except struct.error:
            raise ImageError("ends within its header") from None

    def directory(self, offset: int) -> tuple[Directory, int]:
        """Return a page and the offset of the next. Raises struct.error where it is cut."""
        entry = struct.Struct(self.order + self._entry)
        width = struct.calcsize(self.order + self._count)
        (count,) = struct.unpack(self.order + self._count, self._at(offset, width))
        self._left -= min(count, _MOST_VALUES)
        if self._left < 0:
            raise struct.error
        body = self._at(offset + width, min(count, _MOST_VALUES) * entry.size + struct.calcsize(self._offset))
        tags = {}
        for position in range(0, min(count, _MOST_VALUES) * entry.size, entry.size):
            tag, kind, number, place = entry.unpack_from(body, position)
            if tag in _KEPT and kind in _TYPES and tag not in tags:
                tags[tag] = self._values(_TYPES[kind], number, place)
        (following,) = struct.unpack_from(self.order + self._offset, body, min(count, _MOST_VALUES) * entry.size)
        return Directory(offset, tags), following

    def _values(self, kind: str, number: int, place: bytes) -> tuple[int, ...]:
        """Return a tag's values, which stand in its entry where they fit."""
        each = struct.Struct(f"{self.order}{min(number, _MOST_VALUES)}{kind}")
        if each.size > len(place):
            (offset,) = struct.unpack(self.order + self._offset, place)
            place = self._at(offset, each.size)
        return each.unpack_from(place)

    def _at(self, offset: int, size: int) -> bytes:
        return bytes(self._content[offset : offset + size])
