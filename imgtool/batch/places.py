"""Which file a path leads to: through links, hard links and other spellings, to open streams and devices."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from pathlib import Path

MAX_LINKS = 40  # that lead from one to the next, as Linux has it


def stream_number(path: str) -> int | None:
    """Return the number of the open stream that a path names, such as 1 for /dev/stdout; None for any other path."""
    for _ in range(MAX_LINKS):
        folder, name = os.path.split(path)
        if name.isdecimal() and os.path.realpath(folder) in _stream_folders():
            return int(name)
        try:
            path = os.path.join(folder, os.readlink(path))
        except (OSError, ValueError):  # no link; a zero byte
            return None
    return None


def _stream_folders() -> tuple[str, ...]:
    """Return the folders in which a process finds its own open streams."""
    return ("/dev/fd", os.path.realpath("/proc/self/fd"), os.path.realpath("/proc/thread-self/fd"))


def is_special(path: str) -> bool:
    """Tell whether a path leads to an open stream, a device, a pipe or the like, which is written to as it is."""
    if stream_number(path) is not None:
        return True
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def link_target(path: str) -> str:
    """Return where a symbolic link leads, and any other path as it is. Raises OSError for links in a circle."""
    if not os.path.islink(path):
        return path
    target = os.path.realpath(path)
    if os.path.islink(target):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return target


def folder_to_be(folder: Path) -> Path:
    """Return where a folder will be once those above it are made: `new/../old` leads to `old` from then on."""
    return Path(os.path.realpath(folder)) if os.pardir in folder.parts else folder


def status_to_be(path: str | int) -> os.stat_result | None:
    """Return the status of what a path leads to once its folders are made; None for what is not there.

    `new/../old.png` leads nowhere until an output's folder `new` is made, and to `old.png` from then on. path: also an
    open file's number. Raises ValueError for a zero byte.
    """
    try:
        return os.stat(path)
    except OSError:
        if isinstance(path, int) or os.pardir not in path.split(os.sep):
            return None
    try:
        return os.stat(os.path.realpath(path))
    except OSError:
        return None


def identity(path: str | int) -> object:
    """Return what two names of one file have in common: the inode if it exists, else its real path.

    path: also an open file's number.
    """
    try:
        if status := status_to_be(path):
            return (status.st_dev, status.st_ino)
    except ValueError:  # a zero byte, which no file's name has
        return path
    if isinstance(path, int):
        return path
    real = os.path.realpath(path)
    return unicodedata.normalize("NFC", real.casefold()) if _ignores_case(os.path.dirname(real)) else real


def _ignores_case(folder: str) -> bool:
    """Tell whether a file system takes names that differ in case for one: that of a folder, which may yet be made."""
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    parent, name = os.path.split(folder)
    try:
        return name != name.swapcase() and os.path.samefile(folder, os.path.join(parent, name.swapcase()))
    except OSError:
        return False


def lies_in(path: str, folder: str) -> bool:
    """Tell whether a path lies below a folder."""
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ""))
