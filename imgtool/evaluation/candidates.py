"""The models of a comparison before it begins: named, in folders, or classifiers; opened, or made to be fitted."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgtool.classifiers import registry
from imgtool.classifiers.protocol import Classifier, Trainable
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.folders import same_name
from imgtool.errors import DataError, ImgtoolError, MissingExtraError, ParameterError, is_out_of_memory
from imgtool.evaluation.costs import Growth
from imgtool.evaluation.store import Predictions
from imgtool.names import distinct

SHOWN_CLASSES = 5  # in a message
Model = str | Classifier


@dataclass
class Result:
    """One model's predictions, or the reason why there are none.

    doubt: why it seems to have learned nothing; hint: what can be done about an error, as errors have it.
    """

    model: str
    error: str | None = None
    predictions: Predictions | None = None
    doubt: str = ""
    hint: str = ""

    @contextmanager
    def failure(self, *, passes: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Catch errors of the block, but for those that pass, and keep the reason."""
        try:
            yield
        except passes:
            raise
        except Exception as error:  # a user's own class may raise anything
            self.fail(error)

    def fail(self, error: Exception, reason: str = "") -> None:
        """Keep why there are no predictions; what came first stays."""
        if self.error is None:
            self.error = reason or reason_of(error)
            self.hint = error.hint if isinstance(error, ImgtoolError) else ""


@dataclass
class Candidate:
    """A model as it was given, what becomes of it, and, where it could be opened or made, the model itself.

    fits: it is to be fitted; settings: changes that it is made with. missing: the extra that it lacks, if any.
    """

    given: Model
    result: Result
    fits: bool
    settings: Mapping[str, Any]
    model: Classifier | None = None
    missing: MissingExtraError | None = None
    memory: int | None = None

    @property
    def label(self) -> str:
        """What it is called in the table, and where predictions are stored: no two are called alike."""
        return self.result.model

    def unfitted(self) -> Trainable:
        """Return one more model to be fitted. Raises ParameterError for one that cannot be."""
        made = create_unfitted(self.given, self.settings) if isinstance(self.given, str) else copy.deepcopy(self.given)
        if not isinstance(made, Trainable):
            raise ParameterError(f"{made.name} cannot be trained")
        return made

    def identity(self) -> dict[str, Any] | None:
        """Return what makes its predictions the same another time: settings or weights; None where that is unknown."""
        if self.model is None:
            return None
        if self.fits:
            identity: dict[str, Any] = json.loads(json.dumps(dict(self.model.settings), default=str))
            return identity
        weights = self.model.weights_hash or _hash_of_arrays(self.model)
        return {"weights": weights} if weights else None


class Models(Mapping[str, Classifier]):
    """Models by their names in the table, each opened when it is asked for."""

    def __init__(self, openers: Mapping[str, Callable[[], Classifier]]) -> None:
        self._openers = openers

    def __getitem__(self, name: str) -> Classifier:
        return self._openers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._openers)

    def __len__(self) -> int:
        return len(self._openers)


def candidates(
    models: Sequence[Model],
    *,
    fits: bool = False,
    settings: Mapping[str, Any] | None = None,
    device: str = "cpu",
    precision: str = registry.PRECISIONS[0],
) -> list[Candidate]:
    """Open the trained models and make the others, before any data are read; what fails is a result with its reason.

    fits: whether architectures are to be fitted; else a bare name stands for the included weights. Raises
    ParameterError for a name or a setting that no model has, MissingExtraError where all models lack one.
    """
    settings = settings or {}
    if fits:
        check_usage(models, settings)
    labels = distinct(label_of(model) for model in models)
    found = [
        Candidate(model, Result(label), fits and not is_trained(model), settings)
        for model, label in zip(models, labels, strict=True)
    ]
    for each in found:
        try:
            with Growth() as growth:
                each.model = _made(each, device) if each.fits else opened(each.given, device, precision)
            each.memory = growth.bytes()
        except MissingExtraError as error:
            each.missing = error
            each.result.fail(error)
        except Exception as error:
            each.result.fail(error)
    lacking = [each.missing for each in found if each.missing]
    if found and len(lacking) == len(found):
        raise _lacked(lacking)
    return found


def _lacked(errors: Sequence[MissingExtraError]) -> MissingExtraError:
    """Return one error for extras that all models lack, each named once, without ways out that `train` alone has."""
    told = {error.extra: error.message for error in reversed(errors)}
    first = errors[0]
    first.args, first.hint = ("; ".join(told[extra] for extra in dict.fromkeys(each.extra for each in errors)),), ""
    return first


def _made(candidate: Candidate, device: str) -> Trainable:
    """Return a model that can be fitted here. Raises MissingExtraError."""
    model = candidate.unfitted()
    model.require_extras(device)
    return model


def opened(given: Model, device: str, precision: str) -> Classifier:
    """Return a trained model."""
    model = registry.open_model(given, device=device, precision=precision) if isinstance(given, str) else given
    if not model.classes:
        raise ParameterError(f"{model.name} is not trained")
    return model


def label_of(model: Model) -> str:
    """Return what a model is called in the table."""
    return model if isinstance(model, str) else model.name


def is_trained(model: Model) -> bool:
    """Tell whether a model is trained already: a folder, NAME@WEIGHTS, or a fitted classifier."""
    if not isinstance(model, str):
        return bool(model.classes)
    return registry.is_trained(model)


def create_unfitted(name: str, settings: Mapping[str, Any]) -> Trainable:
    """Return an unfitted classifier, with those of the settings that it has."""
    known = registry.create(name).settings
    return registry.create(name, **{key: value for key, value in settings.items() if key in known})


def check_usage(models: Sequence[Model], settings: Mapping[str, Any]) -> None:
    """Raise ParameterError, before anything is trained, for a name or a setting that no model has."""
    known: set[str] = set()
    for model in models:
        try:
            if not isinstance(model, str):
                continue
            if is_trained(model):
                registry.locate(model)
            else:
                known |= create_unfitted(model, settings).settings.keys()
        except ParameterError:
            raise
        except Exception:  # of a user's own class, anything
            continue  # a row with its reason, later
    if unknown := settings.keys() - known:
        there = f"there are {', '.join(sorted(known))}" if known else "none is to be fitted"
        raise ParameterError(f"no model here has a setting {min(unknown)!r}; {there}")


def names_in(model: Classifier, classes: Sequence[str]) -> tuple[str, ...]:
    """Return a model's classes as a data set calls them: in its form of Unicode, by identifier where it does so."""
    identifiers = model.identifiers or (None,) * len(model.classes)
    there, names = set(classes), []
    for label, key in zip(model.classes, identifiers, strict=True):
        name = next((each for each in (label, same_name(label), key) if each in there), None)
        names.append(label if name is None or name in names else name)
    return tuple(names)


def require_classes(model: Classifier, test: Dataset, *, some: bool = False) -> None:
    """Raise DataError when a model does not know all classes of which there are images; some: when it knows none."""
    known_names = names_in(model, test.classes)
    there = [name for name, count in test.counts().items() if count]
    missing = [name for name in there if name not in known_names]
    if not missing or (some and len(missing) < len(there)):
        return
    known = ", ".join(model.classes[:SHOWN_CLASSES]) + (" ..." if len(model.classes) > SHOWN_CLASSES else "")
    text = f"{model.name} knows no class {missing[0]!r}; its {len(model.classes)} are {known}"
    raise DataError(text, hint="among" if len(missing) < len(there) else "")


def reason_of(error: Exception) -> str:
    """Return why a model failed, in one line; a user's own class may raise anything."""
    if isinstance(error, ImgtoolError):
        return str(error)
    if is_out_of_memory(error):
        return "not enough memory"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _hash_of_arrays(model: Classifier) -> str:
    """Return a hash over what a classifier that was never stored has learned; "" for one that does not tell."""
    arrays = model.arrays() if isinstance(model, Trainable) else {}
    if not arrays:
        return ""
    total = hashlib.sha256(json.dumps(dict(model.settings), default=str, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()
