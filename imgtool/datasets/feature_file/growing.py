"""A feature file that grows as images are described: a journal beside it, FILE.partial, until all are done.

The journal begins with a record that says of which images and by which settings it is; a record an image follows, in
the order of the images: `v` and its vector, `l` and its local descriptors, or `e` and why it could not be described. At
the end the feature file is put together from it, record by record, so that no more than one is in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from imgtool.batch.inputs import Input
from imgtool.datasets.feature_file import check_free, write
from imgtool.datasets.feature_file.journal import FRAME, MAGIC, append, framed, opened, records
from imgtool.datasets.feature_file.table import Blocks, Local
from imgtool.errors import DataError, OutputError, ParameterError

_WIDTHS = struct.Struct("<II")  # of a frame and of a descriptor, in numbers
_growing: set[GrowingFile] = set()


class GrowingFile:
    """Rows of a feature file in the order of the inputs, kept until it is whole.

    done: how many of `total` inputs have a record; failures: (index, reason) of what an earlier run could not describe.
    """

    def __init__(
        self, path: str, inputs: Sequence[Input], meta: Mapping[str, Any], *, resume: bool = False, force: bool = False
    ) -> None:
        """Begin the journal, or with resume go on from the one that is there.

        force: the file, or without resume the journal, may be there and is overwritten. Raises OutputError where they
        are there otherwise, or another process writes the journal; DataError for a journal of other images or settings.
        """
        self.path, self.journal = path, journal_of(path)
        self.done, self.failures = 0, list[tuple[int, str]]()
        self._inputs, self._meta, self.total = inputs, dict(meta), len(inputs)
        self._failed = bytearray()  # 1 for each input that could not be described
        self._counts = array("q")  # local descriptors of each that could
        self._first: tuple[int, int, int] | None = None  # index, width of frames (0: a vector) and of descriptors
        head = MAGIC + framed(json.dumps(_identity(inputs, self._meta), sort_keys=True).encode())
        self._start = len(head)
        is_left = os.path.lexists(self.journal)
        self._overwrite = force or (resume and is_left)  # the run that began the journal was let to write the file
        check_free(path, overwrite=self._overwrite)
        self._file = opened(self.journal)
        try:
            self._begin(head, is_left=is_left, resume=resume, force=force)
        except BaseException:
            self._file.close()
            raise
        _growing.add(self)

    def _begin(self, head: bytes, *, is_left: bool, resume: bool, force: bool) -> None:
        """Write the first record, or find the end of what is there."""
        if is_left and not (resume or force):
            raise OutputError(
                f"{self.journal}: is left of a run that did not end; --resume goes on from it, --force begins anew"
            )
        found = self._file.read(len(head)) if resume else b""
        if found != head:
            if not head.startswith(found):
                raise DataError(f"{self.journal}: {_difference(self.journal, head)}; --force begins anew")
            self._file.seek(0)
            self._file.truncate()
            append(self._file, head)
            return
        end = self._start
        for record, place in records(self.journal, self._start):
            if self.done == len(self._inputs) or not self._counted(record):
                break
            end = place
        self._file.truncate(end)
        self._file.seek(end)

    def _counted(self, record: bytes) -> bool:
        """Count a record that was read, or return False if it is none of ours."""
        kind, body = record[:1], record[1:]
        if kind == b"e":
            self.failures.append((self.done, body.decode("utf-8", "replace")))
            self._count_failure()
            return True
        arrays = _arrays(record)
        if arrays is None or not np.isfinite(arrays[1]).all():
            return False
        if self._first and self._first[1:] != tuple(each.shape[1] for each in arrays):
            return False
        self._count(*arrays)
        return True

    def _count(self, frames: np.ndarray, values: np.ndarray) -> None:
        """Remember what is needed of an image that was described."""
        self._first = self._first or (self.done, frames.shape[1], values.shape[1])
        self._counts.append(len(values))
        self._failed.append(0)
        self.done += 1

    def _count_failure(self) -> None:
        """Remember an image that could not be described."""
        self._failed.append(1)
        self.done += 1

    def add(self, values: np.ndarray, frames: np.ndarray | None = None) -> None:
        """Append the next input's vector, or its local descriptors (M, D) with their frames (M, F).

        Raises DataError, naming two files, where it is not as long as the first one's.
        """
        values = np.ascontiguousarray(values, np.float32)
        if frames is None:
            values = values.reshape(1, -1)
        frames = np.zeros((1, 0), np.float32) if frames is None else np.ascontiguousarray(frames, np.float32)
        if self._first and self._first[2] != values.shape[1]:
            raise DataError(
                f"{self._inputs[self.done].path}: has {values.shape[1]} numbers where"
                f" {self._inputs[self._first[0]].path} has {self._first[2]}; --resize brings images to one size"
            )
        widths = _WIDTHS.pack(frames.shape[1], values.shape[1]) if frames.shape[1] else b""
        self._append((b"l" if widths else b"v") + widths + frames.tobytes() + values.tobytes())
        self._count(frames, values)

    def add_failure(self, reason: str) -> None:
        """Say why the next input could not be described."""
        self._append(b"e" + reason.encode("utf-8", "replace"))
        self._count_failure()

    def _append(self, record: bytes) -> None:
        """Write a record."""
        try:
            append(self._file, framed(record))
        except OSError as error:
            advice = f"; --resume goes on from {self.journal}" if self.done else ""
            raise OutputError(f"{self.journal}: cannot be written: {(error.strerror or '').lower()}{advice}") from None

    def finish(self) -> tuple[int, int, int]:
        """Put the feature file together and remove the journal; return how many images and rows, and their width.

        Raises DataError when no image could be described.
        """
        if self._first is None:
            raise DataError("no image could be described, so there is nothing to store")
        table = self._blocks(self._first[1], self._first[2])
        try:
            write(self.path, table, overwrite=self._overwrite)
        except OutputError as error:
            raise OutputError(f"{error}; --resume goes on from {self.journal}") from None
        self.discard()
        return table.images, table.shape[0], table.shape[1]

    def _blocks(self, frame_width: int, width: int) -> Blocks:
        """Return the table that the journal holds."""
        local = None
        if frame_width:
            offsets = np.concatenate([[0], np.cumsum(self._counts)]).astype(np.int64)
            local = Local(frame_width, lambda: (frames for frames, _ in self._described()), offsets)
        return Blocks(
            len(self._counts),
            (sum(self._counts), width),
            lambda: (values for _, values in self._described()),
            lambda: (
                (each.path, each.label) for each, failed in zip(self._inputs, self._failed, strict=True) if not failed
            ),
            self._meta,
            local,
        )

    def _described(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield frames and features of each image that could be described."""
        for record, _ in records(self.journal, self._start):
            if arrays := _arrays(record):
                yield arrays

    def discard(self) -> None:
        """Remove the journal."""
        _growing.discard(self)
        self._file.close()
        with contextlib.suppress(OSError):
            os.unlink(self.journal)

    def __enter__(self) -> GrowingFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Keep the journal of what may go on; not one with nothing in it, or that would fail in the same way again."""
        if not self.done or isinstance(error, DataError | ParameterError):
            self.discard()
        _growing.discard(self)
        self._file.close()


def journal_of(path: str) -> str:
    """Return where the journal of a feature file lies."""
    return f"{path}.partial"


def interrupted() -> list[str]:
    """Return a line about each file that grows; called when the process ends early."""
    lines = []
    for each in list(_growing):
        if each.done:
            lines.append(f"{each.path}: {each.done} of {each.total} images are done; --resume goes on")
        else:
            each.discard()
    return lines


def _arrays(record: bytes) -> tuple[np.ndarray, np.ndarray] | None:
    """Return frames (of no numbers for a vector) and features of a record; None where it holds no features."""
    count, frame_width, width, start = 1, 0, len(record) // 4, 1
    if record[:1] == b"l" and len(record) > _WIDTHS.size:
        frame_width, width = _WIDTHS.unpack_from(record, 1)
        start += _WIDTHS.size
        count = (len(record) - start) // max(4 * (frame_width + width), 1)
    whole = start + 4 * count * (frame_width + width) == len(record)
    if record[:1] != (b"l" if frame_width else b"v") or not whole or not width:
        return None
    numbers = np.frombuffer(record, np.float32, offset=start)
    frames, values = numbers[: count * frame_width], numbers[count * frame_width :]
    return frames.reshape(count, frame_width), values.reshape(count, width)


def _identity(inputs: Sequence[Input], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be the same for a run to go on from another's journal."""
    names = hashlib.sha256()
    for each in inputs:
        names.update(f"{each.path}\0{each.label}\0".encode("utf-8", "surrogateescape"))
    codebook = meta.get("parameters", {}).get("codebook")
    return {
        "meta": meta,
        "images": [len(inputs), names.hexdigest()],
        "codebook": _digest(codebook) if codebook and os.path.isfile(codebook) else None,
    }


def _digest(path: str) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _difference(journal: str, head: bytes) -> str:
    """Say why a journal does not begin as it should."""
    try:
        with open(journal, "rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return "is no journal of imgtool"
        theirs, ours = (json.loads(record) for record in (_first_record(journal), head[len(MAGIC) + FRAME.size :]))
        kinds = {"images": "was begun with other images", "codebook": "was begun with another codebook"}
        for key, difference in kinds.items():
            if theirs[key] != ours[key]:
                return difference
        if theirs["meta"]["version"] != ours["meta"]["version"]:
            return "was begun by another version of imgtool"
        return "was begun with other settings"
    except (ValueError, TypeError, LookupError, RecursionError, StopIteration):
        return "is damaged at its beginning"


def _first_record(journal: str) -> bytes:
    """Return what a journal says of itself."""
    record, _ = next(records(journal, len(MAGIC)))
    return record
