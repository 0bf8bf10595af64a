"""The bytes of an image file or stream, of which no more is read than an image can have.

What is no image is told by its first bytes, so that neither an endless stream nor a file of holes fills memory.
"""

from __future__ import annotations

import errno
import io
import os
from typing import BinaryIO

from imgtool.errors import ImageError
from imgtool.files import memory_bytes, open_regular
from imgtool.image.codecs.header import format_of_bytes

HEAD_BYTES = 1 << 20  # read before the format is asked for
BYTES_PER_PIXEL = 32  # four channels of float64, uncompressed
BASE_BYTES = 1 << 24  # that any file may have
MAX_BYTES = BASE_BYTES + BYTES_PER_PIXEL * 178_000_000  # where nobody says how many pixels are allowed


def limit_of(max_pixels: int) -> int:
    """Return how many bytes a file of images of at most so many pixels may have."""
    return BASE_BYTES + BYTES_PER_PIXEL * max_pixels


def file_content(path: str | os.PathLike[str], limit: int = MAX_BYTES) -> bytes:
    """Return what a file holds. Raises ImageError when it is no regular file that can be read, or too large."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > HEAD_BYTES:
                format_of_bytes(file.read(HEAD_BYTES))
                file.seek(0)
            if size > min(limit, memory_bytes()):
                raise _too_large(f"has {size} bytes", limit)
            return file.read()
    except OSError as error:
        raise ImageError((error.strerror or str(error)).lower()) from None


def stream_content(stream: BinaryIO | None, limit: int = MAX_BYTES) -> bytes:
    """Return what a stream holds, None standing for one that is closed. Raises ImageError as `file_content` does."""
    if stream is None:
        raise ImageError("is closed")
    try:
        content = io.BytesIO(stream.read(HEAD_BYTES) or b"")
        if content.seek(0, io.SEEK_END) >= HEAD_BYTES:
            format_of_bytes(content.getvalue())
        while part := stream.read(HEAD_BYTES):
            content.write(part)
            if content.tell() > min(limit, memory_bytes()):
                raise _too_large(f"has more than {content.tell() - 1} bytes", limit)
        return content.getvalue()
    except OSError as error:
        closed = error.errno == errno.EBADF
        raise ImageError("is closed" if closed else (error.strerror or str(error)).lower()) from None


def _too_large(text: str, limit: int) -> ImageError:
    """Return the error for more bytes than an image has."""
    if limit > memory_bytes():
        return ImageError(f"{text}, more than this machine's memory")
    return ImageError(f"{text}, more than images of so many pixels as are allowed can have", hint="max-pixels")
