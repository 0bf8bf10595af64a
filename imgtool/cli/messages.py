"""Messages on standard error: single lines, with file names escaped so that they cannot affect the terminal.

The library says what is wrong with which value; this module adds the option's spelling and how to fix the problem.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import TextIO

from imgtool.errors import ImgtoolError

# Parameters whose option is spelled otherwise than by two dashes before their name.
OPTIONS = {
    "augment": "--no-augment",
    "bins": "--bin",
    "from_color": "--from",
    "null": "-0",
    "output": "-o",
    "overwrite": "--force",
    "with_places": "--places",
}

# Hint of an error -> what can be done about it.
ADVICE = {
    "exists": "--force overwrites it",
    "truncated": "--allow-truncated reads what is there",
    "max-pixels": "--max-pixels raises the limit",
    "resume": "--resume goes on",
    "unfinished": "--resume goes on from it, --force begins anew",
    "other-run": "--force begins anew",
    "resize": "--resize brings images to one size",
    "crop": "--crop X,Y,WxH picks a part",
    "several": "name a folder or template with -o",
    "among": "--among data compares among the classes that both know, and counts images of others as wrong",
    "background": "or --background COLOR shows it on one",
    "depth": "or imgtool convert --depth 8 makes pixels of it",
    "float": "or imgtool convert --depth float makes numbers of it",
    "size": "or imgtool convert --size makes it smaller",
    "lossless": "leave out --quality, or convert with --depth 8",
    "method": "use --method direct or fft",
    "no-validation": "--validation-share 0 sets no images aside",
    "by-hand": "--backend numpy trains it by hand, without",
    "train": "imgtool train makes others, named by their folders",
    "skip-bad": "--skip-bad goes on without them",
    "levels": "imgtool convert --depth 8 --range stretch brings them there",
    "layers": "imgtool models layers lists them",
    "fetch": "imgtool models fetch gets them",
    "fetch-again": "imgtool models fetch --force gets it anew",
    "vectors": "imgtool train fits hog-svm, gist-svm, cnn-svm and those of dense SIFT to vectors",
    "square": "imgtool hog --resize 128x128 --orientations 18 --cell 16 makes those of hog-svm's defaults",
    "dictionary": "imgtool features fit --dictionary makes one",
}


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


def option(parameter: str) -> str:
    """Return how a parameter is spelled on the command line.

    >>> option("sigma_color")
    '--sigma-color'
    """
    return OPTIONS.get(parameter, f"--{parameter.replace('_', '-')}")


def explain(error: Exception) -> str:
    """Return what an error says to a user of the command line: options by their spelling, then the way out."""
    if not isinstance(error, ImgtoolError):
        from imgtool.pipelines.outcomes import reason  # late: `imgtool --help` needs none of it

        return reason(error)
    text = error.message
    for name in error.parameters:
        text = re.sub(rf"(?<![\w./-]){name}\b", option(name), text, count=1)
    text = f"{error.place}: {text}" if error.place else text
    advice = ADVICE.get(error.hint)  # a hint may come from a file
    return f"{text}; {advice}" if advice else text or type(error).__name__


LONGEST = 10_000  # characters of a message, of which a path that a system takes has 4096


def complain(message: str, stream: TextIO | None = None) -> None:
    """Write one line to standard error, after the program's name; the middle of a very long one is left out.

    stream: what standard error was, where it has been replaced.
    """
    if len(message) > LONGEST:
        message = f"{message[: LONGEST // 2]} ... {message[-LONGEST // 2 :]}"
    note(f"imgtool: {message}", stream)


def note(message: str, stream: TextIO | None = None) -> None:
    """Write one line to standard error. A standard error that is gone is no reason to fail."""
    stream = sys.stderr if stream is None else stream
    try:
        stream.write(printable(message) + "\n")
        stream.flush()
    except OSError:
        pass
