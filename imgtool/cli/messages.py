"""What a user is told on standard error: single lines in which no file name can do harm."""

from __future__ import annotations

import sys
import unicodedata


def printable(text: str) -> str:
    r"""Return text with everything that could move a cursor or reorder a line written as an escape.

    >>> printable("a\nb")
    'a\\nb'
    """
    return "".join(c if harmless(c) else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def harmless(character: str) -> bool:
    """Tell whether a character is safe on a terminal: no control, format, surrogate or line separator."""
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def one_line(text: str) -> str:
    """Join the lines of a message into one."""
    return " ".join(text.split())


def complain(message: str) -> None:
    """Write one line to standard error, after the program's name."""
    note(f"imgtool: {message}")


def note(message: str) -> None:
    """Write one line to standard error. A standard error that is gone is no reason to fail."""
    try:
        sys.stderr.write(printable(message) + "\n")
        sys.stderr.flush()
    except OSError:
        pass
