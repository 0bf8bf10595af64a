"""No output is ever an input, with or without leave to overwrite, and no two outputs are one file.

Files are compared by what they are, not by their names: another spelling, a hard link, a symbolic link and, where the
file system ignores case, other letters lead to the same file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from functools import cache

from imgtool.batch.inputs import STANDARD_INPUT
from imgtool.batch.places import identity, is_special, status_to_be
from imgtool.errors import ParameterError

STANDARD_OUTPUT = "-"
# What lies in a data set's folder and is no part of it, but a result of an earlier run, which may be overwritten.
RESULT_SUFFIXES = (".html", ".checkpoint", ".predictions")
_Key = tuple[int, int]


def refuse_inputs(outputs: Iterable[str], inputs: Iterable[str], *, folder: str | None = None) -> None:
    """Raise ParameterError for outputs that are inputs, and for a folder that is one or holds one.

    outputs: files, and `-` for standard output; folder: one that is replaced as a whole. inputs: files, `-`, and
    folders, of which every file counts; asked for only where an output is there already.
    """
    there = dict[_Key | None, str]()
    for path in outputs:
        if (key := _existing(1 if path == STANDARD_OUTPUT else path)) and not os.path.isdir(path):
            there[key] = path
    above = os.path.join(os.path.realpath(folder), "") if folder is not None and os.path.isdir(folder) else None
    if folder is not None and above:
        there[_existing(folder)] = folder
    real = cache(os.path.realpath)
    for path in _with_files_below(inputs) if there else ():
        taken = there.get(_existing(0 if path == STANDARD_INPUT else path))
        if above and path != STANDARD_INPUT and os.path.join(real(os.path.dirname(path) or "."), "").startswith(above):
            taken = folder
        if taken is not None:
            place = "standard output" if taken == STANDARD_OUTPUT else taken
            raise ParameterError("is an input; imgtool does not overwrite what it reads").within(place)


def refuse_same(outputs: Iterable[tuple[str, str]]) -> None:
    """Raise ParameterError where two outputs, given as parameter and path, are one file."""
    seen: dict[object, str] = {}
    for name, path in outputs:
        other = seen.setdefault(identity(path), name)
        if other != name and not is_special(path):
            raise ParameterError(f"{other} and {name} are one file", parameters=(other, name)).within(path)


def _existing(path: str | int) -> _Key | None:
    """Return what identifies a file or folder; None for what is not there, or no file: a pipe, a terminal, a device."""
    try:
        status = status_to_be(path)
    except ValueError:
        return None
    if status is None:
        return None
    is_file = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return (status.st_dev, status.st_ino) if is_file else None


def _with_files_below(paths: Iterable[str]) -> Iterator[str]:
    """Yield paths, and of folders what lies below them, through links, but for results of earlier runs."""
    seen = set[_Key | None]()
    for path in paths:
        yield path
        folders = [path] if path != STANDARD_INPUT and os.path.isdir(path) else []
        while folders:
            folder = folders.pop()
            if (key := _existing(folder)) in seen:
                continue
            seen.add(key)
            for name in _names(folder):
                inner = os.path.join(folder, name)
                if os.path.isdir(inner):
                    folders.append(inner)
                elif not name.endswith(RESULT_SUFFIXES):
                    yield inner


def _names(folder: str) -> list[str]:
    """Return what lies in a folder; nothing where it may not be looked into."""
    try:
        return os.listdir(folder)
    except OSError:
        return []
