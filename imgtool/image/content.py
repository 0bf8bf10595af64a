"""The bytes of an image file or stream, of which no more is read than its header says an image can have.

What is no image is told by its first bytes, and how much may follow by the size that these declare: neither an endless
stream nor a file of holes fills memory.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
from typing import BinaryIO

import numpy as np

from imgtool.errors import ImageError
from imgtool.files import memory_bytes, open_regular
from imgtool.image.codecs.header import MAX_PIXELS, Header, format_of_bytes
from imgtool.image.decoders import DECODERS
from imgtool.image.decoding import call_decoder

HEAD_BYTES = 1 << 20  # read before the format is asked for
FREE_BYTES = 1 << 26  # that any image may have: so much may be metadata
_FRAME_BYTES = 1 << 29  # ... of a format whose files may hold many frames
_FRAMED = {"gif", "webp", "avif", "heic"}
_BYTES_PER_PIXEL = 32  # four channels of float64, uncompressed
_STORED = 4  # bytes in a file for a byte in memory, at most: PNM writes "255 "


def file_content(path: str | os.PathLike[str], max_pixels: int | None = None) -> bytes:
    """Return what a file holds. Raises ImageError when it is no regular file that can be read, or too large."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > HEAD_BYTES:
                head = file.read(HEAD_BYTES)
                format_of_bytes(head)
                if size > FREE_BYTES:
                    head += file.read(FREE_BYTES - HEAD_BYTES)
                    _require_bytes(size, _declared(head, file), max_pixels)
                file.seek(0)
            return file.read()
    except OSError as error:
        raise ImageError((error.strerror or str(error)).lower()) from None


def numbered_content(number: int, max_pixels: int | None = None) -> bytes:
    """Return what the open stream of a number holds. Raises ImageError as `file_content` does."""
    try:
        with os.fdopen(os.dup(number), "rb") as stream:
            return stream_content(stream, max_pixels)
    except OSError as error:
        closed = error.errno == errno.EBADF
        raise ImageError("is closed" if closed else (error.strerror or str(error)).lower()) from None


def stream_content(stream: BinaryIO | None, max_pixels: int | None = None) -> bytes:
    """Return what a stream holds, None standing for one that is closed. Raises ImageError as `file_content` does."""
    if stream is None:
        raise ImageError("is closed")
    try:
        content, declared = io.BytesIO(stream.read(HEAD_BYTES) or b""), 0
        if content.seek(0, io.SEEK_END) >= HEAD_BYTES:
            format_of_bytes(content.getvalue())
        while part := stream.read(HEAD_BYTES):
            content.write(part)
            if content.tell() > FREE_BYTES:
                declared = declared or _declared(content.getvalue(), None)
                _require_bytes(content.tell(), declared, max_pixels)
        return content.getvalue()
    except OSError as error:
        closed = error.errno == errno.EBADF
        raise ImageError("is closed" if closed else (error.strerror or str(error)).lower()) from None


def _require_bytes(size: int, declared: int, max_pixels: int | None) -> None:
    """Raise ImageError for more bytes than there can be."""
    text, limit = f"has {size} bytes or more", FREE_BYTES + _BYTES_PER_PIXEL * (max_pixels or MAX_PIXELS)
    if size > declared:
        raise ImageError(f"{text}, but an image of the size that it declares has {declared} at most")
    if size > limit:
        raise ImageError(f"{text}, more than images of so many pixels as are allowed can have", hint="max-pixels")
    if size > memory_bytes():
        raise ImageError(f"{text}, more than this machine's memory")


def _declared(head: bytes, file: BinaryIO | None) -> int:
    """Return how many bytes a file that begins so may have; file: to look further, None for a stream."""
    return call_decoder(lambda: _declared_bytes(head, file))


def _declared_bytes(head: bytes, file: BinaryIO | None) -> int:
    """Return how many bytes the images that a header declares may have, with metadata."""
    name = format_of_bytes(head)
    decoder = importlib.import_module(DECODERS[name])
    free = _FRAME_BYTES if name in _FRAMED else FREE_BYTES
    if hasattr(decoder, "declared_bytes"):
        return free + int(decoder.declared_bytes(head, file))
    header: Header = decoder.header(head)
    samples = int(header.height) * int(header.width) * int(header.channels)
    return free + _STORED * samples * int(np.dtype(header.dtype).itemsize)
