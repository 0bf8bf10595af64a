"""Stored predictions of the held-out images, one file for each model and split.

A file is one line with the format and the SHA-256 of what follows, one line of JSON, and the scores (n, classes) row by
row, little-endian. It appears complete or not at all; a changed byte is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from imgtool.batch.outputs import output_errors, write_file
from imgtool.errors import DataError
from imgtool.files import read_regular
from imgtool.pipelines.predict import STAGES

FIRST_LINE = b"imgtool predictions 1 "
SUFFIX = ".predictions"
PART_SUFFIX = f".part{SUFFIX}"
MEMORY_BYTES = 1 << 24  # of a model's predictions, above which they are written without a folder, too
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
    """Predictions by key: as files in a folder, or, without one, in memory and unnamed temporary files.

    What comes of one key before all of it is there can be kept in parts, each with the place of its first image.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._unnamed: dict[str, IO[bytes]] = {}

    def files(self) -> list[Path]:
        """Return the files that are there already."""
        return [] if self.folder is None else sorted(self.folder.glob(f"*{SUFFIX}"))

    def put(self, key: str, predictions: Predictions) -> None:
        """Store predictions; replace older ones, and their parts."""
        data = encode(predictions)
        if self.folder is None:
            file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - it lasts as long as the store
            with output_errors(tempfile.gettempdir()):
                file.write(data)
                file.flush()
            self._unnamed[key] = file
            return
        write_file(self.path(key), data, overwrite=True)
        for part in self.folder.glob(f"{self.path(key, '').name}.*{PART_SUFFIX}"):
            part.unlink(missing_ok=True)

    def get(self, key: str) -> Predictions | None:
        """Return stored predictions, None where there are none. Raises DataError for a file that is not as written."""
        if self.folder is not None:
            return _read(self.path(key))
        if key not in self._unnamed:
            return None
        self._unnamed[key].seek(0)
        return decode(self._unnamed[key].read())

    def put_part(self, key: str, first: int, part: Predictions) -> None:
        """Store the predictions of some images, from this place on; nothing without a folder."""
        if self.folder is not None:
            write_file(self.path(key, f".{first}{PART_SUFFIX}"), encode(part), overwrite=True)

    def parts(self, key: str) -> list[Predictions]:
        """Return the parts that follow one another from the first image on. Raises DataError as `get` does."""
        found, first = list[Predictions](), 0
        while self.folder is not None and (part := _read(self.path(key, f".{first}{PART_SUFFIX}"))) is not None:
            if not len(part.scores):
                break
            found.append(part)
            first += len(part.scores)
        return found

    def path(self, key: str, suffix: str = SUFFIX) -> Path:
        """Return the file for a key: the key's characters that file names allow, and its hash."""
        stem = re.sub(r"[^A-Za-z0-9@.-]+", "_", key)[:40].strip("._")
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return Path(self.folder or ".", f"{stem}-{digest}{suffix}")


def _read(path: Path) -> Predictions | None:
    """Return what a file holds, None where there is none. Raises DataError, naming it."""
    try:
        return decode(read_regular(path))
    except FileNotFoundError:
        return None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def joined(parts: Sequence[Predictions], places: Sequence[np.ndarray], images: str) -> Predictions:
    """Return the predictions of folds as those of the whole data set, of which these are the places of each fold.

    images: its hash. Settings and sizes are the first one's, the time of training is the mean; seen images add up.
    """
    scores = np.empty((sum(map(len, places)), len(parts[0].classes)), parts[0].scores.dtype)
    for part, at in zip(parts, places, strict=True):
        scores[at] = part.scores
    seconds = {stage: sum(part.seconds[stage] for part in parts) for stage in STAGES}
    train_seconds = sum(part.train_seconds or 0 for part in parts) / len(parts)
    seen = sum(part.facts.get("seen_images", 0) for part in parts)
    facts = {**parts[0].facts, **({"seen_images": seen} if seen else {})}
    return replace(parts[0], images=images, scores=scores, seconds=seconds, train_seconds=train_seconds, facts=facts)


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
