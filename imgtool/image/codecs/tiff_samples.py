"""TIFF samples: strips or tiles to one array of numbers, of any depth and byte order, predictors undone.

Source: Adobe, "TIFF Revision 6.0", 1992, sections 14 (prediction), 15 (tiles), 21 (subsampled color); Adobe
Photoshop's TIFF Technical Note 3 (prediction of floats). Rows begin on whole bytes, the highest bit comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgtool.errors import ImageError
from imgtool.image.codecs.orientation import require_supported
from imgtool.image.codecs.tiff_codecs import PREDICTABLE, decode_strip, is_image, require_codec, unpack

_UNSIGNED, _SIGNED, _FLOAT, _VOID = 1, 2, 3, 4
_HORIZONTAL, _FLOATING = 2, 3
_FREE_BYTES = 1 << 26  # bytes that a tile of a small picture may take
_MOST_TIMES = 4  # ... and how often the picture a larger one may be
_BLOCK_ROWS = 64  # rows that are taken apart into bits at a time
_YCBCR = 6


@dataclass(frozen=True)
class _Place:
    """Where a strip or tile lies: its plane, the rectangle that it covers, and how many rows and columns it holds."""

    plane: int
    top: int
    left: int
    rows: int
    columns: int


def samples(data: bytes, page: Any, *, allow_truncated: bool) -> np.ndarray:
    """Return (height, width, samples a pixel), unscaled; blank where allow_truncated and the strip is cut."""
    require_codec(page)
    dtype = sample_type(page)
    planes = 1 if page.planarconfig == 1 else page.samplesperpixel
    shape = (planes, page.imagelength, page.imagewidth, page.samplesperpixel // planes)
    rows, columns = _part_size(page)
    needed = planes * -(-page.imagelength // rows) * -(-page.imagewidth // columns)
    offsets, counts = page.dataoffsets, page.databytecounts
    if len(offsets) != len(counts) or len(offsets) < needed:
        raise ImageError("has fewer strips or tiles than its size needs")
    _require_fitting(page, rows, columns, shape[3])
    places = list(_places(page, planes))
    image, view = np.zeros(shape, dtype), memoryview(data)
    cut: ImageError | None = None
    shown = 0
    for place, offset, count in zip(places, offsets, counts, strict=False):
        if count == 0 and len(places) > 1:
            continue  # a strip that was never written is blank
        try:
            if offset + count > len(data) and not allow_truncated:
                raise ImageError("is cut: pixels lie behind its end", hint="truncated")
            part = _part(view[offset : offset + count], page, place, shape[3], allow_truncated)
        except ImageError as error:
            if not allow_truncated:
                raise
            cut = error
            continue
        shown += 1
        target = image[place.plane, place.top : place.top + place.rows, place.left : place.left + place.columns]
        target[:] = part[: target.shape[0], : target.shape[1]]
    if cut and not shown:
        raise cut
    return np.asarray(image[0] if planes == 1 else np.moveaxis(image[..., 0], 0, 2))


def sample_type(page: Any) -> np.dtype:
    """Return the type of the array that holds a page's samples. Raises ImageError for one that none does."""
    bits, kinds = page.tags.valueof(258, default=1), page.tags.valueof(339, default=_UNSIGNED)
    for values, what in ((bits, "bits"), (kinds, "kinds")):
        alike = np.ndim(values) == 0 or len(set(values[: page.samplesperpixel])) == 1
        require_supported(alike, f"samples of different {what}")
    depth, kind = int(page.bitspersample), int(page.sampleformat)
    if kind == _FLOAT and depth in (16, 32, 64):
        return np.dtype(f"f{depth // 8}")
    if kind == _SIGNED and depth in (8, 16, 32, 64):
        return np.dtype(f"i{depth // 8}")
    require_supported(kind in (_UNSIGNED, _VOID) and (1 <= depth <= 32 or depth == 64), f"samples of {depth} bits")
    return np.dtype(np.uint8 if depth <= 8 else np.uint16 if depth <= 16 else np.uint32 if depth <= 32 else np.uint64)


def _places(page: Any, planes: int) -> Iterator[_Place]:
    """Yield where each strip or tile lies, in the order of the file."""
    height, width = page.imagelength, page.imagewidth
    rows, columns = _part_size(page)
    for plane in range(planes):
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                yield _Place(plane, top, left, rows if page.is_tiled else min(rows, height - top), columns)


def _part_size(page: Any) -> tuple[int, int]:
    """Return rows and columns of a strip or tile."""
    height, width = page.imagelength, page.imagewidth
    rows = page.tilelength if page.is_tiled else min(int(page.rowsperstrip) or height, height)
    columns = page.tilewidth if page.is_tiled else width
    if rows < 1 or columns < 1:
        raise ImageError("has tiles without a size")
    return rows, columns


def _require_fitting(page: Any, rows: int, columns: int, count: int) -> None:
    """Raise ImageError for a tile that takes more memory than the picture can be a reason for."""
    bits = int(page.bitspersample) * count
    part, picture = rows * columns * bits // 8, page.imagelength * page.imagewidth * bits // 8
    if part > max(_FREE_BYTES, _MOST_TIMES * picture):
        size = f"{page.imagewidth}x{page.imagelength}"
        raise ImageError(f"declares tiles of {columns}x{rows} pixels for a picture of {size}")


def _part(strip: memoryview, page: Any, place: _Place, count: int, allow_truncated: bool) -> np.ndarray:
    """Return the samples (rows, columns, count) of a strip or tile."""
    if is_image(page):
        return _fit(decode_strip(strip, page, place.rows * place.columns), page, place, count)
    steps = subsampling(page)
    if steps != (1, 1):
        return _subsample(strip, page, place, steps, allow_truncated)
    bits = int(page.bitspersample)
    row_bytes = (place.columns * count * bits + 7) // 8
    rows = _rows(strip, page, place.rows, row_bytes, place.columns, allow_truncated)
    values = _unpredict(rows, page, count, place.columns)
    return values.reshape(place.rows, place.columns, count)


def _fit(part: np.ndarray, page: Any, place: _Place, count: int) -> np.ndarray:
    """Return the pixels of a strip or tile that is an image file; these must be as many as the header says."""
    rows = min(place.rows, page.imagelength - place.top)
    if part.shape[0] < rows or part.shape[1] < place.columns:
        require_supported(page.planarconfig == 1, "planes that are subsampled")
        raise ImageError("has a strip or tile smaller than its size needs")
    if part.shape[2] == 3 and count == 4:  # WebP leaves out alpha that is opaque everywhere
        return np.dstack([part, np.full_like(part[:, :, :1], np.iinfo(part.dtype).max)])
    if part.shape[2] != count:
        raise ImageError(f"has {part.shape[2]} samples a pixel where {count} are declared")
    return part


def _rows(strip: memoryview, page: Any, rows: int, row_bytes: int, width: int, allow_truncated: bool) -> np.ndarray:
    """Return the uncompressed bytes of a strip (rows, bytes)."""
    found = unpack(strip, page, rows, row_bytes, width)
    missing = rows * row_bytes - len(found)
    if missing and not (allow_truncated and found):
        raise ImageError(f"is cut: a strip holds {len(found)} of {rows * row_bytes} bytes")
    whole = bytes(found) + bytes(missing) if missing else found
    return np.frombuffer(whole, np.uint8).reshape(rows, row_bytes)


def _unpredict(rows: np.ndarray, page: Any, count: int, columns: int) -> np.ndarray:
    """Return the samples of rows of bytes (rows, columns * count), prediction undone."""
    bits, predictor = int(page.bitspersample), int(page.predictor) if int(page.compression) in PREDICTABLE else 1
    require_supported(predictor in (1, _HORIZONTAL, _FLOATING), f"the predictor {predictor}")
    dtype = sample_type(page)
    if predictor == _FLOATING:
        require_supported(dtype.kind == "f", "prediction of floats for integers")
        return _unpredict_floats(rows, count, dtype)
    if bits not in (8, 16, 32, 64):
        require_supported(predictor == 1, f"prediction of {bits} bits")
        return _bits(rows, bits, columns * count, page.parent.byteorder)
    values = rows.view(dtype.newbyteorder(page.parent.byteorder)).astype(dtype, copy=False)
    if predictor == 1:
        return values
    whole = values.view(f"u{dtype.itemsize}").reshape(len(rows), columns, count)
    return np.cumsum(whole, axis=1, dtype=whole.dtype).reshape(len(rows), -1).view(dtype)


def _unpredict_floats(rows: np.ndarray, count: int, dtype: np.dtype) -> np.ndarray:
    """Undo the prediction of floats: their bytes, the highest of all first, are differences along the row."""
    bytes_of = np.cumsum(rows.reshape(len(rows), -1, count), axis=1, dtype=np.uint8)
    planes = bytes_of.reshape(len(rows), dtype.itemsize, -1)
    together = np.ascontiguousarray(planes.transpose(0, 2, 1))
    return together.reshape(len(rows), -1).view(dtype.newbyteorder(">")).astype(dtype)


def _bits(rows: np.ndarray, bits: int, across: int, byteorder: str) -> np.ndarray:
    """Return samples of any other depth, packed without gaps; those of 24 bits follow the byte order of the file."""
    if bits == 1:
        return np.unpackbits(rows, axis=1)[:, :across]
    if bits == 24:
        low, middle, high = (rows.reshape(len(rows), across, 3)[:, :, k].astype(np.uint32) for k in (0, 1, 2))
        return low | middle << 8 | high << 16 if byteorder == "<" else high | middle << 8 | low << 16
    dtype = np.dtype(np.uint8 if bits < 8 else np.uint16 if bits < 16 else np.uint32)
    values = np.zeros((len(rows), across), dtype)
    for begin in range(0, len(rows), _BLOCK_ROWS):
        single = np.unpackbits(rows[begin : begin + _BLOCK_ROWS], axis=1)[:, : across * bits].reshape(-1, across, bits)
        for bit in range(bits):
            values[begin : begin + _BLOCK_ROWS] |= single[:, :, bit].astype(dtype) << dtype.type(bits - 1 - bit)
    return values


def subsampling(page: Any) -> tuple[int, int]:
    """Return how many columns and rows share their color differences; (1, 1) unless the image is YCbCr."""
    if int(page.photometric) != _YCBCR or is_image(page) or page.samplesperpixel != 3:
        return (1, 1)
    across, down = page.tags.valueof(530, default=(2, 2))
    if not {across, down} <= {1, 2, 4}:
        raise ImageError(f"has color subsampled {across} by {down}")
    return int(across), int(down)


def _subsample(
    strip: memoryview, page: Any, place: _Place, steps: tuple[int, int], allow_truncated: bool
) -> np.ndarray:
    """Return Y, Cb, Cr of every pixel; a unit of the file holds the Ys of a block, then one Cb and one Cr."""
    plain = (
        page.bitspersample == 8
        and (page.predictor == 1 or page.compression not in PREDICTABLE)
        and page.planarconfig == 1
    )
    require_supported(plain, "subsampled YCbCr that is predicted, planar or not of 8 bits")
    across, down = steps
    units, unit_rows, size = -(-place.columns // across), -(-place.rows // down), across * down + 2
    found = _rows(strip, page, unit_rows, units * size, place.columns, allow_truncated)
    blocks = found.reshape(unit_rows, units, size)
    luma = blocks[:, :, :-2].reshape(unit_rows, units, down, across).transpose(0, 2, 1, 3)
    image = np.empty((unit_rows * down, units * across, 3), np.uint8)
    image[:, :, 0] = luma.reshape(unit_rows * down, units * across)
    image[:, :, 1:] = blocks[:, :, -2:].repeat(down, axis=0).repeat(across, axis=1)
    return image[: place.rows, : place.columns]
