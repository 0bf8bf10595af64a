"""Stored predictions of the held-out images, one file for each model and split.

A file is one line with the format and the SHA-256 of what follows, one line of JSON, and the scores (n, classes) row by
row, little-endian. It appears complete or not at all; a changed byte is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imgtool.batch.outputs import write_file
from imgtool.errors import DataError
from imgtool.files import read_regular
from imgtool.pipelines.predict import STAGES

FIRST_LINE = b"imgtool predictions 1 "
SUFFIX = ".predictions"
_DIGEST_BYTES = 64  # in hexadecimal
_TYPES = {"float32": "<f4", "float64": "<f8"}


@dataclass(frozen=True)
class Predictions:
    """Probabilities of the held-out images by one model.

    model: as it was named; images: the hash of the held-out part; classes: of the model, in the order of the columns;
    scores: (n, classes); seconds: of each stage of predicting, all images together; train_seconds: None for a model
    that was trained before; weights_bytes: on disk; facts: settings, hash of weights, what it was trained on.
    """

    model: str
    images: str
    classes: tuple[str, ...]
    scores: np.ndarray
    seconds: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    train_seconds: float | None = None
    weights_bytes: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def milliseconds(self) -> float:
        """Milliseconds per image, without reading."""
        return 1000 * sum(self.seconds[stage] for stage in STAGES[1:]) / max(len(self.scores), 1)


class Store:
    """Predictions by key: as files in a folder, or, without one, in memory for as long as the table is made."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._files: dict[str, bytes] = {}

    def files(self) -> list[str]:
        """Return the files that are there already."""
        return [] if self._folder is None else [str(path) for path in self._folder.glob(f"*{SUFFIX}")]

    def put(self, key: str, predictions: Predictions) -> None:
        """Store predictions; replace older ones."""
        data = encode(predictions)
        if self._folder is None:
            self._files[key] = data
        else:
            write_file(self._path(key), data, overwrite=True)

    def get(self, key: str) -> Predictions | None:
        """Return stored predictions, None where there are none. Raises DataError for a file that is not as written."""
        if self._folder is None:
            return decode(self._files[key]) if key in self._files else None
        path = self._path(key)
        try:
            return decode(read_regular(path))
        except FileNotFoundError:
            return None
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        except OSError as error:
            raise DataError(f"{path}: {(error.strerror or str(error)).lower()}") from None

    def _path(self, key: str) -> Path:
        """Return the file for a key: the key's characters that file names allow, and its hash."""
        stem = re.sub(r"[^A-Za-z0-9@.-]+", "_", key)[:40].strip("._")
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return Path(self._folder or ".", f"{stem}-{digest}{SUFFIX}")


def encode(predictions: Predictions) -> bytes:
    """Return the content of a file. Raises DataError for what `decode` would refuse."""
    scores = predictions.scores
    shape = {"shape": list(scores.shape), "dtype": scores.dtype.name}
    record = asdict(predictions) | {"scores": shape, "classes": list(predictions.classes)}
    _check(record)
    body = json.dumps(record, default=str).encode() + b"\n" + scores.astype(_TYPES[scores.dtype.name]).tobytes()
    _require_finite(scores)
    return FIRST_LINE + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode(data: bytes) -> Predictions:
    """Return what a file holds. Raises DataError for anything that is not as it was written."""
    first, newline, body = data.partition(b"\n")
    digest = first.removeprefix(FIRST_LINE)
    if not newline or not first.startswith(FIRST_LINE) or len(digest) != _DIGEST_BYTES:
        raise DataError("is no file of predictions")
    if digest != hashlib.sha256(body).hexdigest().encode():
        raise DataError("is damaged: its digest differs")
    text, _, numbers = body.partition(b"\n")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise DataError("holds no JSON") from None
    _check(record)
    shape, dtype = tuple(record["scores"]["shape"]), np.dtype(_TYPES[record["scores"]["dtype"]])
    if len(numbers) != math.prod(shape) * dtype.itemsize:
        raise DataError(f"holds {len(numbers)} bytes of scores, which are not {shape[0]} x {shape[1]}")
    scores = np.frombuffer(numbers, dtype).reshape(shape)
    _require_finite(scores)
    return Predictions(**{**record, "classes": tuple(record["classes"]), "scores": scores})


def _require_finite(scores: np.ndarray) -> None:
    """Raise DataError for scores that are no probabilities."""
    if not np.isfinite(scores).all():
        raise DataError("scores hold NaN or infinity")


def _check(record: Any) -> None:
    """Raise DataError unless the fields are exactly the expected ones and each is valid."""
    if not isinstance(record, dict) or record.keys() != _FIELDS.keys():
        raise DataError("its fields are not those of predictions")
    for name, valid in _FIELDS.items():
        if not valid(record[name]):
            raise DataError(f"its field {name} is not what it should be")
    if record["scores"]["shape"][1] != len(record["classes"]):
        raise DataError("its scores are not one for each class")


def _is_text(value: Any) -> bool:
    """Tell whether a value is text that is not empty."""
    return isinstance(value, str) and value != ""


def _is_count(value: Any) -> bool:
    """Tell whether a value is a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_seconds(value: Any) -> bool:
    """Tell whether a value is a finite number from 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_scores(value: Any) -> bool:
    """Tell whether a value is shape and type of scores."""
    if not isinstance(value, dict) or value.keys() != {"shape", "dtype"} or not isinstance(value["shape"], list):
        return False
    return len(value["shape"]) == 2 and all(map(_is_count, value["shape"])) and value["dtype"] in [*_TYPES]


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "model": _is_text,
    "images": lambda value: isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None,
    "classes": lambda value: isinstance(value, list) and all(map(_is_text, value)) and len({*value}) == len(value) > 0,
    "scores": _is_scores,
    "seconds": lambda value: (
        isinstance(value, dict) and [*value] == [*STAGES] and all(map(_is_seconds, value.values()))
    ),
    "train_seconds": lambda value: value is None or _is_seconds(value),
    "weights_bytes": lambda value: value is None or _is_count(value),
    "facts": lambda value: isinstance(value, dict),
}
