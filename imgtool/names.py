"""Names that users type: the nearest known one, the error for one that nothing has, and names that differ."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from imgtool.errors import ParameterError

LEAST_LIKENESS = 0.6  # of two names, as difflib measures it: below, nobody meant the other


def plain(name: str) -> str:
    """Return a name without regard to case, and to whether `-`, `_` or a blank was typed.

    >>> plain("Sobel_X")
    'sobel-x'
    """
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def nearest(name: object, names: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant, of equally near ones the first; None where none is near.

    >>> nearest("SOBELX", ["sobel-x", "sobel-y", "box"])
    'sobel-x'
    """
    import difflib

    known: dict[str, str] = {}
    for each in names:
        known.setdefault(plain(each), each)
    likeness = {each: difflib.SequenceMatcher(None, each, plain(str(name))).ratio() for each in known}
    best = max(likeness, key=likeness.__getitem__, default="")
    return known[best] if likeness.get(best, 0) >= LEAST_LIKENESS else None


def unknown_name(what: str, name: object, names: Iterable[str], *, also: Iterable[str] = ()) -> ParameterError:
    """Return the error for a name that nothing has: it says which was meant, and which there are.

    also: names that may have been meant, but are not listed.

    >>> str(unknown_name("border", "Wrapp", ["clip", "wrap"]))
    "no border 'Wrapp'; did you mean wrap? there are clip, wrap"
    """
    names = list(names)
    near = nearest(name, [*names, *also])
    hint = f"did you mean {near}? " if near else ""
    return ParameterError(f"no {what} {name!r}; {hint}there are {', '.join(names) or 'none'}")


def distinct(names: Iterable[str]) -> list[str]:
    """Return the names with a number behind each that stands there already.

    >>> distinct(["hog-svm", "lenet", "hog-svm"])
    ['hog-svm', 'lenet', 'hog-svm-2']
    """
    found: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        found.append(name if name not in found else next(each for each in numbered if each not in found))
    return found
