"""Data sets as folders: a class in each folder, perhaps below a folder for each part.

    DATA/CLASS/image              class folders; images may lie deeper in them
    DATA/PART/CLASS/image         parts called as PART_NAMES has them, in any case; one alone will do
    DATA/ANY/...                  either of them one folder deeper, where that is the only one

A part holds class folders and no images, and all its siblings are parts, so that a class may be called `train`. What
could be read in two ways is refused. Names are compared in Unicode's form NFC.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from imgtool.batch.inputs import is_folder_entry, leads_back
from imgtool.batch.suffixes import is_image_name, is_stranger
from imgtool.errors import DataError

TRAINING, VALIDATION, TEST = "train", "val", "test"
PART_NAMES = {
    "train": TRAINING, "training": TRAINING,
    "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "dev": VALIDATION,
    "test": TEST, "testing": TEST, "eval": TEST,
}  # fmt: skip
WHOLE = ""  # the part of a data set that is not divided
TAKEN = "taken are DATA/CLASS/image and DATA/PART/CLASS/image, with parts called train, val or test"
SHOWN_NAMES = 4  # in a message


class Listing(NamedTuple):
    """What lies in a folder: names of its folders and of its images, sorted."""

    folders: tuple[str, ...]
    images: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """How a data set lies in folders.

    base: where its parts or class folders lie; depth: of base below the folder that was named; parts: for each part the
    folder of each class, in sorted order; loose: images in no class folder; unused: other
    folders; names: what each part is called.
    """

    base: str
    depth: int
    parts: Mapping[str, Mapping[str, str]]
    loose: Sequence[str] = ()
    unused: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def label(self, relative: str) -> str:
        """Return the class of an image by its path below the folder that was named; "" where it is in none."""
        place = self.depth + (WHOLE not in self.parts)
        steps = relative.split(os.sep)
        return same_name(steps[place]) if len(steps) > place + 1 else ""


def same_name(name: str) -> str:
    """Return a name in the form in which names are compared, NFC."""
    return unicodedata.normalize("NFC", name)


def part_called(name: str) -> str | None:
    """Return which part a name stands for, None for other names."""
    return PART_NAMES.get(same_name(name).strip().casefold())


def look(folder: str) -> Listing:
    """Return what lies in a folder, but for what is hidden or a system's. Raises DataError where that is forbidden."""
    folders, images = list[str](), list[str]()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_stranger(entry.name):
                    continue
                if is_folder_entry(entry):
                    if not (entry.is_symlink() and leads_back(entry.path, [folder])):
                        folders.append(entry.name)
                elif is_image_name(entry.name):
                    images.append(entry.name)
    except OSError as error:
        raise DataError(f"{error.filename or folder}: {(error.strerror or str(error)).lower()}") from None
    return Listing(tuple(sorted(folders)), tuple(sorted(images)))


def find_layout(folder: str) -> Layout:
    """Return how the data set in a folder is laid out.

    Raises DataError, saying what was found and what is taken, where it could be read in two ways.
    """
    base, depth, here = folder, 0, look(folder)
    parts = _parts(base, here)
    if parts is None and len(here.folders) == 1 and not here.images:
        inner = os.path.join(base, here.folders[0])
        listing = look(inner)
        if listing.folders and not listing.images:
            base, depth, here = inner, 1, listing
            parts = _parts(base, here)
    if parts is None:
        return Layout(base, depth, {WHOLE: _classes(base, here)}, here.images)
    classes = {}
    for part, name in parts.items():
        place = os.path.join(base, name)
        classes[part] = _classes(place, look(place))
    unused = [name for name in here.folders if name not in parts.values()]
    return Layout(base, depth, classes, here.images, unused, parts)


def _parts(folder: str, here: Listing) -> dict[str, str] | None:
    """Return the folder of each part; None where the folders are classes. Raises DataError where that is in doubt."""
    named = [name for name in here.folders if part_called(name)]
    inside = {name: look(os.path.join(folder, name)) for name in named}
    like_parts = [name for name in named if inside[name].folders and not inside[name].images]
    others = [name for name in here.folders if name not in named and _holds_anything(folder, name)]
    if others and len(like_parts) < 2:
        return None  # a class that is called as parts are
    if others:
        raise DataError(
            f"{folder}: {_listed(like_parts)} hold class folders as parts do, but beside them lies {others[0]}; {TAKEN}"
        )
    if odd := [name for name in named if inside[name].images]:
        kind = "images beside class folders" if inside[odd[0]].folders else "images and no class folders"
        if like_parts or len(named) > 1:
            raise DataError(f"{folder}: {odd[0]} holds {kind}, unlike a part; {TAKEN}")
        return None
    parts: dict[str, str] = {}
    for name in like_parts:
        part = part_called(name) or ""
        if part in parts:
            raise DataError(f"{folder}: both {parts[part]} and {name} are called as the {part} part is; {TAKEN}")
        parts[part] = name
    return parts or None


def _holds_anything(folder: str, name: str) -> bool:
    """Tell whether a folder beside parts could be a class or a part: it holds images or folders."""
    inside = look(os.path.join(folder, name))
    return bool(inside.images or inside.folders)


def _classes(folder: str, here: Listing) -> dict[str, str]:
    """Return the folder of each class. Raises DataError where class folders hold equal folders and no images."""
    seen: dict[tuple[str, ...], str] = {}
    classes: dict[str, str] = {}
    for name in here.folders:
        inside = look(os.path.join(folder, name))
        if inside.folders and not inside.images:
            if other := seen.get(inside.folders):
                both = f"{other} and {name} both hold {_listed(inside.folders)} and no images"
                raise DataError(f"{folder}: is laid out in an unknown way: {both}; {TAKEN}")
            seen[inside.folders] = name
        label = same_name(name)
        if label in classes:
            raise DataError(f"{folder}: holds two folders of the class {label!r}, written in two forms of Unicode")
        classes[label] = os.path.join(folder, name)
    return dict(sorted(classes.items()))


def _listed(names: Sequence[str]) -> str:
    """Return some names as text."""
    shown = ", ".join(names[:SHOWN_NAMES])
    return shown + (f" and {len(names) - SHOWN_NAMES} others" if len(names) > SHOWN_NAMES else "")
