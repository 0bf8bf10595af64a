"""OpenBLAS, which NumPy and SciPy bring along, and OpenCV, held to one thread while several threads call them.

Each call would else divide its work among all processors again: threads then wait for each other, and Fisher vectors
of a folder take four times as long. With one thread the bits are also the same for any number of jobs. The command line
sets OPENBLAS_NUM_THREADS for the same reason; from Python NumPy is loaded before anybody could.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock

Threads = tuple[Callable[[], int], Callable[[int], None]]  # how a library's number of threads is read and written

_LOADED = "/proc/self/maps"  # where Linux lists the libraries of a process; elsewhere OpenBLAS is left alone
_NAMES = [f"{before}openblas_{{}}_num_threads{after}" for before in ("scipy_", "") for after in ("64_", "_64", "")]
_lock = Lock()
_users = 0
_restore: list[tuple[Callable[[int], None], int]] = []


@contextmanager
def one_library_thread() -> Iterator[None]:
    """Hold the libraries to one thread a call; contexts may overlap, and the last to end restores what was before."""
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            for read, write in _libraries():
                if (count := read()) != 1:
                    _restore.append((write, count))
                    write(1)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            while _users == 0 and _restore:
                write, count = _restore.pop()
                write(count)


def _libraries() -> Iterator[Threads]:
    """Yield the libraries that are loaded."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        yield from _openblas(_loaded_paths())
    if cv2 := sys.modules.get("cv2"):
        yield cv2.getNumThreads, cv2.setNumThreads


def _loaded_paths() -> frozenset[str]:
    """Return where the OpenBLAS libraries of this process lie."""
    with suppress(OSError), open(_LOADED, encoding="utf-8", errors="surrogateescape") as file:
        return frozenset(re.findall(r"(/\S*openblas\S*\.so\S*)", file.read()))
    return frozenset()


@functools.lru_cache(maxsize=4)
def _openblas(paths: frozenset[str]) -> list[Threads]:
    """Return the libraries at these paths."""
    found: list[Threads] = []
    for path in sorted(paths):
        with suppress(OSError):
            library = ctypes.CDLL(path)
            names = (name for name in _NAMES if hasattr(library, name.format("set")))
            found += [(getattr(library, name.format("get")), getattr(library, name.format("set"))) for name in names][
                :1
            ]
    return found
