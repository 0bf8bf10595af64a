"""Write files: whole or not at all, over an existing one only if asked, through links, with the mode that it had."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from imgtool.batch.places import folder_to_be, is_special, link_target, stream_number
from imgtool.batch.temporaries import sweep, temporary
from imgtool.errors import OutputError

Path = str | os.PathLike[str]


def write_file(path: Path, data: bytes, *, overwrite: bool = False, like: Path | None = None) -> None:
    """Write a file whole or not at all; see `new_file`."""
    with new_file(path, overwrite=overwrite, like=like) as file:
        file.write(data)


@contextmanager
def new_file(path: Path, *, overwrite: bool = False, like: Path | None = None) -> Iterator[BinaryIO]:
    """Hold open a file that appears whole or not at all: under a temporary name, flushed to the disk, then renamed.

    An open stream such as /dev/stdout, and what is no regular file, such as /dev/null or a named pipe, is written to as
    it is. A file that is overwritten keeps its mode, and its owner where that is allowed, and links to it stay; like:
    another file whose mode and owner it is to have. Raises OutputError when the file exists and overwrite is false, or
    when it cannot be written.
    """
    path = os.fspath(path)
    with output_errors(path):
        if is_special(path):
            content = io.BytesIO()
            yield content
            _write_to_stream(path, content.getbuffer())
            return
        target = link_target(path) if overwrite else path
        folder = make_folder(target)
        sweep(folder)
        with temporary(folder) as (name, file):
            if overwrite:
                keep_mode(like or target, file)
            yield file
            _put_in_place(name, target, file, overwrite=overwrite)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError, before any work is done, when a file is there and may not be overwritten, or is a folder."""
    path = os.fspath(path)
    if os.path.isdir(path):
        raise OutputError(f"{path}: is a folder")
    if os.path.lexists(path) and not overwrite and not is_special(path):
        raise OutputError("exists", hint="exists").within(path)


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError, before long work, as `check_free` does, and where no file could be made in the folder."""
    check_free(path, overwrite=overwrite)
    path = os.fspath(path)
    if not is_special(path):
        with output_errors(path):
            folder = folder_to_be(pathlib.Path(os.path.dirname(link_target(path)) or "."))
            with folder_of_its_own(folder, keep=False):
                sweep(str(folder))
                with temporary(str(folder)):
                    pass


def make_folder(path: str) -> str:
    """Return the folder of a file; create it if necessary. Raises OutputError or OSError."""
    folder = os.path.dirname(path) or "."
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{path}: cannot be written: {folder} is no folder")
    os.makedirs(folder, exist_ok=True)
    return folder


@contextmanager
def folder_of_its_own(folder: Path, *, keep: bool = True) -> Iterator[None]:
    """Create a folder and those above it; where that or what follows fails, remove those that it made, if empty.

    keep: false to remove them in any case.
    """
    path, made = os.path.abspath(folder), list[str]()
    while not os.path.lexists(path):
        made.append(path)
        path = os.path.dirname(path)
    try:
        os.makedirs(folder, exist_ok=True)
        yield
    except BaseException:
        keep = False
        raise
    finally:
        for path in [] if keep else made:
            with contextlib.suppress(OSError):
                os.rmdir(path)


@contextmanager
def put_in_place(temporary: str, path: str, file: BinaryIO, *, overwrite: bool) -> Iterator[None]:
    """Give an open file, once it is finished, its name: flushed to the disk, renamed or linked.

    Raises OutputError when the name is taken and overwrite is false, or when it cannot be written.
    """
    with output_errors(path):
        yield
        target = link_target(path) if overwrite else path
        if overwrite:
            keep_mode(target, file)
        _put_in_place(temporary, target, file, overwrite=overwrite)


def _put_in_place(temporary: str, path: str, file: BinaryIO, *, overwrite: bool) -> None:
    """Flush a file to the disk and rename it; it stays open, and so locked, where the system allows that."""
    file.flush()
    os.fsync(file.fileno())
    if os.name == "nt":
        file.close()
    _rename(temporary, path, overwrite=overwrite)


@contextmanager
def output_errors(path: str) -> Iterator[None]:
    """Raise OutputError for what the system says of a file, but for a closed pipe."""
    try:
        yield
    except FileExistsError:
        raise OutputError("exists", hint="exists").within(path) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {(error.strerror or str(error)).lower()}") from None


def keep_mode(path: Path, file: BinaryIO) -> None:
    """Give an open file the mode, and where allowed the owner, of another one, if that is there."""
    try:
        there, here = os.stat(path), os.fstat(file.fileno())
    except OSError:
        return
    if not stat.S_ISREG(there.st_mode) or not hasattr(os, "fchown"):
        return
    if (there.st_uid, there.st_gid) != (here.st_uid, here.st_gid):
        for owner in (there.st_uid, -1):  # -1: only the group
            with contextlib.suppress(OSError):
                os.fchown(file.fileno(), owner, there.st_gid)
                break
    with contextlib.suppress(OSError):
        os.fchmod(file.fileno(), stat.S_IMODE(there.st_mode))


def _write_to_stream(path: str, data: memoryview) -> None:
    """Write to an open stream or a device."""
    number = stream_number(path)
    if number is None:
        with open(path, "wb") as device:
            device.write(data)
        return
    with os.fdopen(os.dup(_descriptor(number)), "wb") as file:
        file.write(data)


def _descriptor(number: int) -> int:
    """Return the descriptor of an open stream, with what Python wrote to it before on its way."""
    if (stream := {1: sys.stdout, 2: sys.stderr}.get(number)) is None:
        return number
    stream.flush()
    try:
        return stream.fileno()  # that of standard error is not always 2, where libraries write
    except (OSError, ValueError):  # a stream in memory
        return number


def _rename(temporary: str, path: str, *, overwrite: bool) -> None:
    """Give the finished file its name; without overwrite, only if no one took that name meanwhile."""
    if overwrite:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)  # unlike rename, it fails when the name is taken
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        os.replace(temporary, path)
