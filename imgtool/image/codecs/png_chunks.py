"""PNG's chunks: what they hold, whether they are whole, and a whole file made of what there is.

Source: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from imgtool.errors import ImageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_KEPT = {b"acTL", b"PLTE", b"tRNS", b"eXIf", b"iCCP"}
_ORIENTED = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")  # texts in which older files hold EXIF and XMP
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # color type -> samples a pixel
# left, top, and steps to the right and down of Adam7's passes
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_STEP_BYTES = 256  # bytes that are unpacked at a time: what comes before damage is kept
_LAST_FILTER = 4  # Paeth
_DEFLATE_RATIO = 1032  # deflate packs at most so many bytes into one


@dataclass
class PngChunks:
    """The chunks that matter: ancillary ones are kept by name, the first of each; data are those of IDAT.

    frames: how many an animation has; is_animated: the image itself is its first.
    """

    width: int = 0
    height: int = 0
    depth: int = 0
    color: int = 0
    interlaced: bool = False
    ended: bool = False
    frames: int = 0
    is_animated: bool = False
    kept: dict[bytes, bytes] = field(default_factory=dict)
    data: list[bytes] = field(default_factory=list)

    @property
    def is_plain(self) -> bool:
        """True for 8-bit gray, RGB and RGBA of one frame, without a transparent color."""
        return self.depth == 8 and self.color in (0, 2, 6) and not self.kept.keys() & {b"tRNS", b"acTL"}


def walk(data: bytes, *, check: bool) -> PngChunks:
    """Go through the chunks; check their sums where asked. Raises ImageError when a critical one is broken."""
    chunks, position = PngChunks(), 8
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if not name.isalpha():
            raise ImageError("is damaged: a chunk has no valid name")
        body = data[position + 8 : position + 8 + length]
        if name == b"IDAT":
            chunks.data.append(body)
        if position + 12 + length > len(data):
            break
        if check and name[:1].isupper():
            _check_sum(name, body, data, position + 8 + length)
        if name == b"IHDR" and length == 13 and not chunks.width:
            chunks.width, chunks.height, chunks.depth, chunks.color = struct.unpack_from(">IIBB", body)
            chunks.interlaced = body[12] == 1
        elif name == b"fcTL":
            chunks.frames += 1
            chunks.is_animated |= not chunks.data
        elif name == b"IEND":
            chunks.ended = True
            break
        elif name in _KEPT or (name in TEXTS and body.startswith(_ORIENTED)):
            chunks.kept.setdefault(name, body)
        position += 12 + length
    if not chunks.width or chunks.color not in _SAMPLES:
        raise ImageError("has no valid PNG header")
    if chunks.color == 3 and b"PLTE" not in chunks.kept:
        raise ImageError("has no palette, which its header says it needs")
    return chunks


def _check_sum(name: bytes, body: bytes, data: bytes, position: int) -> None:
    """Compare a chunk's CRC with its content."""
    (stored,) = struct.unpack_from(">I", data, position)
    if zlib.crc32(name + body) != stored:
        raise ImageError(f"is damaged: the check sum of its {name.decode('latin-1')} chunk is wrong")


def may_be_complete(chunks: PngChunks) -> bool:
    """Tell whether the data could unpack to all rows at all, before memory is taken for these."""
    return _length(chunks) <= sum(map(len, chunks.data)) * _DEFLATE_RATIO


def is_complete(chunks: PngChunks) -> bool:
    """Tell whether the data hold all rows."""
    return sum(map(len, _unpack(chunks))) == _length(chunks)


def minimal(chunks: PngChunks, *, mend: bool) -> bytes:
    """Return a PNG without animation and without what only describes it; rows that are missing are blank if mended."""
    packed = zlib.compress(_mend(chunks), 0) if mend else b"".join(chunks.data)
    method = bytes([chunks.depth, chunks.color, 0, 0, chunks.interlaced])
    parts = [(b"IHDR", struct.pack(">II", chunks.width, chunks.height) + method)]
    parts += [(name, chunks.kept[name]) for name in (b"PLTE", b"tRNS") if name in chunks.kept and chunks.color == 3]
    parts += [(b"IDAT", packed), (b"IEND", b"")]
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


def _mend(chunks: PngChunks) -> bytes:
    """Return the rows that are there, up to the first whose filter there is not, and zeros for the others."""
    rows = b"".join(_unpack(chunks))
    if not rows:
        raise ImageError("is cut before its first row")
    good = next((start for start in _starts(chunks) if start >= len(rows) or rows[start] > _LAST_FILTER), len(rows))
    rows = rows[:good]
    return rows + bytes(_length(chunks) - len(rows))


def _starts(chunks: PngChunks) -> Iterator[int]:
    """Yield where each row of each pass starts."""
    position = 0
    for count, size in _passes(chunks):
        yield from range(position, position + count * size, size)
        position += count * size


def _unpack(chunks: PngChunks) -> Iterator[bytes]:
    """Yield the rows' bytes, piece by piece, as far as they are there and no further than the image needs."""
    inflate, wanted = zlib.decompressobj(), _length(chunks)
    for body in chunks.data:
        for begin in range(0, len(body), _STEP_BYTES):
            try:
                piece = inflate.decompress(body[begin : begin + _STEP_BYTES], wanted)
            except zlib.error:
                return
            yield piece
            wanted -= len(piece)
            if wanted <= 0:
                return


def _length(chunks: PngChunks) -> int:
    """Return how many bytes the rows of all passes take."""
    return sum(count * size for count, size in _passes(chunks))


def _passes(chunks: PngChunks) -> Iterator[tuple[int, int]]:
    """Yield of each pass how many rows it has and how many bytes a row takes, with its filter's number."""
    bits = chunks.depth * _SAMPLES[chunks.color]
    for left, top, across, down in _PASSES if chunks.interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(chunks.width - left) // across), -(-(chunks.height - top) // down)
        if columns > 0 and rows > 0:
            yield rows, 1 + (columns * bits + 7) // 8
