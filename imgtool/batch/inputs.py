"""Which images a command works on: files, folders, lists of files, standard input."""

from __future__ import annotations

import codecs
import errno
import os
import sys
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple, overload

from imgtool.batch.places import stream_number
from imgtool.batch.suffixes import is_image_name, is_stranger, unread_kind
from imgtool.errors import ImageError, ParameterError
from imgtool.files import read_regular
from imgtool.remarks import Remark
from imgtool.text import is_wide

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

    @property
    def is_stream(self) -> bool:
        """Whether it is standard input or another stream that was open before, which only this process can read."""
        return open_stream(self.path) is not None

    def read_bytes(self, max_pixels: int | None = None) -> bytes:
        """Return the whole content. Raises ImageError when it is no readable, regular, non-empty file.

        max_pixels: that an image may have; a file with more bytes than such images need is refused.
        """
        from imgtool.image import content  # late: whatever lists inputs needs none of it

        if self.path == STANDARD_INPUT:
            found = content.stream_content(None if sys.stdin is None else sys.stdin.buffer, max_pixels)
        elif (number := open_stream(self.path)) is not None:
            found = content.numbered_content(number, max_pixels)
        elif os.path.isdir(self.path):
            _require_readable_folder(self.path)
            raise ImageError("is a folder without images")
        else:
            found = content.file_content(self.path, max_pixels)
        if not found:
            raise ImageError("is empty")
        return found


class Inputs(Sequence[Input]):
    """Inputs that take as many bytes as their names: of 100,000, a list would take 20 MB.

    remarks: on files that were left out of folders.
    """

    def __init__(self, inputs: Iterable[Input] = ()) -> None:
        self.remarks: list[Remark] = []
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


def open_stream(path: str) -> int | None:
    """Return the number of the open stream that a name stands for; None for a file's."""
    if path == STANDARD_INPUT:
        return 0
    return stream_number(path) if path.startswith(("/dev/", "/proc/")) else None


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
    _require_streams_once([*named, files_from or ""])
    left_out = Counter[Remark]()
    inputs = Inputs(_expand_folders(named, left_out))
    inputs.remarks = counted(left_out)
    return inputs


def _require_streams_once(named: Iterable[str]) -> None:
    """Raise ParameterError when a stream would be read twice, of which the second time nothing comes."""
    streams = Counter(open_stream(path) for path in named)
    for number, times in streams.items():
        if number is not None and times > 1:
            name = "standard input" if number == 0 else f"the stream /dev/fd/{number}"
            raise ParameterError(f"{name} can be read only once")


def _read_list(source: str, *, null: bool) -> list[str]:
    """Read the paths that a list of files holds."""
    try:
        number = open_stream(source)
        content = read_regular(source, MAX_LIST_BYTES) if number is None else _read_stream(number)
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


def _read_stream(number: int) -> bytes:
    """Return what comes through an open stream. Raises OSError when it is closed, or more than a list of files."""
    if number == 0 and sys.stdin is None:
        raise OSError(errno.EBADF, "is closed")
    content = bytearray()
    with nullcontext(sys.stdin.buffer) if number == 0 else os.fdopen(os.dup(number), "rb") as stream:
        while part := stream.read(1 << 20):
            content += part
            if len(content) > MAX_LIST_BYTES:
                raise OSError(errno.EFBIG, f"holds more than {MAX_LIST_BYTES} bytes")
    return bytes(content)


def _expand_folders(named: Iterable[str], left_out: Counter[Remark]) -> Iterator[Input]:
    """Replace each folder by the images in it; one without images stays, and is refused when it is to be read."""
    for path in named:
        if path != STANDARD_INPUT and os.path.isdir(path):
            empty = True
            for file in images_below(path, left_out):
                empty = False
                yield Input(file, root=None if file == path else path)
            if empty:
                yield Input(path)
        else:
            yield Input(path)


def images_below(folder: str, left_out: Counter[Remark] | None = None) -> Iterator[str]:
    """Yield the files below a folder that are named as images, and folders that may not be looked into, sorted.

    Links to folders are followed unless they lead back. Hidden files and what systems leave behind are passed over.

    left_out: counts the remarks on other files; see `counted`.
    """
    left_out = Counter() if left_out is None else left_out
    above, levels = [folder], [_entries(folder, left_out)]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            above.pop()
            levels.pop()
        elif not entry.is_folder:
            yield entry.path
        elif not (os.path.islink(entry.path) and leads_back(entry.path, above)):
            above.append(entry.path)
            levels.append(_entries(entry.path, left_out))


def counted(left_out: Counter[Remark]) -> list[Remark]:
    """Return the remarks on files that were left out, each with its count, in sorted order."""
    return [replace(remark, count=left_out[remark]) for remark in sorted(left_out, key=lambda each: each.detail)]


class _Entry(NamedTuple):
    """An image or a folder in a folder."""

    path: str
    is_folder: bool


def _entries(folder: str, left_out: Counter[Remark]) -> Iterator[_Entry]:
    """Yield the images and folders in a folder, sorted; the folder itself where it may not be looked into."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_stranger(entry.name):
                    continue
                if is_folder_entry(entry):
                    found.append((entry.name, True))
                elif is_image_name(entry.name):
                    found.append((entry.name, False))
                else:
                    kind = unread_kind(entry.name)
                    left_out[Remark("files", 1, kind or "not named as images", by_rule=not kind)] += 1
    except OSError:
        yield _Entry(folder, False)
        return
    for name, is_folder in sorted(found):
        yield _Entry(os.path.join(folder, name), is_folder)


def leads_back(link: str, above: Sequence[str]) -> bool:
    """Tell whether a link leads to one of the folders above it, by whatever name these were reached."""
    target = os.stat(link)
    places = {place for folder in above for place in _with_parents(os.path.realpath(folder))}
    return any(os.path.samestat(target, os.stat(place)) for place in places)


def _with_parents(path: str) -> Iterator[str]:
    """Yield a path and those of all folders above it."""
    yield path
    while (parent := os.path.dirname(path)) != path:
        yield (path := parent)


def is_folder_entry(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one; what cannot be looked at is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False
