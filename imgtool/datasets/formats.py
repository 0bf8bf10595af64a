"""Find the labeled images that a path stands for: one function for all commands.

Folders (`folders` has their layouts); IDX files; CIFAR's binary batches; lists in CSV; feature files with labels.
Classes are in sorted order, those of files that number them in their own. Whatever is odd is found here, before
anything is trained on it; only pixels are looked at later (`survey`).
"""

from __future__ import annotations

import codecs
import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from imgtool.batch.inputs import counted, images_below, path_text
from imgtool.datasets import feature_file
from imgtool.datasets.cifar import cifar_parts
from imgtool.datasets.dataset import Dataset, Made
from imgtool.datasets.folders import (
    TEST,
    TRAINING,
    VALIDATION,
    WHOLE,
    Layout,
    find_layout,
    look,
    part_called,
    same_name,
)
from imgtool.datasets.idx import idx_parts
from imgtool.datasets.lists import SUFFIXES as LISTS
from imgtool.datasets.lists import read_list
from imgtool.datasets.refusals import refuse_file, refuse_folder
from imgtool.errors import DataError
from imgtool.files import open_regular
from imgtool.image.alpha import Color, color_name
from imgtool.remarks import Remark

SHOWN_NAMES = 4  # in a message
LEFT_OUT = ("files", "images", "folders")  # kinds of remarks
Labeled = tuple[Path, str]


@dataclass(frozen=True)
class Parts:
    """A data set as it lies on disk: the training part; a held-out part, and a validation part beside it, if any.

    train: empty where the data set has only a part to be measured on; names: what each part is called; remarks: what of
    the data set's files is left out; checked: whether all images were looked at (`survey`); path: where it lies, if
    that is known.
    """

    train: Dataset
    test: Dataset | None
    validation: Dataset | None = None
    names: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
    checked: bool = field(default=False, compare=False)
    path: Path | None = None

    def all(self) -> dict[str, Dataset]:
        """Return the parts that hold images, by name."""
        names = self.names or (TRAINING, TEST, VALIDATION)
        parts = zip(names, (self.train, self.test, self.validation), strict=False)
        return {name: part for name, part in parts if part is not None and len(part)}

    def found(self, *, verbose: bool = False) -> str:
        """Return what was found: images, classes, parts, what was left out; by a rule that is documented if verbose."""
        parts = self.all()
        text = f"{sum(map(len, parts.values()))} images of {len(self.train.classes)} classes"
        if self.names or self.test is not None:
            text += ": " + ", ".join(f"{len(part)} in {name}" for name, part in parts.items())
        if self.test is not None and len(self.train):
            lacking = [name for name, images in self.test.counts().items() if not images]
            text += f"; {[*parts][1]} has none of {listed(lacking)}" if lacking else ""
        told = [each for each in self.remarks if each.kind in LEFT_OUT and (verbose or not each.by_rule)]
        left_out = [f"{each.count} {each.kind.removesuffix('s' * (each.count == 1))} ({each.detail})" for each in told]
        return text + ("; left out: " + ", ".join(left_out) if left_out else "")

    def notes(self, *, verbose: bool = False) -> list[str]:
        """Return what else is to be known of the images; by a rule that is documented if verbose."""
        others = [each for each in self.remarks if each.kind not in LEFT_OUT]
        return [f"{each.count} {each.detail}" for each in others if verbose or not each.by_rule]

    def on(self, background: Color | None) -> Parts:
        """Return the same data set, whose transparent images are shown on a color; None: as they are.

        Raises ParameterError for what is no color.
        """
        color = None if background is None else color_name(background)
        if color is None or self.train.background == color:
            return self
        train, test, validation = (
            None if part is None else part.on(color) for part in (self.train, self.test, self.validation)
        )
        assert train is not None
        return replace(self, train=train, test=test, validation=validation, checked=False)

    def left_out(self) -> dict[str, int]:
        """Return how much of each kind is left out, for records."""
        kinds = dict.fromkeys(each.kind for each in self.remarks)
        return {kind: sum(each.count for each in self.remarks if each.kind == kind) for kind in kinds}

    def require_training(self) -> Dataset:
        """Return the training part. Raises DataError where there is none."""
        if not len(self.train):
            raise DataError(f"the data set holds a part called {self.names[1]} and none to train on")
        return self.train


def load_dataset(path: str | os.PathLike[str], *, skip_bad: bool = False, background: Color | None = None) -> Parts:
    """Load a labeled data set.

    Parameters
    ----------
    path : str or path
        A folder of class folders; a folder of parts (called `train`, `val` or `test`, or as other programs call them),
        each with class folders; a folder of MNIST's or EMNIST's IDX files or of CIFAR's binary batches; a CSV of
        `path,label`, with a header perhaps also `split`; or a feature file with labels.
    skip_bad : bool
        Leave out files that a CSV names and that do not exist.
    background : str or (int, int, int), optional
        The color that transparent images are shown on, as for `flatten`. Default: white.

    Returns
    -------
    Parts
        `train` and `test`, each a `Dataset`; `test` is None if there is no held-out part. A `Dataset` has `classes`
        (names), `labels` (indices into them), `image(index)` (which reads the image), `counts()` and `subset`.

    Raises
    ------
    DataError
        The data set is missing or inconsistent: a class without training images, a listed file that does not exist,
        folders that could be read in two ways. The message says what was found and what would be taken.

    Notes
    -----
    Classes are in sorted order; those of IDX files and CIFAR in their own. No image is decoded yet.

    Examples
    --------
    >>> import imgtool
    >>> parts = imgtool.load_dataset("sample_images/textures")
    >>> parts.train.classes
    ('brick', 'grass', 'gravel')
    >>> parts.train.image(0).shape
    (96, 96)
    """
    path = Path(path_text(path))
    try:
        return replace(_load(path, skip_bad=skip_bad), path=path).on(background)
    except OSError as error:
        raise DataError(f"{error.filename or path}: {(error.strerror or str(error)).lower()}") from None


def open_parts(
    data: str | os.PathLike[str] | Parts | Dataset, *, skip_bad: bool = False, background: Color | None = None
) -> Parts:
    """Return the parts of a data set that is named, or there already; a data set alone is a training part."""
    if isinstance(data, Dataset):
        data = Parts(data, None)
    if isinstance(data, Parts):
        return data.on(background)
    return load_dataset(data, skip_bad=skip_bad, background=background)


def _load(path: Path, *, skip_bad: bool) -> Parts:
    """Try one format after the other."""
    if path.is_file() and path.suffix.lower() in LISTS and not _is_feature_table(path):
        return _from_list(path, skip_bad=skip_bad)
    if path.is_file() and path.suffix.lower() in feature_file.SUFFIXES:
        return Parts(_from_features(path), None)
    if not path.is_dir():
        raise refuse_file(path)
    for numbered in (idx_parts, cifar_parts):
        if found := numbered(path):
            arrays, classes = found
            train, test = (_dataset(path, images, labels, classes) for images, labels in arrays)
            return Parts(train, test)
    return _from_folders(path, find_layout(str(path)))


def _dataset(
    where: Path, items: Sequence[Path] | np.ndarray, labels: Sequence[int] | np.ndarray, classes: Sequence[str]
) -> Dataset:
    """Return the data set; what is wrong with it is said of the file or folder that it comes from."""
    if not len(items):
        raise DataError(f"{where}: holds no images")
    try:
        return Dataset(items, np.asarray(labels, np.int64), tuple(classes))
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _from_folders(path: Path, layout: Layout) -> Parts:
    """Read class folders, perhaps in parts. Raises DataError for a class that has no images to learn from."""
    count = len({name for classes in layout.parts.values() for name in classes})
    parts: dict[str, list[Labeled]] = {}
    unread = Counter[Remark]()
    empty = list[str]()
    for part, classes in layout.parts.items():
        parts[part] = []
        for name, folder in classes.items():
            images = [(Path(each), name) for each in images_below(folder, unread)]
            if not images and part in (WHOLE, TRAINING):
                empty.append(folder)
            parts[part] += images
    if count < 2 or not any(parts.values()):
        raise refuse_folder(path, look(layout.base), count)
    if empty:
        raise DataError(f"{empty[0]}: holds no images")
    remarks = [
        *_left_out("images", layout.loose, "in no class folder"),
        *_left_out("folders", layout.unused, "without images"),
        *counted(unread),
    ]
    return _divided(path, parts, layout.names, remarks)


def _from_list(path: Path, *, skip_bad: bool) -> Parts:
    """Read a list of paths and labels, perhaps with the part of each."""
    lines = read_list(path)
    missing = [each for each in lines if not each.path.is_file()]
    if missing and (not skip_bad or len(missing) == len(lines)):
        names = listed([str(each.path) for each in missing])
        raise DataError(
            f"{path}: names {names}, which is no file"
            if len(missing) == 1
            else f"{path}: {len(missing)} of the {len(lines)} files that it names do not exist: {names}",
            hint="" if len(missing) == len(lines) else "skip-bad",
        )
    parts: dict[str, list[Labeled]] = {}
    for each in lines:
        if each.path.is_file():
            parts.setdefault(each.part, []).append((each.path, each.label))
    return _divided(path, parts, {}, [*_left_out("files", [str(each.path) for each in missing], "do not exist")])


def _divided(
    path: Path, parts: Mapping[str, Sequence[Labeled]], names: Mapping[str, str], remarks: Sequence[Remark]
) -> Parts:
    """Return labeled images in the roles of their parts; the classes are those of the training part."""
    learned = WHOLE if WHOLE in parts else TRAINING
    known = {label for part, items in parts.items() for _, label in items if learned not in parts or part == learned}
    classes = sorted(known)
    if len(classes) < 2:
        raise DataError(f"{path}: holds {len(classes)} class; a data set needs two or more")
    sets = {}
    for part, items in parts.items():
        if strange := {label for _, label in items} - known:
            other = names.get(part, part)
            raise DataError(f"{path}: class {min(strange)!r} of {other} is not in {names.get(TRAINING, TRAINING)}")
        numbers = {name: number for number, name in enumerate(classes)}
        place = path / names[part] if part in names else path
        sets[part] = _dataset(place, [item for item, _ in items], [numbers[label] for _, label in items], classes)
    nothing = Dataset([], np.zeros(0, np.int64), tuple(classes))
    held = next((part for part in (TEST, VALIDATION) if part in sets), TEST)
    validation = sets.get(VALIDATION) if held == TEST else None
    called = tuple(names.get(part, part) for part in (TRAINING, held, VALIDATION)) if WHOLE not in sets else ()
    return Parts(sets.get(learned, nothing), sets.get(held), validation, called, tuple(remarks))


def _left_out(kind: str, names: Sequence[str], why: str) -> list[Remark]:
    """Return the remark on what is left out, an example with the reason; none where nothing is."""
    if not names:
        return []
    return [Remark(kind, len(names), f"{why}, such as {names[0]}")]


def listed(names: Sequence[str]) -> str:
    """Return some names as text, of many the first few."""
    rest = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {rest} more" if rest > 0 else "")


_FEATURE_HEADERS = (b"path,label,0", b"path;label;0", b"path\tlabel\t0")


def _is_feature_table(path: Path) -> bool:
    """Tell a feature file in CSV, with its columns path,label,0,1,..., from a list of path,label."""
    with open_regular(path) as file:
        return file.readline(4096).removeprefix(codecs.BOM_UTF8).startswith(_FEATURE_HEADERS)


def _from_features(path: Path) -> Dataset:
    """Read a feature file in which each image has one vector and a label; its items are the vectors (N, D)."""
    table = feature_file.load(path)
    if table.offsets is not None:
        raise DataError(f"{path}: holds local descriptors; a data set needs one vector an image, such as fisher's")
    if not all(table.labels):
        raise DataError(f"{path}: holds images without a label; describe a folder of class folders to have them")
    labels = [same_name(label) for label in table.labels]
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise DataError(f"{path}: holds {len(classes)} class; a data set needs two or more")
    parts = {part for part in map(_part_of, table.paths, labels) if part is not None}
    if len(parts) > 1:
        raise DataError(f"{path}: holds images of {' and '.join(sorted(parts))}; describe one part of a data set alone")
    numbers = {name: number for number, name in enumerate(classes)}
    made = Made(path, table.meta, [Path(each) for each in table.paths])
    return replace(_dataset(path, table.features, [numbers[label] for label in labels], classes), made=made)


def _part_of(path: str, label: str) -> str | None:
    """Return which part of a data set an image belongs to, by the folder that its class folder lies in."""
    above = [folder for folder, inner in itertools.pairwise(Path(path).parts[:-1]) if same_name(inner) == label]
    return part_called(above[-1]) if above else None
