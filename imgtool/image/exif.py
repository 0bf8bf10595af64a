"""EXIF blocks: made to fit a picture that stands upright, in its new size, without the thumbnail of the old one.

A block is a small TIFF file without pixels. What cameras put into it often says where something is, from the block's
beginning (maker notes do, in ways of their own), so a block is changed in place, and only its end is cut or added to.

Source: CIPA DC-008-2023, "Exif 2.32".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from imgtool.image import marks
from imgtool.image.ifd import (
    ASCII,
    LONG,
    RATIONAL,
    SHORT,
    Content,
    DamagedError,
    Directory,
    Entry,
    Layout,
    Tree,
    Value,
    directory,
    first_directory,
    layout_of,
    numbers,
    pack,
    require_inside,
    value,
    with_tags,
)
from imgtool.image.resolution import Resolution

MAX_JPEG_BYTES = 65535 - 2 - len(marks.EXIF)  # bytes of a block that one segment of a JPEG holds
ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 282, 283, 296
_TOLD_ELSEWHERE = {256, 257, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, 531}
_EXIF, _GPS, _INTEROPERABILITY, MAKER_NOTE = 34665, 34853, 40965, 37500
_BELOW = (_EXIF, _GPS, _INTEROPERABILITY)  # tags that point to directories
_SIZES = {256: 0, 257: 1, 40962: 0, 40963: 1}  # tags of width (0) and height (1)
_THUMBNAIL = (513, 273), (514, 279)  # where a thumbnail is, and its length: as JPEG, or as strips
# Tags of a TIFF file's directory that describe the picture rather than how it is stored: title, make, model, software,
# date, artist, computer, rating, copyright, and Windows' title, comment, author, keywords and subject.
_DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 316, 18246, 18249, 33432, 40091, 40092, 40093, 40094, 40095)
_LAYOUTS = b'{"shape"', b"ImageJ=", b"<?xml", b"<OME"  # titles that describe a file's pages and axes
_DESCRIPTION, _SOFTWARE = 270, 305
_OWN_SOFTWARE = Value(ASCII, b"tifffile.py\0")  # which says nothing of the picture: imgtool's own files have it too
UNITS = {1: "", 2: "inch", 3: "centimeter"}
_HEAD = b"II*\0\x08\0\0\0"


def upright_block(block: bytes) -> bytes:
    """Return a block whose orientation is 1 and that has no thumbnail. Raises DamagedError."""
    block = block.removeprefix(marks.EXIF)
    layout, own = layout_of(block), first_directory(block)
    if layout.big:
        raise DamagedError("no EXIF")
    used = [part for each in _directories(block, layout, own) for part in _spans(block, each)]
    changed = bytearray(block)
    if orientation_of(block) >= 5:
        _swap_resolutions(changed, own)
    for entry in range(own.begin + 2, own.end - 4, 12):  # all of them: readers differ on which of two counts
        if struct.unpack_from(layout.order + "H", block, entry) == (ORIENTATION,):
            struct.pack_into(layout.order + "HIHH", changed, entry + 2, SHORT, 1, 1, 0)
    if own.next:
        changed[own.end - 4 : own.end] = bytes(4)
        _blank(changed, used, _thumbnail_spans(block, layout, own.next))
    return bytes(changed)


def orientation_of(block: bytes) -> int:
    """Return the orientation in a block, 0 where it holds no valid one. Raises DamagedError."""
    found = first_directory(block).entries.get(ORIENTATION)
    number = numbers(block, layout_of(block), found)[0] if found else 0
    return number if number <= 8 else 0


def says_nothing(block: bytes) -> bool:
    """Tell whether a block says nothing but what is stored elsewhere or holds for the new picture no more."""
    return first_directory(block).entries.keys() <= _TOLD_ELSEWHERE


def resolution_in(content: Content, layout: Layout, own: Directory) -> Resolution | None:
    """Return the resolution that a directory names."""
    try:
        places = [own.entries[tag] for tag in (X_RESOLUTION, Y_RESOLUTION)]
        x, y = (numbers(content, layout, each) for each in places if each.kind == RATIONAL and each.number == 1)
        unit = own.entries.get(RESOLUTION_UNIT)
        name = UNITS[numbers(content, layout, unit)[0]] if unit else "inch"
    except (KeyError, ValueError):
        return None
    return Resolution.valid((x[0], x[1]), (y[0], y[1]), name)


def resolution_of(block: bytes) -> Resolution | None:
    """Return the resolution that a block names. Raises DamagedError."""
    return resolution_in(block, layout_of(block), first_directory(block))


def sized_block(block: bytes, width: int, height: int) -> bytes:
    """Return a block that names this size wherever it names one."""
    layout, own = layout_of(block), first_directory(block)
    changed = bytearray(block)
    for each in _directories(block, layout, own):
        for tag, axis in _SIZES.items():
            if tag in each.entries:
                _put(changed, layout, each.entries[tag], (width, height)[axis])
    return bytes(changed)


def resolved_block(block: bytes | None, resolution: Resolution) -> bytes:
    """Return a block, a new one where there is none, that names a resolution."""
    block = block or _HEAD + pack({}, len(_HEAD), Layout())
    block += bytes(-len(block) % 2)
    tail, place, pointer = with_tags(block, resolution_tags(resolution), len(block))
    return block[:place] + pointer + block[place + len(pointer) :] + tail


def resolution_tags(resolution: Resolution) -> dict[int, Tree | Value]:
    """Return a resolution as TIFF's tags."""
    unit, per = {"inch": (2, "inch"), "": (1, "")}.get(resolution.unit, (3, "centimeter"))
    x, y = (Value(RATIONAL, struct.pack("<II", *each)) for each in resolution.per(per))
    return {X_RESOLUTION: x, Y_RESOLUTION: y, RESOLUTION_UNIT: Value(SHORT, struct.pack("<H", unit))}


def block_of_tiff(content: Content, layout: Layout, own: Directory) -> bytes | None:
    """Return what a TIFF file's directory says in the words of EXIF, as a block, None where that is nothing.

    Maker notes are left out: what they point to would be elsewhere. Raises DamagedError.
    """
    tree = _descriptive_tree(content, layout, own)
    title = tree.get(_DESCRIPTION)
    if isinstance(title, Value) and title.data.lstrip().startswith(_LAYOUTS):
        del tree[_DESCRIPTION]
    if tree.get(_SOFTWARE) == _OWN_SOFTWARE:
        del tree[_SOFTWARE]
    return _HEAD + pack(tree, len(_HEAD), Layout()) if tree else None


def tags_for_tiff(block: bytes) -> dict[int, Tree | Value]:
    """Return what a block holds as tags of a TIFF file's directory, maker notes left out. Raises DamagedError."""
    return _descriptive_tree(block, layout_of(block), first_directory(block))


def has_maker_note(content: Content, layout: Layout, own: Directory) -> bool:
    """Tell whether there is a maker note below a directory. Raises DamagedError."""
    below = own.entries.get(_EXIF)
    return below is not None and MAKER_NOTE in _below(content, layout, below).entries


def block_has_maker_note(block: bytes) -> bool:
    """Tell whether there is a maker note in a block. Raises DamagedError."""
    return has_maker_note(block, layout_of(block), first_directory(block))


def _descriptive_tree(content: Content, layout: Layout, own: Directory) -> dict[int, Tree | Value]:
    """Return a directory's tags that describe the picture, with EXIF's and GPS's directories."""
    wanted = {tag: entry for tag, entry in own.entries.items() if tag in (*_DESCRIPTIVE, _EXIF, _GPS)}
    return _tree(content, layout, own._replace(entries=wanted), set())


def _tree(content: Content, layout: Layout, own: Directory, seen: set[int]) -> dict[int, Tree | Value]:
    """Return a directory's tags and those below it, maker notes left out."""
    if own.begin in seen:
        raise DamagedError("leads in circles")
    seen.add(own.begin)
    tree: dict[int, Tree | Value] = {}
    for tag, entry in own.entries.items():
        if tag in _BELOW:
            tree[tag] = _tree(content, layout, _below(content, layout, entry), seen)
        elif tag != MAKER_NOTE and entry.size:
            tree[tag] = value(content, layout, entry)
    return tree


def _below(content: Content, layout: Layout, entry: Entry) -> Directory:
    """Return the directory that an entry points to. Raises DamagedError."""
    return directory(content, layout, numbers(content, layout, entry)[0])


def _directories(content: Content, layout: Layout, own: Directory) -> Iterator[Directory]:
    """Yield a directory and those below it. Raises DamagedError, also where a value lies outside."""
    waiting, seen = [own], set()
    while waiting:
        found = waiting.pop()
        if found.begin in seen:
            raise DamagedError("leads in circles")
        seen.add(found.begin)
        require_inside(content, found)
        yield found
        for tag in _BELOW:
            if tag in found.entries:
                waiting.append(_below(content, layout, found.entries[tag]))


def _spans(content: Content, found: Directory) -> Iterator[tuple[int, int]]:
    """Yield where a directory and its values are."""
    yield found.begin, found.end
    for entry in found.entries.values():
        if entry.place != entry.field:
            yield entry.place, entry.place + entry.size


def _thumbnail_spans(block: bytes, layout: Layout, begin: int) -> list[tuple[int, int]]:
    """Return where the second directory, its values and its pictures are, as far as that can be told."""
    try:
        found = directory(block, layout, begin)
        spans = list(_spans(block, found))
        for at, length in zip(*_THUMBNAIL, strict=True):
            if at in found.entries and length in found.entries:
                pairs = zip(
                    numbers(block, layout, found.entries[at]),
                    numbers(block, layout, found.entries[length]),
                    strict=False,
                )
                spans += [(place, place + size) for place, size in pairs]
    except DamagedError:
        return []
    return [(low, high) for low, high in spans if high <= len(block)]


def _blank(block: bytearray, used: list[tuple[int, int]], spans: list[tuple[int, int]]) -> None:
    """Overwrite parts that nothing else uses, and cut them off where they are the end."""
    free = sorted(part for part in spans if not any(low < part[1] and part[0] < high for low, high in used))
    for low, high in free:
        block[low:high] = bytes(high - low)
    last = max((high for _, high in used), default=0)
    for low, high in reversed(free):
        if low >= last and high + 4 > len(block):
            del block[low + low % 2 :]


def _swap_resolutions(block: bytearray, own: Directory) -> None:
    """Let what was counted across be counted down."""
    x, y = own.entries.get(X_RESOLUTION), own.entries.get(Y_RESOLUTION)
    if x and y and x.size == y.size == 8:
        block[x.place : x.place + 8], block[y.place : y.place + 8] = (
            block[y.place : y.place + 8], block[x.place : x.place + 8],
        )  # fmt: skip


def _put(block: bytearray, layout: Layout, entry: Entry, number: int) -> None:
    """Store one whole number in an entry, as a long one where it needs that."""
    if entry.number != 1 or entry.kind not in (SHORT, LONG):
        return
    if number > 0xFFFF and entry.kind == SHORT:
        struct.pack_into(layout.order + "H", block, entry.field - 6, LONG)
        entry = entry._replace(kind=LONG)
    block[entry.field : entry.field + 4] = bytes(4)
    struct.pack_into(layout.order + ("H" if entry.kind == SHORT else "I"), block, entry.field, number)
