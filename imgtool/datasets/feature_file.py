"""Feature files: one vector for each image, or local descriptors of each, with paths, labels and how they were made.

`.npz` holds `features` (N, D) float32, `paths` (N), `labels` (N, empty text for no label) and `meta`, a JSON text with
a format number. Local descriptors stand one after the other as (M, D) with `frames` (M, F) and `offsets` (N + 1): those
of image n are rows offsets[n] to offsets[n + 1]. `.npy` holds the features alone; `.csv` the columns path, label, 0,
1, ...; `.jsonl` one object an image. Nothing is ever unpickled, and every field is checked.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np

from imgtool.batch.outputs import write_file
from imgtool.errors import DataError, OutputError, ParameterError

FORMAT = 1
SUFFIXES = (".npz", ".npy", ".csv", ".jsonl")
FIELDS = ("features", "paths", "labels", "meta")
LOCAL_FIELDS = ("frames", "offsets")
_LARGEST_RATIO = 200  # of unpacked to packed size; more is an attack, not features


@dataclass(frozen=True)
class FeatureTable:
    """Features of N images.

    features: (N, D) float32, or (M, D) local descriptors with frames (M, F) float32 and offsets (N + 1) int64;
    paths, labels: N texts, a label "" where there is none; meta: descriptor, parameters, version.
    """

    features: np.ndarray
    paths: Sequence[str]
    labels: Sequence[str]
    meta: dict[str, Any] = field(default_factory=dict)
    frames: np.ndarray | None = None
    offsets: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        if self.features.ndim != 2 or self.features.dtype != np.float32:
            raise DataError(f"features must be (N, D) float32, got {self.features.shape} {self.features.dtype}")
        if not np.isfinite(self.features).all():
            raise DataError("features hold NaN or infinity")
        if len(self.paths) != len(self.labels):
            raise DataError(f"there are {len(self.paths)} paths and {len(self.labels)} labels")
        if (self.frames is None) != (self.offsets is None):
            raise DataError("frames and offsets go together")
        if self.frames is not None and self.offsets is not None:
            self._check_local(self.frames, self.offsets)
        elif len(self.features) != len(self.paths):
            raise DataError(f"there are {len(self.features)} rows of features and {len(self.paths)} paths")

    def _check_local(self, frames: np.ndarray, offsets: np.ndarray) -> None:
        """Check what only local descriptors have."""
        if frames.ndim != 2 or frames.dtype != np.float32 or len(frames) != len(self.features):
            raise DataError(f"frames must be ({len(self.features)}, F) float32, got {frames.shape} {frames.dtype}")
        if offsets.dtype != np.int64 or offsets.shape != (len(self.paths) + 1,):
            raise DataError(f"offsets must be ({len(self.paths) + 1},) int64, got {offsets.shape} {offsets.dtype}")
        if offsets[0] != 0 or offsets[-1] != len(self.features) or (np.diff(offsets) < 0).any():
            raise DataError(f"offsets must rise from 0 to {len(self.features)}")

    def rows(self, index: int) -> np.ndarray:
        """Return the features of one image: its local descriptors, or its vector as one row."""
        if self.offsets is None:
            return self.features[index : index + 1]
        return self.features[self.offsets[index] : self.offsets[index + 1]]


def check_suffix(path: str | os.PathLike[str]) -> str:
    """Return the suffix of a feature file. Raises ParameterError for a name that no feature file can have."""
    suffix = PurePath(path).suffix.lower()
    if suffix == ".parquet":
        raise ParameterError(f"{os.fspath(path)}: Parquet is not written yet; use {', '.join(SUFFIXES)}")
    if suffix not in SUFFIXES:
        raise ParameterError(f"{os.fspath(path)}: a feature file ends in {', '.join(SUFFIXES)}")
    return suffix


def check_free(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Raise OutputError, before any work is done, when the file is there and may not be overwritten."""
    if os.path.lexists(path) and not overwrite:
        raise OutputError(f"{os.fspath(path)}: exists; --force overwrites it")


def save(path: str | os.PathLike[str], table: FeatureTable, *, overwrite: bool = False) -> None:
    """Write a table in the form that the name's suffix says, whole or not at all; equal tables give equal bytes."""
    suffix = check_suffix(path)
    if suffix != ".npz" and table.offsets is not None:
        raise ParameterError(f"{os.fspath(path)}: local descriptors are stored as .npz only")
    encode = {".npz": _to_npz, ".npy": _to_npy, ".csv": _to_csv, ".jsonl": _to_jsonl}[suffix]
    write_file(path, encode(table), overwrite=overwrite)


def load(path: str | os.PathLike[str]) -> FeatureTable:
    """Read a table. Raises DataError when the file is not a whole, consistent feature file."""
    name = os.fspath(path)
    suffix = check_suffix(path)
    decode = {".npz": _from_npz, ".npy": _from_npy, ".csv": _from_csv, ".jsonl": _from_jsonl}[suffix]
    try:
        if os.path.exists(name) and not os.path.isfile(name):
            raise DataError("is no regular file")
        with open(name, "rb") as file:
            return decode(file.read())
    except OSError as error:
        raise DataError(f"{name}: {(error.strerror or str(error)).lower()}") from None
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def merged(tables: Sequence[FeatureTable], names: Sequence[str]) -> FeatureTable:
    """Return the images of all tables, one table after the other.

    names: of the files, for errors. Raises DataError when two were made by different descriptors or parameters.
    """
    first = tables[0]
    for table, name in zip(tables, names, strict=True):
        kinds = [(each.meta.get("descriptor"), each.meta.get("parameters")) for each in (first, table)]
        shapes = [(each.features.shape[1], each.offsets is None) for each in (first, table)]
        if kinds[0] != kinds[1] or shapes[0] != shapes[1]:
            raise DataError(f"{name}: was not made as {names[0]} was: {_kind(table)} instead of {_kind(first)}")
    frames = offsets = None
    if first.frames is not None:
        frames = np.concatenate([each.frames for each in tables if each.frames is not None])
        counts = [np.diff(each.offsets) for each in tables if each.offsets is not None]
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
    paths, labels = [p for each in tables for p in each.paths], [label for each in tables for label in each.labels]
    return FeatureTable(np.concatenate([each.features for each in tables]), paths, labels, first.meta, frames, offsets)


def _kind(table: FeatureTable) -> str:
    """Say how a table was made."""
    parameters = json.dumps(table.meta.get("parameters"), sort_keys=True)
    return f"{table.meta.get('descriptor')} of {table.features.shape[1]} numbers {parameters}"


def _to_npz(table: FeatureTable) -> bytes:
    """Encode everything."""
    meta = json.dumps({"format": FORMAT, **table.meta}, sort_keys=True)
    arrays = {
        "features": table.features,
        "paths": np.array(list(table.paths), dtype=np.str_),
        "labels": np.array(list(table.labels), dtype=np.str_),
        "meta": np.array(meta),
    }
    if table.frames is not None and table.offsets is not None:
        arrays |= {"frames": table.frames, "offsets": table.offsets}
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _from_npz(content: bytes) -> FeatureTable:
    """Decode and check every member of the archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {each.filename.removesuffix(".npy"): each for each in archive.infolist()}
            _check_members(members)
            arrays = {name: _array(archive.read(member), name) for name, member in members.items()}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, zlib.error) as error:
        raise DataError(f"is no whole .npz file ({error})") from None
    for name in ("paths", "labels"):
        if arrays[name].ndim != 1 or arrays[name].dtype.kind != "U":
            raise DataError(f"{name} are no list of texts")
    return FeatureTable(
        arrays["features"],
        arrays["paths"].tolist(),
        arrays["labels"].tolist(),
        _meta(arrays["meta"]),
        arrays.get("frames"),
        arrays.get("offsets"),
    )


def _check_members(members: dict[str, zipfile.ZipInfo]) -> None:
    """Refuse an archive with other members than ours, or one that unpacks to far more than it is."""
    if missing := [name for name in FIELDS if name not in members]:
        raise DataError(f"is no feature file: it lacks {', '.join(missing)}")
    if unknown := sorted(set(members) - {*FIELDS, *LOCAL_FIELDS}):
        raise DataError(f"is no feature file: it holds {unknown[0][:40]!r}")
    for name, member in members.items():
        if member.file_size > _LARGEST_RATIO * member.compress_size + 4096:
            raise DataError(f"{name} would unpack to {member.file_size} bytes from {member.compress_size}")


def _array(content: bytes, name: str) -> np.ndarray:
    """Return the array of one .npy file, whose header must say exactly what is there."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(stream)
    except (ValueError, OSError, SyntaxError, TypeError) as error:
        raise DataError(f"{name} has a broken header ({str(error).splitlines()[0][:80]})") from None
    if dtype.kind not in "fiuU":
        raise DataError(f"{name} holds {dtype.name}, neither numbers nor texts; imgtool unpickles nothing")
    count = 1
    for side in shape:
        count *= side
    if count < 0 or count * dtype.itemsize != len(content) - stream.tell():
        raise DataError(f"{name} of shape {shape} has {len(content) - stream.tell()} bytes")
    if not dtype.itemsize:
        return np.zeros(shape, dtype)
    array = np.frombuffer(content, dtype, count, stream.tell()).reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(array).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _meta(text: np.ndarray) -> dict[str, Any]:
    """Parse the JSON text and check its format number."""
    try:
        meta = json.loads(text.item()) if text.shape == () and text.dtype.kind == "U" else None
    except (ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict):
        raise DataError("meta is no JSON object")
    if (version := meta.pop("format", None)) != FORMAT:
        raise DataError(f"has the format {version!r}; this imgtool reads format {FORMAT}")
    return meta


def _to_npy(table: FeatureTable) -> bytes:
    """Encode the features alone."""
    stream = io.BytesIO()
    np.save(stream, table.features, allow_pickle=False)
    return stream.getvalue()


def _from_npy(content: bytes) -> FeatureTable:
    """Decode features, which have neither paths nor labels."""
    features = _array(content, "features")
    if features.dtype.kind != "f":
        raise DataError(f"features are {features.dtype}, not floating point")
    names = [""] * len(features) if features.ndim else []
    with np.errstate(over="ignore"):
        return FeatureTable(features.astype(np.float32, copy=False), names, names)


def _to_csv(table: FeatureTable) -> bytes:
    """Encode paths, labels and numbers (with as many digits as float32 needs)."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["path", "label", *range(table.features.shape[1])])
    for path, label, row in zip(table.paths, table.labels, _texts(table.features), strict=True):
        writer.writerow([path, label, *row])
    return stream.getvalue().encode("utf-8", "surrogateescape")


def _texts(features: np.ndarray) -> Iterable[list[str]]:
    """Yield the shortest texts that read back as the same float32 numbers, row by row."""
    for row in features:
        yield row.astype("U").tolist()


def _from_csv(content: bytes) -> FeatureTable:
    """Decode rows of path, label and numbers."""
    text = content.decode("utf-8", "surrogateescape")
    try:
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (csv.Error, ValueError):
        raise DataError("is no CSV file") from None
    if header[:2] != ["path", "label"]:
        raise DataError("needs the columns path, label and then the numbers")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise DataError(f"row {number} has {len(row)} cells where the first has {len(header)}")
    features = _numbers([row[2:] for row in rows], len(header) - 2)
    return FeatureTable(features, [row[0] for row in rows], [row[1] for row in rows])


def _numbers(rows: list[list[Any]], width: int) -> np.ndarray:
    """Return rows of numbers, or of their texts, as (N, width) float32."""
    try:
        with np.errstate(over="ignore"):
            return np.array(rows, np.float64).astype(np.float32).reshape(len(rows), width)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"holds something that is no number ({str(error)[:60]})") from None


def _to_jsonl(table: FeatureTable) -> bytes:
    """Encode one object an image: path, label, meta's descriptor, the numbers."""
    lines = []
    for path, label, row in zip(table.paths, table.labels, _texts(table.features), strict=True):
        name: dict[str, Any] = {"path": path}
        if any("\ud800" <= character <= "\udfff" for character in path):
            name = {"path_bytes": base64.b64encode(os.fsencode(path)).decode()}
        values = [float(each) for each in row]
        descriptor = {key: table.meta[key] for key in ("descriptor", "parameters") if key in table.meta}
        lines.append(json.dumps({**name, "label": label, **descriptor, "values": values}, ensure_ascii=False))
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


def _from_jsonl(content: bytes) -> FeatureTable:
    """Decode one object an image; what the first says of the descriptor is said of all."""
    objects = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            objects.append(_checked_object(json.loads(line)))
        except (ValueError, RecursionError):
            raise DataError(f"line {number} is no JSON object with path, label and values") from None
    widths = {len(each["values"]) for each in objects}
    if len(widths) != 1:
        raise DataError(f"holds rows of {' and '.join(map(str, sorted(widths))) or 'no'} numbers; they must be alike")
    features = _numbers([each["values"] for each in objects], widths.pop())
    meta: dict[str, Any] = {key: objects[0][key] for key in ("descriptor", "parameters") if key in objects[0]}
    return FeatureTable(features, [each["path"] for each in objects], [each["label"] for each in objects], meta)


def _checked_object(row: Any) -> dict[str, Any]:
    """Return a row of JSON with its path as text. Raises ValueError when it lacks something."""
    if not isinstance(row, dict):
        raise ValueError("no object")
    if isinstance(row.get("path_bytes"), str):
        row["path"] = os.fsdecode(base64.b64decode(row["path_bytes"]))
    row.setdefault("label", "")
    values = row.get("values")
    if not isinstance(row.get("path"), str) or not isinstance(row["label"], str) or not isinstance(values, list):
        raise ValueError("no path, label or values")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise ValueError("values are no numbers")
    return row
