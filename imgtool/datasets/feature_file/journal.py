"""A journal: records one after the other, each with its length and checksum, so that what was cut off is found.

It is on its way to the disk with each record, so a process that is killed loses none; one process at a time writes it.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from imgtool.batch.outputs import make_folder, output_errors
from imgtool.batch.temporaries import lock
from imgtool.errors import OutputError

MAGIC = b"imgtool journal 2\n"
RECORD_HEADER = struct.Struct("<QI")  # length and CRC-32 of what follows


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
    return RECORD_HEADER.pack(len(record), zlib.crc32(record)) + record


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
    with open(path, "rb") as file:
        file.seek(start)
        end, size = start, os.fstat(file.fileno()).st_size
        while len(frame := file.read(RECORD_HEADER.size)) == RECORD_HEADER.size:
            length, checksum = RECORD_HEADER.unpack(frame)
            if length > size - end - RECORD_HEADER.size or zlib.crc32(record := file.read(length)) != checksum:
                return
            end += RECORD_HEADER.size + length
            yield record, end
