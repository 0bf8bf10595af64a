"""What the C library does with memory that was freed."""

import contextlib
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # mallopt's


def keep_freed_memory(*, one_heap: bool = False) -> None:
    """Let what one strip or image has freed serve the next one, where the C library is glibc.

    Otherwise it goes back to the system, which hands it out again full of zeros, each time: half of the time for large
    images, and what several threads gain with small ones. one_heap: for all threads, because each would keep its own;
    less memory, but many threads would wait for each other.
    """
    options = [(_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 32 << 20), *([(_ARENA_MAX, 1)] if one_heap else [])]
    with contextlib.suppress(AttributeError, OSError, TypeError):
        set_option = ctypes.CDLL(None).mallopt
        for option, value in options:
            set_option(option, value)
