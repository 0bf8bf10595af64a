"""Uncompressed images on disk, read and written a few rows at a time.

`open_rows` gives a file that is sliced as an array is, `image[begin:end]`; `NewRows` is assigned to in the same way.
What cannot be read so (compressed, tiled, turned, palettes ...) is left to `read`, which reads everything.
"""

from __future__ import annotations

import io
import math
import os
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from imgtool.errors import ImageError
from imgtool.files import open_regular
from imgtool.image.codecs import pnm
from imgtool.image.codecs.header import SIGNATURES, format_of_bytes
from imgtool.image.decoding import call_decoder
from imgtool.image.plain_formats import PLAIN_FORMATS
from imgtool.image.read import require_allowed
from imgtool.image.write import CAPACITY, tiff_options
from imgtool.remarks import Remark

if TYPE_CHECKING:
    from imgtool.image.metadata import Metadata

_HEADER_BYTES = 100_000  # bytes in which the header of a PNM, PAM, PFM or NPY file must end
ROW_FORMATS = ("tiff", *PLAIN_FORMATS)
_MOST_CHANNELS = 4
_TYPES = CAPACITY["npy"][0]


@dataclass(frozen=True)
class Layout:
    """Where the samples of an uncompressed image lie: rows one after the other from an offset on.

    sample_type: with its byte order; upside_down: the lowest row comes first.
    """

    shape: tuple[int, ...]
    sample_type: np.dtype
    offset: int
    upside_down: bool = False

    @property
    def row_bytes(self) -> int:
        """How many bytes a row takes."""
        return math.prod(self.shape[1:]) * self.sample_type.itemsize

    def place(self, begin: int, end: int) -> int:
        """Return where the bytes of rows begin to end - 1 begin."""
        return self.offset + (self.shape[0] - end if self.upside_down else begin) * self.row_bytes


class RowFile:
    """An image on disk that is sliced by rows as an array is; several threads may read at the same time."""

    def __init__(self, path: str | os.PathLike[str], layout: Layout) -> None:
        self.shape = layout.shape
        self.dtype = layout.sample_type.newbyteorder("=")
        self._layout = layout
        self._descriptor = os.open(path, os.O_RDONLY)

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._descriptor)

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return rows as an array (rows, width[, channels]). Raises ImageError when they cannot be read."""
        begin, end, _ = rows.indices(self.shape[0])
        place, wanted = self._layout.place(begin, end), (end - begin) * self._layout.row_bytes
        parts = []
        try:
            while wanted and (part := os.pread(self._descriptor, wanted, place)):
                parts.append(part)
                place, wanted = place + len(part), wanted - len(part)
        except OSError as error:
            raise ImageError((error.strerror or str(error)).lower()) from None
        if wanted:
            raise ImageError("was cut while it was read")
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        samples = np.frombuffer(data, self._layout.sample_type).reshape(end - begin, *self.shape[1:])
        return samples[:: -1 if self._layout.upside_down else 1].astype(self.dtype, copy=False)


def open_rows(path: str | os.PathLike[str], *, max_pixels: int) -> RowFile | None:
    """Return an image whose rows can be read alone, or None when all of the file has to be read.

    Raises ImageError when it has more than max_pixels pixels.
    """
    if not hasattr(os, "pread"):
        return None
    try:
        with open_regular(path) as file:
            layout = call_decoder(lambda: _layout(file))
            size = os.fstat(file.fileno()).st_size
    except (ImageError, OSError):
        return None  # whoever reads everything says why
    if layout is None or layout.sample_type.newbyteorder("=").name not in _TYPES or 0 in layout.shape:
        return None
    if layout.shape[2:] > (_MOST_CHANNELS,):
        return None
    require_allowed(layout.shape[0], layout.shape[1], max_pixels)
    whole = layout.offset + layout.shape[0] * layout.row_bytes <= size
    return RowFile(path, layout) if whole else None


class NewRows:
    """An image being written to a binary file that can be sought, rows assigned as to an array, in any order.

    Several threads may assign rows at the same time.

    format: one of ROW_FORMATS; shape and dtype: as `write.storage_type` lets them pass; metadata, remarks: as `encode`
    takes them.
    """

    def __init__(
        self,
        file: BinaryIO,
        format: str,
        shape: tuple[int, ...],
        dtype: np.dtype,
        *,
        metadata: Metadata | None = None,
        remarks: list[Remark] | None = None,
    ) -> None:
        self._file = file
        self._layout = _write_header(file, format, shape, dtype)
        if metadata:
            from imgtool.image.embedding import add_tags
            from imgtool.image.metadata import held

            kept = held(metadata, format, shape, dtype, [] if remarks is None else remarks)
            if kept:
                add_tags(file, kept, self._layout.place(0, 0) + shape[0] * self._layout.row_bytes)
        self._at_once = hasattr(os, "pwrite") and not isinstance(file, io.BytesIO)
        self._writing = threading.Lock()
        file.flush()

    def __setitem__(self, rows: slice, pixels: np.ndarray) -> None:
        """Write rows."""
        begin, end, _ = rows.indices(self._layout.shape[0])
        place = self._layout.place(begin, end)
        turned_rows = pixels[:: -1 if self._layout.upside_down else 1]
        data = np.ascontiguousarray(turned_rows, self._layout.sample_type).data.cast("B")
        if not self._at_once:
            with self._writing:
                self._file.seek(place)
                self._file.write(data)
            return
        while data:
            written = os.pwrite(self._file.fileno(), data, place)
            data, place = data[written:], place + written


def _write_header(file: BinaryIO, format: str, shape: tuple[int, ...], dtype: np.dtype) -> Layout:
    """Write a header; return where the samples belong."""
    if format == "tiff":
        import tifffile

        place = tifffile.imwrite(file, shape=shape, dtype=dtype, returnoffset=True, **tiff_options(shape))
        assert place is not None  # as returnoffset asks
        return Layout(shape, dtype, place[0])
    plain = PLAIN_FORMATS[format]
    head = plain.head(shape, dtype)
    file.write(head)
    return Layout(shape, plain.sample_type(dtype), len(head), plain.upside_down)


def _layout(file: BinaryIO) -> Layout | None:
    """Return where a file's samples lie, None when they are not plain rows."""
    head = file.read(_HEADER_BYTES)
    name = format_of_bytes(head)
    if name == "pnm" and (end := pnm.layout_of(head).end):
        file.seek(end)
        if SIGNATURES["pnm"].match(file.read(3)):
            return None  # another image follows
    if name == "tiff":
        file.seek(0)
        return _tiff_layout(file)
    layout = {"pnm": _pnm_layout, "npy": _npy_layout}.get(name, lambda _: None)(head)
    return layout if layout and layout.offset < len(head) else None  # else the header may go on


def _tiff_layout(file: BinaryIO) -> Layout | None:
    from imgtool.image.codecs.tiff import plain_rows

    found = plain_rows(file)
    return Layout(*found) if found else None


def _pnm_layout(head: bytes) -> Layout | None:
    found = pnm.layout_of(head)
    shape = (found.height, found.width) + ((found.channels,) if found.channels > 1 else ())
    if found.kind in "Ff":
        return Layout(shape, np.dtype("<f4" if found.scale < 0 else ">f4"), found.offset, upside_down=True)
    if found.kind in "567" and found.maxval in (255, 65535):
        return Layout(shape, np.dtype("u1" if found.maxval == 255 else ">u2"), found.offset)
    return None


def _npy_layout(head: bytes) -> Layout | None:
    from imgtool.image.codecs import npy

    shape, sample_type, fortran, offset = npy.layout_of(head)
    return None if fortran else Layout(shape, sample_type, offset)
