"""Files that are read: regular ones only, so that nothing waits for a pipe, or fills memory from a device.

What cannot be read is an OSError whose `strerror` says why, as the system's own does.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from io import BufferedReader

PIPE_SECONDS = 1.0  # for somebody to begin writing to a pipe
TEXT_BYTES = 16_000_000  # of a text that people write: a list of files, a card, a table of names


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file, or a link to one, for reading. Raises OSError for everything else, without waiting."""
    try:
        _require_regular(os.stat(path), path)  # before it is opened: opening a device may already do something
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    except FileNotFoundError as error:
        if os.path.islink(path):
            raise FileNotFoundError(error.errno, "is a link to nothing", os.fspath(path)) from None
        raise
    except ValueError:  # a zero byte, which no path holds
        raise OSError(errno.EINVAL, "is no path: it holds a zero byte", os.fspath(path)) from None
    try:
        _require_regular(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def read_regular(path: str | os.PathLike[str], limit: int | None = None) -> bytes:
    """Return what a regular file holds. Raises OSError for one of more than `limit` bytes, before it is read.

    limit: None for as much as this machine has memory.
    """
    with open_regular(path) as file:
        size, most = os.fstat(file.fileno()).st_size, memory_bytes() if limit is None else limit
        if size > most:
            what = "this machine's memory" if limit is None else f"{most} bytes"
            raise OSError(errno.EFBIG, f"holds {size} bytes, more than {what}", os.fspath(path))
        return file.read() if limit is None else file.read(limit)


def read_text_file(path: str | os.PathLike[str], limit: int = TEXT_BYTES) -> bytes:
    """Return what a regular file holds, or what comes through a pipe that somebody writes to, as from bash's <(...)."""
    try:
        if not stat.S_ISFIFO(os.stat(path).st_mode):
            return read_regular(path, limit)
    except (OSError, ValueError):
        return read_regular(path, limit)  # which says why it cannot be read
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        first = _first_bytes(file.fileno(), path)
        os.set_blocking(file.fileno(), True)
        content = first + file.read(limit + 1 - len(first))
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"holds more than {limit} bytes", os.fspath(path))
    return content


def _first_bytes(pipe: int, path: str | os.PathLike[str]) -> bytes:
    """Return what is there already, perhaps nothing. Raises OSError where nobody opens a pipe for writing."""
    end = time.monotonic() + PIPE_SECONDS
    while time.monotonic() < end:
        try:
            if found := os.read(pipe, 1):
                return found
        except BlockingIOError:  # somebody has, and has not written yet
            return b""
        time.sleep(PIPE_SECONDS / 100)
    raise OSError(errno.EPIPE, "is a pipe that nobody writes to", os.fspath(path))


def memory_bytes() -> int:
    """Return how much memory this machine has; a very large number where it does not say."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 1 << 62
    return found if found > 0 else 1 << 62


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, which may have become a pipe meanwhile."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _require_regular(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    """Raise OSError for a folder, a pipe, a device."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory", os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", os.fspath(path))
