"""Which images a command works on: files, folders, lists of files, standard input."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from imgtool.errors import ImageError, ParameterError

# In a folder, an image is told by its name; a file that is named on the command line is read whatever its name.
IMAGE_SUFFIXES = frozenset(
    [
        ".bmp",
        ".gif",
        ".jp2",
        ".j2k",
        ".jpeg",
        ".jpg",
        ".npy",
        ".pam",
        ".pbm",
        ".pfm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    ]
)
STANDARD_INPUT = "-"


class Input(NamedTuple):
    """One image to read.

    path: as it is shown, `-` for standard input; root: the folder argument it was found below, or None.
    """

    path: str
    root: str | None = None

    @property
    def stem(self) -> str:
        """The name without folder and suffix."""
        return "stdin" if self.path == STANDARD_INPUT else os.path.splitext(os.path.basename(self.path))[0]

    @property
    def relative(self) -> str:
        """The path below the folder argument; the bare name where there was none."""
        if self.path == STANDARD_INPUT:
            return "stdin"
        return os.path.relpath(self.path, self.root) if self.root else os.path.basename(self.path.rstrip(os.sep))

    @property
    def label(self) -> str:
        """The class folder's name, or "" when the file does not lie in a folder below the argument."""
        parts = self.relative.split(os.sep)
        return parts[0] if self.root is not None and len(parts) > 1 else ""

    def read_bytes(self) -> bytes:
        """Return the whole content. Raises ImageError when it is no readable, regular, non-empty file."""
        if self.path == STANDARD_INPUT:
            content = sys.stdin.buffer.read()
        else:
            content = _read_regular_file(self.path)
        if not content:
            raise ImageError("is empty")
        return content


def _read_regular_file(path: str) -> bytes:
    """Read a file that cannot make us wait: no pipe, no device."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            os.listdir(path)  # raises OSError when it may not be looked into
            raise ImageError("is a folder without images")
        if not stat.S_ISREG(mode):
            raise ImageError("is not a regular file; a stream is read from standard input ('-')")
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        dangling = isinstance(error, FileNotFoundError) and os.path.islink(path)
        raise ImageError("is a link to nothing" if dangling else (error.strerror or str(error)).lower()) from None


def expand(
    arguments: Sequence[str],
    *,
    files_from: str | None = None,
    null: bool = False,
    stdin_is_terminal: bool = False,
) -> list[Input]:
    """Return the inputs in order: files as named, folders recursively and sorted, `-` as standard input.

    files_from: a file (or `-`) with one path a line, or NUL-separated paths when null is true.
    Raises ParameterError when nothing is named and standard input is a terminal, or is asked for twice.
    """
    named = list(arguments)
    if files_from is not None:
        named += _listed(files_from, null=null)
    elif null:
        raise ParameterError("-0 goes with --files-from")
    elif not named:
        if stdin_is_terminal:
            raise ParameterError("no image named, and nothing comes through standard input")
        named = [STANDARD_INPUT]
    if named.count(STANDARD_INPUT) + (files_from == STANDARD_INPUT) > 1:
        raise ParameterError("standard input can be read only once")
    return list(_expanded(named))


def _listed(source: str, *, null: bool) -> list[str]:
    """Read the paths that a --files-from list holds."""
    try:
        content = sys.stdin.buffer.read() if source == STANDARD_INPUT else _read_regular_file(source)
    except ImageError as error:
        raise ParameterError(f"--files-from {source}: {error}") from None
    parts = content.split(b"\0") if null else content.splitlines()
    return [os.fsdecode(part) for part in parts if part]


def _expanded(named: Iterable[str]) -> Iterator[Input]:
    """Replace each folder by the images in it; one without images stays, and is refused when it is to be read."""
    for path in named:
        if path != STANDARD_INPUT and os.path.isdir(path):
            found = images_below(path) or [path]
            yield from (Input(file, root=None if file == path else path) for file in found)
        else:
            yield Input(path)


def images_below(folder: str) -> list[str]:
    """Return the files below a folder that are named as images, and folders that may not be looked into, sorted.

    Hidden ones and links to folders are left out.
    """
    found: list[str] = []
    for parent, folders, files in os.walk(folder, onerror=lambda error: found.append(error.filename)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:
                found.append(os.path.join(parent, name))
    return sorted(found, key=lambda file: file.split(os.sep))
