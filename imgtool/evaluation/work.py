"""What a comparison keeps in a folder, so that it can go on after an interruption.

    comparison.json        of what it is: images, seeds, settings of each model; what was fitted, and how long that took
    NAME-HASH.model        a fitted model
    NAME-HASH.checkpoint   of a network that is being trained
    NAME-HASH.predictions  the predictions of a model; `.N.part.predictions`: of some images, from the N-th on

Each file is whole or absent and carries a digest, so that the process may be killed at any moment. Models that were
fitted are never fitted again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imgtool.batch.outputs import write_file
from imgtool.classifiers import registry
from imgtool.classifiers.protocol import Classifier, Trainable
from imgtool.classifiers.storage import DESCRIPTION, check_place, remove_model
from imgtool.errors import DataError, ImgtoolError, OutputError
from imgtool.evaluation.store import SUFFIX, Store
from imgtool.files import TEXT_BYTES, read_regular

FORMAT = 1
RECORD = "comparison.json"
MODEL, CHECKPOINT = ".model", ".checkpoint"
_OWN = re.compile(rf".*-[0-9a-f]{{16}}({re.escape(MODEL)}|{CHECKPOINT}|(\.\d+\.part)?{re.escape(SUFFIX)})")
_FIELDS = {"format", "what", "models", "fitted", "digest"}
Record = dict[str, Any]


class Work:
    """The folder, or none, where nothing is kept beyond this process."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder, self.store = folder, Store(folder)
        self._record: Record = {"format": FORMAT, "what": {}, "models": {}, "fitted": {}}

    def files(self) -> list[str]:
        """Return what lies there of a comparison."""
        if self.folder is None or not self.folder.is_dir():
            return []
        return [str(path) for path in self.folder.iterdir() if path.name == RECORD or _OWN.fullmatch(path.name)]

    def names(self) -> list[str]:
        """Return what lies there by a name as predictions, records, checkpoints and models have, whoever wrote it."""
        known = self.files()
        return [*known, *(str(path) for path in self.store.files() if str(path) not in known)]

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Raise OutputError, before any work, for a folder that holds predictions, unless they are to be used or go."""
        if self.folder is None:
            return
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"{self.folder}: is no folder")
        if self.files() and not resume and not overwrite:
            raise OutputError(f"{self.folder}: holds stored predictions", hint="unfinished")

    def begin(self, what: Mapping[str, Any], models: Mapping[str, Any], *, resume: bool = False) -> None:
        """Begin, or go on with what is stored; without `resume` what lies there is removed first.

        what: the images and settings of all models; models: the settings or weights of each, by its key. Raises
        DataError where predictions of other ones are stored, saying what differs.
        """
        if self.folder is None:
            return
        if not resume:
            for path in self.files():
                _remove(Path(path))
        what, models = json.loads(json.dumps(what)), json.loads(json.dumps(models))
        if (stored := self._read()) is not None:
            differences = [*_differences(stored["what"], what)]
            for name in sorted(models.keys() & stored["models"].keys()):
                differences += [f"{name}: {each}" for each in _differences(stored["models"][name], models[name])]
            if differences:
                text = f"{self.folder}: holds predictions of another comparison: {', '.join(differences)}"
                raise DataError(text, hint="other-run")
            self._record = stored
        elif self.files():
            raise DataError(f"{self.folder}: holds predictions, and no {RECORD} says of what", hint="other-run")
        self._record = {**self._record, "what": what, "models": {**self._record["models"], **models}}
        self._write()

    def model_place(self, key: str) -> Path | None:
        """Return where a fitted model lies."""
        return None if self.folder is None else self.store.path(key, MODEL)

    def checkpoint(self, key: str) -> Path | None:
        """Return where the checkpoint of a training lies."""
        return None if self.folder is None else self.store.path(key, CHECKPOINT)

    def put_fitted(self, key: str, model: Classifier, facts: Mapping[str, Any]) -> None:
        """Keep a fitted model, unless it is of a kind that cannot be stored. facts: on its training."""
        if self.folder is None or not isinstance(model, Trainable):
            return
        self._record["fitted"][key] = dict(facts)
        self._write()  # first: once the model is there, it is fitted
        try:
            model.save(self.store.path(key, MODEL), overwrite=True)
        except OutputError:
            raise
        except ImgtoolError:
            return
        self.store.path(key, CHECKPOINT).unlink(missing_ok=True)

    def fitted(self, key: str) -> Mapping[str, Any] | None:
        """Return the facts on the training of a model that was fitted before; None where it is to be fitted."""
        facts: Mapping[str, Any] | None = self._record["fitted"].get(key)
        return facts if facts and (self.store.path(key, MODEL) / DESCRIPTION).exists() else None

    def open_fitted(self, key: str, device: str) -> Classifier:
        """Open a model that was fitted before. Raises DataError for one that is damaged."""
        return registry.open_model(self.store.path(key, MODEL).absolute(), device=device)

    def opener(self, key: str, device: str) -> Callable[[], Classifier] | None:
        """Return what opens a model that was fitted before, None where none was."""
        return (lambda: self.open_fitted(key, device)) if self.fitted(key) else None

    def _read(self) -> Record | None:
        """Return what the record holds, None where there is none. Raises DataError for one that is not as written."""
        assert self.folder is not None
        path = self.folder / RECORD
        try:
            record = json.loads(read_regular(path, TEXT_BYTES))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DataError(f"{path}: {(error.strerror or str(error)).lower()}") from None
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or record.keys() != _FIELDS or record.pop("digest") != _digest(record):
            raise DataError(f"{path}: is damaged, or no record of a comparison", hint="other-run")
        if record["format"] != FORMAT:
            text = f"{path}: is of format {record['format']}, and this version reads {FORMAT}"
            raise DataError(text, hint="other-run")
        return record

    def _write(self) -> None:
        """Write the record, whole or not at all."""
        assert self.folder is not None
        content = json.dumps({**self._record, "digest": _digest(self._record)}, indent=1).encode() + b"\n"
        write_file(self.folder / RECORD, content, overwrite=True)


class Kept:
    """Where fitted models are left for the user: a folder for each, by its name; nowhere without one."""

    def __init__(self, folder: Path | None = None, *, overwrite: bool = False) -> None:
        self.folder, self._overwrite = folder, overwrite

    def place(self, label: str, fold: int | None = None) -> Path | None:
        """Return the folder of a model; fold: that it is measured on, from 1, if any."""
        if self.folder is None:
            return None
        name = re.sub(r"[^A-Za-z0-9@.-]+", "_", label).strip("._") or "model"
        parts = [name, *([f"fold-{fold}"] if fold is not None else [])]
        return self.folder / "-".join(parts)

    def check_folder(self) -> None:
        """Raise OutputError for what is no folder."""
        if self.folder is not None and self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"{self.folder}: is no folder")

    def check(self, place: Path | None, same: Path | None) -> None:
        """Raise OutputError where another model lies, unless it may be replaced. same: the one that is to lie there."""
        if place is not None and not self.holds(place, same):
            check_place(place, overwrite=self._overwrite)

    def holds(self, place: Path, same: Path | None) -> bool:
        """Tell whether a model lies there already, the same as in another folder."""
        try:
            return same is not None and (place / DESCRIPTION).read_bytes() == (same / DESCRIPTION).read_bytes()
        except OSError:
            return False

    def put(self, place: Path | None, model: Classifier) -> None:
        """Leave a model. Raises OutputError, or DataError for one that cannot be stored."""
        if place is not None and isinstance(model, Trainable):
            model.save(place, overwrite=True)


def _digest(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record as sorted JSON."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _differences(stored: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> list[str]:
    """Return in what two comparisons, or two models of them, differ; other images only where nothing explains them."""
    if stored is None or wanted is None:
        return [] if stored is wanted else ["other weights"]
    found = list[str]()
    for name in stored.keys() | wanted.keys():
        there, here = stored.get(name), wanted.get(name)
        if there != here and name not in ("images", "weights"):
            found.append(f"{name} {_shown(there)} there, {_shown(here)} here")
    for name in ("images", "weights"):
        if not found and stored.get(name) != wanted.get(name):
            found.append(f"other {name}")
    return sorted(found)


def _shown(value: Any) -> str:
    """Return a setting as text."""
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def _remove(path: Path) -> None:
    """Remove a file of ours, or a model with all that belongs to one."""
    if path.suffix == MODEL:
        remove_model(path)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
