"""What is said when Ctrl-C ends a command: what is kept, and how to go on with it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_tellers: list[Callable[[], str]] = []


@contextmanager
def telling(teller: Callable[[], str]) -> Iterator[None]:
    """Have Ctrl-C print what a function returns, for as long as the block takes."""
    _tellers.append(teller)
    try:
        yield
    finally:
        _tellers.remove(teller)


def interruption_lines() -> list[str]:
    """Return what is to be said now."""
    return [teller() for teller in _tellers]


def command_to_go_on() -> str:
    """Return this process's own command line with --resume."""
    arguments = [each for each in sys.argv[1:] if each != "--resume"]
    return shlex.join(["imgtool", *arguments, "--resume"])
