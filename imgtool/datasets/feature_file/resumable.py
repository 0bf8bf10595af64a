"""A feature file that grows as images are described, with a journal beside it until all are done.

FILE.rows takes the features, at the place where they will stand in the feature file if that is one of NumPy; at the end
it needs but what comes before and after them, and is renamed. The other formats are written from it, row by row. The
journal, FILE.partial, begins with a record that says of which images and by which settings it is; a record an image
follows, in the order of the images: `d` with its frames (none for a vector), the size of what FILE.rows has of it, the
CRC-32 of all rows so far (which an .npz file needs) and the SHA-256 of its own, or `e` and why it could not be
described (after a NUL, the error's hint). Rows come before their record, so that a process that is killed at any moment
leaves whole images; what is cut or changed is described again, and all that follows it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from imgtool.batch.inputs import Input
from imgtool.batch.outputs import check_free, output_errors, put_in_place
from imgtool.batch.places import identity, link_target
from imgtool.datasets.feature_file import finisher, rows_offset, write
from imgtool.datasets.feature_file.journal import (
    MAGIC,
    RECORD_HEADER,
    append,
    journal_record,
    open_journal,
    records,
    truncate_file,
)
from imgtool.datasets.feature_file.table import Blocks, Local
from imgtool.datasets.labels import Labels
from imgtool.errors import DataError, ImgtoolError, OutputError, ParameterError
from imgtool.files import open_regular

# d, rows, width of frames and of rows in numbers, CRC-32 of all rows so far, SHA-256 of these
_DESCRIBED = struct.Struct("<cIIII32s")
_open_files: set[ResumableFile] = set()


class _Part(NamedTuple):
    """What the journal says of an image that was described: rows of FILE.rows, and their frames (count, width)."""

    frames: np.ndarray
    width: int
    checksum: int
    digest: bytes

    @property
    def widths(self) -> tuple[int, int]:
        """The widths of frames and of rows."""
        return self.frames.shape[1], self.width

    @property
    def size(self) -> int:
        """How many bytes FILE.rows has of it."""
        return 4 * len(self.frames) * self.width

    def record(self) -> bytes:
        """Return the record."""
        head = _DESCRIBED.pack(b"d", *self.frames.shape, self.width, self.checksum, self.digest)
        return head + self.frames.tobytes()

    @classmethod
    def of(cls, record: bytes) -> _Part | None:
        """Return what a record says; None where it says nothing of rows."""
        if record[:1] != b"d" or len(record) < _DESCRIBED.size:
            return None
        _, count, frame_width, width, checksum, digest = _DESCRIBED.unpack_from(record)
        if not width or len(record) != _DESCRIBED.size + 4 * count * frame_width or (not frame_width and count != 1):
            return None
        frames = np.frombuffer(record, np.float32, offset=_DESCRIBED.size).reshape(count, frame_width)
        return cls(frames, width, checksum, digest)


class ResumableFile:
    """Rows of a feature file in the order of the inputs, kept until it is whole.

    done: how many of `total` inputs have a record; failures: (index, error) of what an earlier run could not describe.
    """

    def __init__(
        self,
        path: str,
        inputs: Sequence[Input],
        meta: Mapping[str, Any],
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Begin the journal, or with resume go on from the one that is there.

        overwrite: the file, or without resume the journal, may be there and is overwritten. Raises OutputError where
        they are there otherwise, or another process writes the journal; DataError for a journal of other images or
        settings.
        """
        with output_errors(path):
            self.path, (self.journal, self.rows) = path, companions(path)
        self.done, self.failures = 0, list[tuple[int, ImgtoolError]]()
        self._inputs, self._meta, self.total = inputs, dict(meta), len(inputs)
        self._label = Labels()
        self._failed = bytearray()  # 1 for each input that could not be described
        self._counts = array("q")  # rows of each that could
        self._first: tuple[int, tuple[int, int]] | None = None  # index, and widths of frames (0: a vector) and rows
        self._room, self._checksum = rows_offset(path), 0
        head = MAGIC + journal_record(json.dumps(_identity(inputs, self._meta, self._label), sort_keys=True).encode())
        self._start = len(head)
        is_left = os.path.lexists(self.journal)
        self._overwrite = overwrite or (resume and is_left)  # the run that began the journal was let to write the file
        check_free(path, overwrite=self._overwrite)
        check_free(self.rows, overwrite=overwrite or is_left)
        with contextlib.ExitStack() as files:
            self._file = files.enter_context(open_journal(self.journal))
            if is_left and not (resume or overwrite):
                raise OutputError("is left of a run that did not end", hint="unfinished").within(self.journal)
            if identity(self.rows) == identity(path):
                os.unlink(self.rows)  # a run was ended after it had named the file, before it took the old name away
            had_rows = os.path.lexists(self.rows)
            self._rows = files.enter_context(open_journal(self.rows))
            try:
                with output_errors(self.journal):
                    self._begin(head, resume=resume)
                    self._go_on()
            except (OutputError, DataError):
                if not is_left:
                    self._remove()
                elif not had_rows:
                    os.unlink(self.rows)
                raise
            self._files = files.pop_all()
        _open_files.add(self)

    def _begin(self, head: bytes, *, resume: bool) -> None:
        """Write the first record, unless it is there. Raises DataError for one of other images or settings."""
        found = self._file.read(len(head)) if resume else b""
        if found != head:
            if not head.startswith(found):
                raise DataError(_difference(self.journal, head), hint="other-run").within(self.journal)
            truncate_file(self._file, 0)
            append(self._file, head)

    def _go_on(self) -> None:
        """Find the end of what is there, record by record, and cut off what follows."""
        end, rows_end = self._start, self._room
        self._rows.seek(self._room)
        for record, place in records(self.journal, self._start):
            if self.done == self.total:
                break
            if record[:1] == b"e":
                text, _, hint = record[1:].decode("utf-8", "replace").partition("\0")
                self.failures.append((self.done, ImgtoolError(text, hint=hint)))
                self._count_failure()
            elif (part := _Part.of(record)) and self._is_there(part):
                self._count(part)
                rows_end += part.size
            else:
                break
            end = place
        truncate_file(self._file, end)
        truncate_file(self._rows, rows_end)

    def _is_there(self, part: _Part) -> bool:
        """Tell whether the rows of an image that the journal names come next, whole and fit to be stored."""
        if (self._first and self._first[1] != part.widths) or part.size > os.path.getsize(self.rows):
            return False
        rows = _read(self._rows, part.size)
        fits = len(rows) == part.size and zlib.crc32(rows, self._checksum) == part.checksum
        whole = fits and hashlib.sha256(rows).digest() == part.digest
        return whole and bool(np.isfinite(np.frombuffer(rows, np.float32)).all())

    def _count(self, part: _Part) -> None:
        """Remember what is needed of an image that was described."""
        self._first = self._first or (self.done, part.widths)
        self._checksum = part.checksum
        self._counts.append(len(part.frames))
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
            values, frames = values.reshape(1, -1), np.zeros((1, 0))
        if self._first and self._first[1][1] != values.shape[1]:
            raise DataError(
                f"has {values.shape[1]} numbers where {self._inputs[self._first[0]].path} has {self._first[1][1]}",
                hint="resize",
            ).within(self._inputs[self.done].path)
        rows = values.reshape(-1).view(np.uint8).data
        checksum, digest = zlib.crc32(rows, self._checksum), hashlib.sha256(rows).digest()
        part = _Part(np.asarray(frames, np.float32), values.shape[1], checksum, digest)
        self._append(self._rows, rows)
        self._append(self._file, journal_record(part.record()))
        self._count(part)

    def add_failure(self, reason: str, hint: str = "") -> None:
        """Say why the next input could not be described, with the error's hint."""
        text = f"{reason}\0{hint}" if hint else reason
        self._append(self._file, journal_record(b"e" + text.encode("utf-8", "replace")))
        self._count_failure()

    def _append(self, file: BinaryIO, data: bytes | memoryview) -> None:
        """Write to one of the two files."""
        try:
            append(file, data)
        except OSError as error:
            hint = "resume" if self.done else ""
            wrong = OutputError(f"cannot be written: {(error.strerror or '').lower()}", hint=hint)
            raise wrong.within(self.rows if file is self._rows else self.journal) from None

    def finish(self) -> tuple[int, int, int]:
        """Make the feature file and remove the journal; return how many images and rows, and their width.

        Raises DataError when no image could be described.
        """
        if self._first is None:
            raise DataError("is not made, as no image could be described").within(self.path)
        table = self._blocks(*self._first[1])
        try:
            if finish := finisher(self.path):
                with put_in_place(self.rows, self.path, self._rows, overwrite=self._overwrite):
                    finish(self._rows, table, self._checksum)
            else:
                write(self.path, table, overwrite=self._overwrite)
        except OutputError as error:
            error.hint = "resume"
            raise
        self.discard()
        return table.images, table.shape[0], table.shape[1]

    def _blocks(self, frame_width: int, width: int) -> Blocks:
        """Return the table of what was described."""
        local = None
        if frame_width:
            offsets = np.concatenate([[0], np.cumsum(self._counts)]).astype(np.int64)
            local = Local(frame_width, self._frames, offsets)
        return Blocks(
            len(self._counts),
            (sum(self._counts), width),
            lambda: self._features(width),
            lambda: (
                (each.path, self._label(each))
                for each, failed in zip(self._inputs, self._failed, strict=True)
                if not failed
            ),
            self._meta,
            local,
        )

    def _features(self, width: int) -> Iterator[np.ndarray]:
        """Yield the rows of each image that could be described."""
        self._rows.seek(self._room)
        for count in self._counts:
            yield np.frombuffer(_read(self._rows, 4 * count * width), np.float32).reshape(count, width)

    def _frames(self) -> Iterator[np.ndarray]:
        """Yield the frames of each image that could be described."""
        for record, _ in records(self.journal, self._start):
            if part := _Part.of(record):
                yield part.frames

    def discard(self) -> None:
        """Remove the journal, last, and the rows."""
        _open_files.discard(self)
        self._files.close()
        self._remove()

    def _remove(self) -> None:
        """Remove the files themselves."""
        for name in (self.rows, self.journal):
            with contextlib.suppress(OSError):
                os.unlink(name)

    def __enter__(self) -> ResumableFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Keep the journal of what may go on; not one with nothing in it, or that would fail in the same way again."""
        if not self.done or isinstance(error, DataError | ParameterError):
            self.discard()
        _open_files.discard(self)
        self._files.close()


def companions(path: str) -> tuple[str, str]:
    """Return where the journal and the rows of a feature file lie while it grows: beside it, or what it links to."""
    place = link_target(path)
    return f"{place}.partial", f"{place}.rows"


def interruption_lines() -> list[str]:
    """Return a line about each file that grows; called when the process ends early."""
    lines = []
    for each in list(_open_files):
        if each.done:
            lines.append(f"{each.path}: {each.done} of {each.total} images are done")
        else:
            each.discard()
    return lines


def _read(file: BinaryIO, size: int) -> bytes:
    """Return the next bytes of an unbuffered file, fewer only at its end."""
    parts = []
    while size and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _identity(inputs: Sequence[Input], meta: Mapping[str, Any], label: Labels) -> dict[str, Any]:
    """Return what must be the same for a run to go on from another's journal."""
    names = hashlib.sha256()
    for each in inputs:
        names.update(f"{each.path}\0{label(each)}\0".encode("utf-8", "surrogateescape"))
    codebook = meta.get("parameters", {}).get("codebook")
    return {
        "meta": meta,
        "images": [len(inputs), names.hexdigest()],
        "codebook": _digest(codebook) if codebook and os.path.isfile(codebook) else None,
    }


def _digest(path: str) -> str:
    """Return the SHA-256 of a file."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _difference(journal: str, head: bytes) -> str:
    """Say why a journal does not begin as it should."""
    try:
        with open_regular(journal) as file:
            if file.read(len(MAGIC)) != MAGIC:
                return "is no journal of imgtool"
        own_record = head[len(MAGIC) + RECORD_HEADER.size :]
        theirs, ours = (json.loads(record) for record in (_first_record(journal), own_record))
        kinds = {"images": "was begun with other images", "codebook": "was begun with another codebook"}
        for key, difference in kinds.items():
            if theirs[key] != ours[key]:
                return difference
        if theirs["meta"]["version"] != ours["meta"]["version"]:
            return "was begun by another version of imgtool"
        if theirs["meta"].get("device") != ours["meta"].get("device"):
            return f"was begun on device {theirs['meta']['device']}, not {ours['meta']['device']}"
        if theirs["meta"]["parameters"].get("weights") != ours["meta"]["parameters"].get("weights"):
            return "was begun with other weights of the network"
        return "was begun with other settings"
    except (ValueError, TypeError, LookupError, RecursionError, StopIteration):
        return "is damaged at its beginning"


def _first_record(journal: str) -> bytes:
    """Return what a journal says of itself."""
    record, _ = next(records(journal, len(MAGIC)))
    return record
