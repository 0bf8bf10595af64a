"""Write results: complete files or none, never over an input, and over an existing file only if asked."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import platform
import re
import stat
import sys
import threading
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, TypeVar

from imgtool.batch.inputs import STANDARD_INPUT, Input
from imgtool.errors import OutputError, ParameterError

Made = TypeVar("Made")

STANDARD_OUTPUT = "-"
MAX_NAME_BYTES = 255  # bytes
TEMPLATE_FIELDS = ("stem", "name", "ext", "parent", "index")

# Temporary names carry machine and process, so that only those of dead processes of this machine are swept.
_MACHINE = f"{zlib.crc32(platform.node().encode()):08x}"
_TEMPORARY = re.compile(rf"\.imgtool-{_MACHINE}-(\d+)-[0-9a-f]{{8}}\.tmp")
_own_temporaries: set[str] = set()
_making_temporaries = threading.Lock()
_swept: set[str] = set()


def write_file(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = False) -> None:
    """Write a file whole or not at all; see `new_file`."""
    with new_file(path, overwrite=overwrite) as file:
        file.write(data)


@contextmanager
def new_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Hold open a file that appears whole or not at all: under a temporary name, flushed to the disk, then renamed.

    What is no regular file, such as /dev/null or a named pipe, is written to as it is. Raises OutputError when the file
    exists and overwrite is false, or when it cannot be written.
    """
    path = os.fspath(path)
    with _output_errors(path):
        if is_special(path):
            content = io.BytesIO()
            yield content
            with open(path, "wb") as device:
                device.write(content.getbuffer())
            return
        folder = make_folder(path)
        sweep(folder)
        with _temporary(folder) as (temporary, file), put_in_place(temporary, path, file, overwrite=overwrite):
            yield file


def make_folder(path: str) -> str:
    """Return the folder of a file; create it if necessary. Raises OutputError or OSError."""
    folder = os.path.dirname(path) or "."
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{path}: cannot be written: {folder} is no folder")
    os.makedirs(folder, exist_ok=True)
    return folder


@contextmanager
def put_in_place(temporary: str, path: str, file: BinaryIO, *, overwrite: bool) -> Iterator[None]:
    """Give an open file, once it is finished, its name: flushed to the disk, closed, renamed or linked.

    Raises OutputError when the name is taken and overwrite is false, or when it cannot be written.
    """
    with _output_errors(path):
        yield
        file.flush()
        os.fsync(file.fileno())
        file.close()
        _rename(temporary, path, overwrite=overwrite)


@contextmanager
def _output_errors(path: str) -> Iterator[None]:
    """Raise OutputError for what the system says of a file."""
    try:
        yield
    except FileExistsError:
        raise OutputError("exists", hint="exists").within(path) from None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {(error.strerror or str(error)).lower()}") from None


def is_special(path: str) -> bool:
    """Tell whether a path leads to a device, a pipe or the like."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def _temporary(folder: str) -> Iterator[tuple[str, BinaryIO]]:
    """Hold open a file with a temporary name, which is gone at the end."""
    path = temporary_path(folder)
    with remove_at_end(path, lambda: open(path, "x+b")) as file, file:
        yield path, file


def temporary_path(folder: str) -> str:
    """Return a new name in a folder, which carries machine and process so that `sweep` knows it."""
    return os.path.join(folder, f".imgtool-{_MACHINE}-{os.getpid()}-{os.urandom(4).hex()}.tmp")


@contextmanager
def remove_at_end(path: str, make: Callable[[], Made]) -> Iterator[Made]:
    """Make a temporary file or folder, which is gone at the end unless it was renamed, also when Ctrl-C is the end."""
    with _making_temporaries:
        made = make()
        _own_temporaries.add(path)
    try:
        yield made
    finally:
        _remove(path)
        _own_temporaries.discard(path)


def _remove(path: str) -> None:
    """Remove a file or folder, if it is there."""
    with contextlib.suppress(OSError):
        if os.path.isdir(path):
            import shutil

            shutil.rmtree(path)
        else:
            os.unlink(path)


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


def sweep(folder: str) -> None:
    """Remove the temporary files that dead processes of this machine left in a folder; once a run and folder."""
    if folder in _swept:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError):  # a folder that is not there or not ours; a file that another process swept
        for name in os.listdir(folder):
            left = _TEMPORARY.fullmatch(name)
            if left and int(left[1]) != os.getpid() and not _is_alive(int(left[1])):
                os.unlink(os.path.join(folder, name))


def _is_alive(process: int) -> bool:
    """Tell whether a process of this machine still runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remove_own_temporaries() -> None:
    """Remove this process's unfinished files, and start no new ones; called when it ends."""
    _making_temporaries.acquire(timeout=0.5)
    for path in list(_own_temporaries):
        _remove(path)


def without_results(inputs: Sequence[Input], spec: str | None) -> Sequence[Input]:
    """Leave out what an earlier run put into the output folder, where that lies in a folder of inputs."""
    if spec is None or not os.path.isdir(spec):
        return inputs
    outside = functools.cache(lambda root: not _lies_in(spec, root))
    return [each for each in inputs if each.root is None or outside(each.root) or not _lies_in(each.path, spec)]


def _lies_in(path: str, folder: str) -> bool:
    """Tell whether a path lies below a folder."""
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ""))


class Destination:
    """The place for each input's result.

    spec: what `-o` was given (a file, a template, a folder, `-`) or None; what: the operation's name, for names
    made up on a terminal; suffix: of a file whose name is made up.
    """

    def __init__(self, spec: str | None, inputs: Sequence[Input], *, what: str, suffix: str, force: bool = False):
        self.force = force
        self._paths = _destinations(spec, inputs, what=what, suffix=suffix)
        if self.is_stream and len(inputs) > 1:
            raise ParameterError("several images do not fit on standard output", hint="several")
        _refuse_collisions(self._paths, inputs)
        for path in self._paths:
            if path != STANDARD_OUTPUT:
                sweep(os.path.dirname(path) or ".")

    @property
    def is_stream(self) -> bool:
        """True when the result goes to standard output."""
        return self._paths[:1] == [STANDARD_OUTPUT]

    def path(self, index: int) -> str:
        """Return where the result of the input with this index goes."""
        return self._paths[index]

    def exists(self, index: int) -> bool:
        """Tell whether that file is there already."""
        path = self._paths[index]
        return not self.is_stream and os.path.lexists(path) and not is_special(path)

    def check(self, index: int) -> None:
        """Raise OutputError, before any work is done, when the file is there and may not be overwritten."""
        if self.exists(index) and not self.force:
            raise OutputError("exists", hint="exists").within(self._paths[index])

    def write(self, index: int, data: bytes) -> None:
        """Write one result."""
        if self.is_stream:
            _write_standard_output(data)
        else:
            write_file(self._paths[index], data, overwrite=self.force)

    def new_file(self, index: int) -> AbstractContextManager[BinaryIO]:
        """Hold open the file of one result, to be written piece by piece; not for standard output."""
        return new_file(self._paths[index], overwrite=self.force)


def _write_standard_output(data: bytes) -> None:
    """Write to standard output. Raises BrokenPipeError, or OutputError where it is closed or full."""
    if sys.stdout is None:
        raise OutputError("is closed").within("standard output")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = "is closed" if error.errno == errno.EBADF else (error.strerror or str(error)).lower()
        raise OutputError(reason).within("standard output") from None


def _destinations(spec: str | None, inputs: Sequence[Input], *, what: str, suffix: str) -> list[str]:
    """Return one path (or `-`) for each input, following the rules of `-o`."""
    if spec is None:
        if not sys.stdout.isatty():
            return [STANDARD_OUTPUT] * len(inputs)
        return [_name_for(each.stem, f".{what}{suffix}") for each in inputs]
    if spec == STANDARD_OUTPUT:
        return [STANDARD_OUTPUT] * len(inputs)
    if "{" in spec:
        return [_fill(spec, each, index) for index, each in enumerate(inputs)]
    if spec.endswith(("/", os.sep)) or os.path.isdir(spec) or len(inputs) > 1:
        if os.path.lexists(spec) and not os.path.isdir(spec):
            text = f"output {spec}: several images need a folder, and this is a file"
            raise ParameterError(text, parameters=("output",))
        return [os.path.join(spec, os.path.splitext(each.relative)[0] + suffix) for each in inputs]
    return [spec]


def _name_for(stem: str, ending: str) -> str:
    """Return a name for a result, the stem cut where the name would be longer than file systems allow."""
    room = MAX_NAME_BYTES - len(os.fsencode(ending))
    if len(os.fsencode(stem)) > room:
        stem = os.fsencode(stem)[:room].decode(errors="ignore")
    return stem + ending


def _fill(template: str, source: Input, index: int) -> str:
    """Fill in a template such as `out/{stem}.png`."""
    import string

    try:
        fields = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise _template_error(template, error) from None
    if unknown := fields - set(TEMPLATE_FIELDS):
        known = ", ".join(f"{{{field}}}" for field in TEMPLATE_FIELDS)
        raise _template_error(template, f"no field {{{min(unknown)}}}; there are {known}")
    parent, name = os.path.split("stdin" if source.path == STANDARD_INPUT else source.path)
    values = {
        "stem": source.stem,
        "name": name,
        "ext": os.path.splitext(name)[1].removeprefix("."),
        "parent": parent or ".",
        "index": index,
    }
    try:
        return template.format(**values)
    except (ValueError, IndexError) as error:
        raise _template_error(template, error) from None


def _template_error(template: str, reason: object) -> ParameterError:
    """Return the error for a template that cannot be filled in."""
    return ParameterError(f"output {template}: {reason}", parameters=("output",))


def _refuse_collisions(paths: Sequence[str], inputs: Sequence[Input]) -> None:
    """Refuse outputs that are one of the inputs, or that two inputs share."""
    sources = {identity(0 if each.path == STANDARD_INPUT else each.path) for each in inputs}
    seen: dict[object, str] = {}
    for path, source in zip(paths, inputs, strict=False):
        if path == STANDARD_OUTPUT:
            continue
        key = identity(path)
        if key in sources:
            raise ParameterError(f"{path}: is an input; imgtool does not overwrite what it reads")
        if key in seen:
            raise ParameterError(f"{path}: would hold the result of both {seen[key]} and {source.path}")
        seen[key] = source.path


def identity(path: str | int) -> object:
    """Return what two names of one file have in common: the inode if it exists, else its real path.

    path: also an open file's number.
    """
    try:
        status = os.stat(path)
        return (status.st_dev, status.st_ino)
    except OSError:
        if isinstance(path, int):
            return path
    except ValueError:  # a zero byte, which no file's name has
        return path
    real = os.path.realpath(path)
    return unicodedata.normalize("NFC", real.casefold()) if _ignores_case(os.path.dirname(real)) else real


def _ignores_case(folder: str) -> bool:
    """Tell whether a file system takes names that differ in case for one: that of a folder, which may yet be made."""
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    parent, name = os.path.split(folder)
    try:
        return name != name.swapcase() and os.path.samefile(folder, os.path.join(parent, name.swapcase()))
    except OSError:
        return False
