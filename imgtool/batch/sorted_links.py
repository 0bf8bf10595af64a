"""Files sorted into a folder for each label: relative symbolic links to them, or copies where links cannot be made.

Nothing that is there is ever replaced: a link or copy that is right already is kept, and what else has its name makes
the next one be numbered, `cat-2.jpg`.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import unicodedata
from collections.abc import Iterable, Sequence

from imgtool.batch.conflicts import refuse_inputs
from imgtool.batch.destinations import fitting_name
from imgtool.batch.inputs import Input
from imgtool.batch.outputs import make_folder, new_file, output_errors
from imgtool.errors import OutputError, ParameterError

ODD = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # kinds of characters that could move a cursor, or are no text
UNSURE = "unsure"  # what stands for a label that is not sure, and the folder of files without one


class SortedLinks:
    """A folder that holds a folder for each label, and one for files without."""

    def __init__(self, folder: str, labels: Sequence[str], inputs: Sequence[Input], reads: Iterable[str] = ()) -> None:
        """Choose the folders' names.

        labels: all that there may be; reads: files and folders that are read beside the inputs. Raises ParameterError
        or OutputError, before any work, where the folder holds inputs or is a file, and for inputs that are no files.
        """
        if any(each.is_stream for each in inputs):
            raise ParameterError("sort links to files, and a stream is none", parameters=("sort",))
        if os.path.lexists(folder) and not os.path.isdir(folder):
            raise OutputError(f"{folder}: is no folder")
        refuse_inputs([], [*(each.path for each in inputs), *reads], folder=folder)
        unsure, *names = (os.path.join(folder, name) for name in distinct_names([UNSURE, *labels]))
        self._folders: dict[str | None, str] = {None: unsure, **dict(zip(labels, names, strict=True))}
        self._numbers: dict[str, int] = {}  # how many files were put under a name

    def add(self, path: str, label: str | None) -> str:
        """Put a file into the folder of its label, None for `unsure`; return its place there. Raises OutputError."""
        wanted = os.path.join(self._folders[label], os.path.basename(path))
        with output_errors(wanted):
            folder = os.path.realpath(make_folder(wanted))
            source = os.path.join(os.path.realpath(os.path.dirname(path) or "."), os.path.basename(path))
            while True:
                self._numbers[wanted] = number = self._numbers.get(wanted, 0) + 1
                place = numbered(wanted, number)
                if _is_right(place, source) or _put(source, place, os.path.relpath(source, folder)):
                    return place


def _is_right(place: str, source: str) -> bool:
    """Tell whether a link to the file, or a copy of it, is there."""
    try:
        is_it = os.path.samefile(place, source)
        return is_it or (not os.path.islink(place) and filecmp.cmp(place, source, shallow=False))
    except OSError:  # nothing is there, or a link that leads nowhere
        return False


def _put(source: str, place: str, target: str) -> bool:
    """Make a link, or a copy where links fail; return False where something is there."""
    try:
        os.symlink(target, place)
    except FileExistsError:
        return False
    except (OSError, NotImplementedError):  # a file system without links, a user who may not make them
        if os.path.lexists(place):
            return False
        with open(source, "rb") as file, new_file(place) as copy:
            shutil.copyfileobj(file, copy)
    return True


def numbered(path: str, number: int) -> str:
    """Return the path of the n-th file that would have this one: `cat.jpg`, `cat-2.jpg` ...

    >>> numbered("a/cat.jpg", 2)
    'a/cat-2.jpg'
    """
    if number == 1:
        return path
    folder, name = os.path.split(path)
    stem, suffix = os.path.splitext(name)
    return os.path.join(folder, fitting_name(stem, f"-{number}{suffix}"))


def distinct_names(labels: Iterable[str]) -> list[str]:
    """Return a folder's name for each label: of those that would be one, also but for case, the second is numbered.

    >>> distinct_names(["a/b", "a:b", "A_b"])
    ['a_b', 'a:b', 'A_b-2']
    """
    names: dict[str, str] = {}
    for label in labels:
        number, name = 1, folder_name(label)
        while name.casefold() in names:
            number += 1
            name = fitting_name(folder_name(label), f"-{number}")
        names[name.casefold()] = name
    return list(names.values())


def folder_name(label: str) -> str:
    r"""Return a label as the name of a folder: no slash, no control character, no dot at its beginning.

    >>> folder_name("../a\nb")
    '_._a_b'
    """
    text = "".join("_" if each in "/\\" or unicodedata.category(each) in ODD else each for each in label)
    return fitting_name("_" + text[1:] if text.startswith(".") or not text else text, "")
