"""Keep freed memory for reuse, or return it to the system, where the C library is glibc."""

import contextlib
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # mallopt's


def keep_freed_memory(*, one_heap: bool = False) -> None:
    """Reuse memory that one strip or image has freed for the next one, if the C library is glibc.

    By default it is returned to the system, which zeroes it before each new use. That takes half of the time for large
    images, and the gain of several threads for small ones. one_heap: one heap for all threads instead of one each; this
    takes less memory, but many threads would wait for each other.
    """
    options = [(_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 32 << 20), *([(_ARENA_MAX, 1)] if one_heap else [])]
    with contextlib.suppress(AttributeError, OSError, TypeError):
        set_option = ctypes.CDLL(None).mallopt
        for option, value in options:
            set_option(option, value)


def return_freed_memory() -> None:
    """Give what is free in the heap back to the system."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
