"""Temporary files: locked while they are written, so that only those of dead processes are swept.

The lock ends with the process, whatever its number, user, container or machine. Where a file system has no locks, or
the system no `flock`, such files bear another name, which is never swept.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

try:
    import fcntl

    HAS_LOCKS = True
except ImportError:  # Windows
    HAS_LOCKS = False

_TEMPORARY = re.compile(r"\.imgtool-[0-9a-f]{16}\.tmp")
_own_temporaries: set[str] = set()
_making_temporaries = threading.Lock()
_swept: set[str] = set()


def lock(file: BinaryIO | int) -> bool | None:
    """Lock an open file until it is closed; return False while another process has it, None where there are no locks.

    file: also an open file's number.
    """
    if not HAS_LOCKS:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


@contextmanager
def temporary(folder: str) -> Iterator[tuple[str, BinaryIO]]:
    """Hold open a new file with a temporary name, which is gone at the end unless it was renamed, Ctrl-C or not."""
    with _making_temporaries:
        path, file = _create(folder)
        _own_temporaries.add(path)
    with file:
        try:
            yield path, file
        finally:
            remove(path)  # while it is locked
            _own_temporaries.discard(path)


def _create(folder: str) -> tuple[str, BinaryIO]:
    """Create and lock a file; another one where a process that swept the folder was faster than the lock."""
    while True:
        name = os.urandom(8).hex()
        path, unlocked = (os.path.join(folder, f".imgtool-{kind}{name}.tmp") for kind in ("", "unlocked-"))
        if not HAS_LOCKS:
            return unlocked, open(unlocked, "x+b")
        file = open(path, "x+b")  # noqa: SIM115 - it is to stay open
        locked = lock(file)
        if locked and os.path.lexists(path):
            return path, file
        if locked is None:
            with contextlib.suppress(FileNotFoundError):
                os.rename(path, unlocked)
                return unlocked, file
        file.close()


def remove(path: str) -> None:
    """Remove a file, if it is there."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def sweep(folder: str) -> None:
    """Remove the temporary files that dead processes left in a folder; once a run and folder."""
    if folder in _swept:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError):  # a folder that is not there or not ours
        for name in os.listdir(folder):
            if _TEMPORARY.fullmatch(name):
                _remove_if_dead(os.path.join(folder, name))


def _remove_if_dead(path: str) -> None:
    """Remove a temporary file that no process has locked."""
    with contextlib.suppress(OSError):  # not ours to remove, or another process swept it
        number = _open(path)
        try:
            if stat.S_ISREG(os.fstat(number).st_mode) and lock(number):
                os.unlink(path)
        finally:
            os.close(number)


def _open(path: str) -> int:
    """Open a file to lock it, whoever it belongs to; neither wait for a pipe nor follow a link."""
    flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, os.O_RDWR | flags)  # which locks over a network need
    except PermissionError:
        return os.open(path, os.O_RDONLY | flags)


def remove_own_temporaries() -> None:
    """Remove this process's unfinished files, and start no new ones; called when it ends."""
    _making_temporaries.acquire(timeout=0.5)
    for path in list(_own_temporaries):
        remove(path)
