"""TIFF's directories of tags, which EXIF blocks and TIFF files are made of: read within bounds, changed, and packed.

Values are held in little-endian order, whatever the file's is. Nothing that a hostile file says takes more memory than
MAX_PIECE_BYTES a value, or leads in circles: DamagedError is raised instead.

Source: Adobe, "TIFF Revision 6.0", 1992, section 2; BigTIFF by the libtiff project.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from imgtool.image.marks import MAX_PIECE_BYTES

MAX_TAGS = 4096  # of one directory
# Type -> bytes of one element, and of what a byte order applies to.
_SIZES = {1: (1, 1), 2: (1, 1), 3: (2, 2), 4: (4, 4), 5: (8, 4), 6: (1, 1), 7: (1, 1), 8: (2, 2), 9: (4, 4),
          10: (8, 4), 11: (4, 4), 12: (8, 8), 13: (4, 4), 16: (8, 8), 17: (8, 8), 18: (8, 8)}  # fmt: skip
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 2, 3, 4, 5, 7, 16


class DamagedError(ValueError):
    """A directory that leads out of its file, in circles, or is no directory."""


class Content(Protocol):
    """Bytes, or a file that is sliced as bytes are."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class FileContent:
    """An open file that is sliced as bytes are."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __len__(self) -> int:
        return self._file.seek(0, os.SEEK_END)

    def __getitem__(self, part: slice, /) -> bytes:
        begin, end, _ = part.indices(len(self))
        self._file.seek(begin)
        return self._file.read(max(0, end - begin))


class Layout(NamedTuple):
    """How numbers and offsets are stored: the byte order, `<` or `>`, and whether it is BigTIFF."""

    order: str = "<"
    big: bool = False

    @property
    def entry_format(self) -> str:
        """An entry without its value: tag, type, count."""
        return self.order + ("HHQ" if self.big else "HHI")

    @property
    def offset_format(self) -> str:
        """An offset."""
        return self.order + ("Q" if self.big else "I")

    @property
    def count_format(self) -> str:
        """How many entries there are."""
        return self.order + ("Q" if self.big else "H")

    @property
    def field_bytes(self) -> int:
        """The bytes of an entry in which its value stands, or where it is."""
        return 8 if self.big else 4

    @property
    def pointer_place(self) -> int:
        """Where the header says where the first directory is."""
        return 8 if self.big else 4


class Entry(NamedTuple):
    """A tag's type, its number of elements, where its value is, and where in the directory its field is."""

    kind: int
    number: int
    place: int
    field: int

    @property
    def size(self) -> int:
        """The bytes of the value; 0 where the type is unknown."""
        return _SIZES.get(self.kind, (0, 0))[0] * self.number


class Directory(NamedTuple):
    """Entries by tag, where the directory begins and ends, and where the next one is (0: there is none)."""

    entries: dict[int, Entry]
    begin: int
    end: int
    next: int


class Value(NamedTuple):
    """A tag's type and its elements' bytes in little-endian order."""

    kind: int
    data: bytes

    @property
    def number(self) -> int:
        """How many elements there are."""
        return len(self.data) // _SIZES[self.kind][0]


class Field(NamedTuple):
    """An entry taken over as it stands: its type, its number of elements and the bytes of its field."""

    kind: int
    number: int
    data: bytes


Tree = Mapping[int, "Value | Field | Tree"]  # tags; a tree stands for a directory that is pointed to


def layout_of(content: Content) -> Layout:
    """Return the layout that a TIFF header states. Raises DamagedError."""
    head = bytes(content[0:4])
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    kind = struct.unpack(order + "H", head[2:])[0] if order and len(head) == 4 else 0
    if kind not in (42, 43):
        raise DamagedError("no TIFF header")
    return Layout(order, kind == 43)


def first_directory(content: Content) -> Directory:
    """Return the directory that the header points to. Raises DamagedError."""
    layout = layout_of(content)
    (begin,) = _unpack(layout.offset_format, content, layout.pointer_place)
    return directory(content, layout, begin)


def directory(content: Content, layout: Layout, begin: int) -> Directory:
    """Return the directory at an offset. Raises DamagedError."""
    (count,) = _unpack(layout.count_format, content, begin)
    if begin < layout.pointer_place or count > MAX_TAGS:
        raise DamagedError("no directory")
    size = struct.calcsize(layout.entry_format) + layout.field_bytes
    first = begin + struct.calcsize(layout.count_format)
    end = first + count * size
    entries: dict[int, Entry] = {}
    for place in range(first, end, size):
        tag, kind, number = _unpack(layout.entry_format, content, place)
        field = place + size - layout.field_bytes
        entry = Entry(kind, number, field, field)
        if entry.size > layout.field_bytes:
            (target,) = _unpack(layout.offset_format, content, field)
            entry = entry._replace(place=target)
        entries.setdefault(tag, entry)
    (following,) = _unpack(layout.offset_format, content, end)
    return Directory(entries, begin, end + struct.calcsize(layout.offset_format), following)


def require_inside(content: Content, found: Directory) -> None:
    """Raise DamagedError when a value does not lie in the file."""
    for entry in found.entries.values():
        if entry.place + entry.size > len(content):
            raise DamagedError("a value lies outside")


def value(content: Content, layout: Layout, entry: Entry) -> Value:
    """Return what an entry holds. Raises DamagedError where it holds too much, lies outside or has no known type."""
    if not 0 < entry.size <= MAX_PIECE_BYTES:
        raise DamagedError("a value of an unknown type or too large")
    data = bytes(content[entry.place : entry.place + entry.size])
    if len(data) < entry.size:
        raise DamagedError("a value lies outside")
    return Value(entry.kind, _swapped(entry.kind, data, layout))


def numbers(content: Content, layout: Layout, entry: Entry) -> tuple[int, ...]:
    """Return an entry's whole numbers; of a rational two."""
    found = value(content, layout, entry)
    return tuple(np.frombuffer(found.data, f"<u{_SIZES[found.kind][1]}").tolist())


def pack(tree: Tree, base: int, layout: Layout, following: int = 0) -> bytes:
    """Return a directory that stands at an offset, with its values and the directories below it behind it."""
    entry_bytes = struct.calcsize(layout.entry_format) + layout.field_bytes
    size = struct.calcsize(layout.count_format) + len(tree) * entry_bytes + struct.calcsize(layout.offset_format)
    table, behind = struct.pack(layout.count_format, len(tree)), b""
    for tag, node in sorted(tree.items()):
        if isinstance(node, Field):
            table += struct.pack(layout.entry_format, tag, node.kind, node.number) + node.data
            continue
        place = base + size + len(behind)
        if isinstance(node, Value):
            data, kind, count = _swapped(node.kind, node.data, layout), node.kind, node.number
        else:
            data, kind, count = pack(node, place, layout), LONG8 if layout.big else LONG, 1
        table += struct.pack(layout.entry_format, tag, kind, count)
        if isinstance(node, Value) and len(data) <= layout.field_bytes:
            table += data.ljust(layout.field_bytes, b"\0")
        else:
            table += struct.pack(layout.offset_format, place)
            behind += data + bytes(-len(data) % 8)
    return table + struct.pack(layout.offset_format, following) + behind


def with_tags(content: Content, tree: Tree, base: int) -> tuple[bytes, int, bytes]:
    """Give a file's first directory other tags beside or in place of its own.

    Returns the new directory, to stand at the offset base, and what is to stand in the header, and where.
    """
    layout, own = layout_of(content), first_directory(content)
    fields = {
        tag: Field(each.kind, each.number, bytes(content[each.field : each.field + layout.field_bytes]))
        for tag, each in own.entries.items()
    }
    tail = pack({**fields, **tree}, base, layout, own.next)
    return tail, layout.pointer_place, struct.pack(layout.offset_format, base)


def _unpack(form: str, content: Content, place: int) -> tuple[int, ...]:
    """Read numbers. Raises DamagedError where the file has ended."""
    data = bytes(content[place : place + struct.calcsize(form)])
    if len(data) < struct.calcsize(form):
        raise DamagedError("leads outside")
    return struct.unpack(form, data)


def _swapped(kind: int, data: bytes, layout: Layout) -> bytes:
    """Bring a value from one byte order to little-endian, or back."""
    unit = _SIZES[kind][1]
    if layout.order == "<" or unit == 1:
        return data
    return np.frombuffer(data, f"u{unit}").byteswap().tobytes()
