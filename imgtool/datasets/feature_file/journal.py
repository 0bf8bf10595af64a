"""A journal: records one after the other, each with its length and SHA-256, so that what was cut or changed is found.

It is on its way to the disk with each record, so a process that is killed loses none; one process at a time writes it.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from imgtool.batch.outputs import make_folder, output_errors
from imgtool.batch.temporaries import lock
from imgtool.errors import OutputError
from imgtool.files import open_regular

MAGIC = b"imgtool journal 3\n"
RECORD_HEADER = struct.Struct("<Q32s")  # length and SHA-256 of what follows


def open_journal(path: str) -> BinaryIO:
    """Open a journal, which may be there, for reading and writing; raises OutputError while another process has it."""
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)):
        raise OutputError(f"{path}: is no regular file")
    with output_errors(path):
        make_folder(path)
        number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    file = os.fdopen(number, "r+b", buffering=0)
    if lock(file) is False:
        file.close()
        raise OutputError(f"{path}: another imgtool is writing it")
    return file


def journal_record(record: bytes) -> bytes:
    """Return a record as it stands in a journal."""
    return RECORD_HEADER.pack(len(record), hashlib.sha256(record).digest()) + record


def truncate_file(file: BinaryIO, end: int) -> None:
    """Throw away what a file holds from a place on, and go on writing there."""
    file.truncate(end)
    file.seek(end)


def append(file: BinaryIO, data: bytes | memoryview) -> None:
    """Write all the bytes; an unbuffered file may take them in parts."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def records(path: str, start: int) -> Iterator[tuple[bytes, int]]:
    """Yield whole records from a place in the file on, each with the place where it ends, up to the first bad one."""
    with open_regular(path) as file:
        file.seek(start)
        end, size = start, os.fstat(file.fileno()).st_size
        while len(frame := file.read(RECORD_HEADER.size)) == RECORD_HEADER.size:
            length, digest = RECORD_HEADER.unpack(frame)
            if length > size - end - RECORD_HEADER.size:
                return
            if hashlib.sha256(record := file.read(length)).digest() != digest:
                return
            end += RECORD_HEADER.size + length
            yield record, end
