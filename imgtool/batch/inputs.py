"""Which images a command works on: files, folders, lists of files, standard input."""

from __future__ import annotations

import codecs
import errno
import os
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, overload

from imgtool.errors import ImageError, ParameterError
from imgtool.files import read_regular
from imgtool.text import is_wide

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
MAX_LIST_BYTES = 1 << 30  # bytes of a list of files


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
        if self.root:
            return self.path[len(self.root) :].lstrip(os.sep)
        return os.path.basename(self.path.rstrip(os.sep))

    def read_bytes(self, max_pixels: int | None = None) -> bytes:
        """Return the whole content. Raises ImageError when it is no readable, regular, non-empty file.

        max_pixels: that an image may have; a file with more bytes than such images need is refused.
        """
        from imgtool.image import content  # late: whatever lists inputs needs none of it

        limit = content.MAX_BYTES if max_pixels is None else content.limit_of(max_pixels)
        if self.path == STANDARD_INPUT:
            found = content.stream_content(None if sys.stdin is None else sys.stdin.buffer, limit)
        elif os.path.isdir(self.path):
            _require_readable_folder(self.path)
            raise ImageError("is a folder without images")
        else:
            found = content.file_content(self.path, limit)
        if not found:
            raise ImageError("is empty")
        return found


class Inputs(Sequence[Input]):
    """Inputs that take as many bytes as their names: of 100,000, a list would take 20 MB."""

    def __init__(self, inputs: Iterable[Input] = ()) -> None:
        self._names = bytearray()  # paths one after the other, without the folder that they were found below
        self._ends = array("q")
        self._roots: list[tuple[int, str | None]] = []  # from which index on, which folder
        for each in inputs:
            if not self._roots or self._roots[-1][1] != each.root:
                self._roots.append((len(self._ends), each.root))
            self._names += os.fsencode(each.path[len(each.root or "") :])
            self._ends.append(len(self._names))

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Input: ...

    @overload
    def __getitem__(self, index: slice) -> list[Input]: ...

    def __getitem__(self, index: int | slice) -> Input | list[Input]:
        """Return one input, or a list of some."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        _, root = self._roots[bisect_right(self._roots, index, key=lambda each: each[0]) - 1]
        name = os.fsdecode(bytes(self._names[self._ends[index - 1] if index else 0 : self._ends[index]]))
        return Input((root or "") + name, root)

    def __iter__(self) -> Iterator[Input]:
        """Yield all inputs, in less time than one by one."""
        begin = 0
        for (first, root), (last, _) in pairwise([*self._roots, (len(self), None)]):
            for index in range(first, last):
                end = self._ends[index]
                yield Input((root or "") + os.fsdecode(bytes(self._names[begin:end])), root)
                begin = end


def path_text(path: Any, name: str = "path") -> str:
    """Return a path as text. Raises ParameterError, by the argument's name, for what is none."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise ParameterError(f"{name} must be a path, got {path!r}")
    text = os.fsdecode(path)
    if "\0" in text:
        raise ParameterError(f"{name} must be a path, and none holds a zero byte: {path!r}")
    return text


def _require_readable_folder(path: str) -> None:
    """Raise ImageError when a folder may not be looked into."""
    try:
        os.listdir(path)
    except OSError as error:
        raise ImageError((error.strerror or str(error)).lower()) from None


def expand(
    arguments: Sequence[str],
    *,
    files_from: str | None = None,
    null: bool = False,
    stdin_is_terminal: bool = False,
) -> Inputs:
    """Return the inputs in order: files as named, folders recursively and sorted, `-` as standard input.

    files_from: a file (or `-`) with one path a line, or NUL-separated paths when null is true.
    Raises ParameterError when nothing is named and standard input is a terminal, or is asked for twice.
    """
    named = list(arguments)
    if files_from is not None:
        named += _read_list(files_from, null=null)
    elif null:
        raise ParameterError("null goes with files_from", parameters=("null", "files_from"))
    elif not named:
        if stdin_is_terminal:
            raise ParameterError("no image named, and nothing comes through standard input")
        named = [STANDARD_INPUT]
    if named.count(STANDARD_INPUT) + (files_from == STANDARD_INPUT) > 1:
        raise ParameterError("standard input can be read only once")
    return Inputs(_expand_folders(named))


def _read_list(source: str, *, null: bool) -> list[str]:
    """Read the paths that a list of files holds."""
    try:
        content = _standard_input() if source == STANDARD_INPUT else read_regular(source, MAX_LIST_BYTES)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ParameterError(f"files_from {source}: {reason}", parameters=("files_from",)) from None
    where = f"files_from {source}"
    if is_wide(content, marked_only=null):
        raise ParameterError(f"{where}: is text in UTF-16; UTF-8 is read", parameters=("files_from",))
    if not null and b"\0" in content:
        text = f"{where}: holds zero bytes, which no path does; null takes what lies between them"
        raise ParameterError(text, parameters=("files_from", "null"))
    parts = content.removeprefix(codecs.BOM_UTF8).split(b"\0" if null else b"\n")
    return [os.fsdecode(part if null else _without_return(part, where)) for part in parts if part.strip(b"\r")]


def _without_return(line: bytes, where: str) -> bytes:
    """Return a line without the carriage return that ends it, unless that belongs to a name, as in macOS' `Icon`."""
    stripped = line.removesuffix(b"\r")
    if stripped is line or not os.path.lexists(line):
        return stripped
    if os.path.lexists(stripped):
        text = f"{where}: {os.fsdecode(line)!r} is a file with and without the carriage return; null ends names clearly"
        raise ParameterError(text, parameters=("files_from", "null"))
    return line


def _standard_input() -> bytes:
    """Return what comes through standard input. Raises OSError when it is closed, or more than a list of files."""
    content = bytearray()
    if sys.stdin is None:
        raise OSError(errno.EBADF, "is closed")
    while part := sys.stdin.buffer.read(1 << 20):
        content += part
        if len(content) > MAX_LIST_BYTES:
            raise OSError(errno.EFBIG, f"holds more than {MAX_LIST_BYTES} bytes")
    return bytes(content)


def _expand_folders(named: Iterable[str]) -> Iterator[Input]:
    """Replace each folder by the images in it; one without images stays, and is refused when it is to be read."""
    for path in named:
        if path != STANDARD_INPUT and os.path.isdir(path):
            empty = True
            for file in images_below(path):
                empty = False
                yield Input(file, root=None if file == path else path)
            if empty:
                yield Input(path)
        else:
            yield Input(path)


def images_below(folder: str) -> Iterator[str]:
    """Yield the files below a folder that are named as images, and folders that may not be looked into, sorted.

    Hidden ones and links to folders are left out.
    """
    names, folders = list[str](), set[str]()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    folders.add(entry.name)
                elif os.path.splitext(entry.name)[1].lower() not in IMAGE_SUFFIXES:
                    continue
                names.append(entry.name)
    except OSError:
        yield folder
        return
    names.sort()
    for name in names:
        path = os.path.join(folder, name)
        if name not in folders:
            yield path
        elif not os.path.islink(path):
            yield from images_below(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one; what cannot be looked at is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False
