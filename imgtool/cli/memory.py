"""Too little memory: told as such, in one line, whichever library meets it and in whichever thread.

Threads that cannot go on would be waited for, and OpenBLAS ends the process without a word where it finds no memory.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from imgtool.errors import is_out_of_memory

LINE = b"imgtool: not enough memory; try smaller images or fewer --jobs\n"
_kept: list[object] = []  # what C code calls must live on


def watch(tidy_up: Callable[[], None]) -> None:
    """Have the process end in one line where a thread runs out of memory, or a library ends it for that.

    tidy_up: removes what is half written.
    """

    def end_if_short(args: threading.ExceptHookArgs | sys.UnraisableHookArgs) -> bool:
        if args.exc_value is not None and is_short(args.exc_value):
            end(tidy_up)
        return False

    in_threads, unraisable = threading.excepthook, sys.unraisablehook
    threading.excepthook = lambda args: end_if_short(args) or in_threads(args)
    sys.unraisablehook = lambda args: end_if_short(args) or unraisable(args)
    if is_limited():
        _speak_at_sudden_end(tidy_up)


def is_short(error: BaseException) -> bool:
    """Tell whether an error means that memory is short; where it is limited, also one of C code that gave no reason."""
    return is_out_of_memory(error) or (isinstance(error, SystemError) and is_limited())


def end(tidy_up: Callable[[], None]) -> NoReturn:
    """Say that memory is short and end, asking for none."""
    say()
    with contextlib.suppress(BaseException):
        tidy_up()
    os._exit(1)


def say() -> None:
    """Write the line, past all that holds memory."""
    with contextlib.suppress(BaseException):
        os.write(sys.stderr.fileno(), LINE)


def is_limited() -> bool:
    """Tell whether this process may have only so much memory (as by `ulimit -v`)."""
    try:
        import resource
    except ImportError:  # Windows
        return False
    return any(
        resource.getrlimit(getattr(resource, name))[0] != resource.RLIM_INFINITY
        for name in ("RLIMIT_AS", "RLIMIT_DATA")
        if hasattr(resource, name)
    )


def _speak_at_sudden_end(tidy_up: Callable[[], None]) -> None:
    """Write the line where C code calls `exit`, as imgtool itself never does, and end before destructors abort."""
    with contextlib.suppress(Exception):  # another C library than glibc
        import ctypes

        callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)(lambda *_: end(tidy_up))
        ctypes.CDLL(None).on_exit(callback, None)
        _kept.append(callback)
