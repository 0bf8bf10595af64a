"""Where results go: whole files or none, never over an input, never over anything by accident."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import string
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO

from imgtool.batch.inputs import STANDARD_INPUT, Input
from imgtool.errors import OutputError, ParameterError

STANDARD_OUTPUT = "-"
TEMPLATE_FIELDS = ("stem", "name", "ext", "parent", "index")

# Temporary names carry machine and process, so that only those of dead processes of this machine are swept.
_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_TEMPORARY = re.compile(rf"\.imgtool-{_MACHINE}-(\d+)-[0-9a-f]{{8}}\.tmp")
_own_temporaries: set[str] = set()
_swept: set[str] = set()


def write_file(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = False) -> None:
    """Write a file whole or not at all; see `new_file`."""
    with new_file(path, overwrite=overwrite) as file:
        file.write(data)


@contextmanager
def new_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Hold open a file that appears whole or not at all: under a temporary name, flushed to the disk, then renamed.

    Raises OutputError when it exists and overwrite is false, or when it cannot be written.
    """
    path = os.fspath(path)
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, exist_ok=True)
        sweep(folder)
        temporary = os.path.join(folder, f".imgtool-{_MACHINE}-{os.getpid()}-{secrets.token_hex(4)}.tmp")
        _own_temporaries.add(temporary)
        try:
            with open(temporary, "x+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _put_in_place(temporary, path, overwrite=overwrite)
        finally:
            if os.path.lexists(temporary):
                os.unlink(temporary)
            _own_temporaries.discard(temporary)
    except FileExistsError:
        raise OutputError(f"{path}: exists; --force overwrites it") from None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {(error.strerror or str(error)).lower()}") from None


def _put_in_place(temporary: str, path: str, *, overwrite: bool) -> None:
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
    with os.scandir(folder) as entries:
        left = [(entry.path, int(found[1])) for entry in entries if (found := _TEMPORARY.fullmatch(entry.name))]
    for path, process in left:
        if process != os.getpid() and not _is_alive(process):
            os.unlink(path)


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
    """Remove what this process has half written; called when it ends early."""
    for path in list(_own_temporaries):
        if os.path.lexists(path):
            os.unlink(path)


class Destination:
    """The place for each input's result.

    spec: what `-o` was given (a file, a template, a folder, `-`) or None; what: the operation's name, for names
    made up on a terminal; suffix: of a file whose name is made up.
    """

    def __init__(self, spec: str | None, inputs: Sequence[Input], *, what: str, suffix: str, force: bool = False):
        self.force = force
        self._paths = _destinations(spec, inputs, what=what, suffix=suffix)
        if self.is_stream and len(inputs) > 1:
            raise ParameterError("several images do not fit on standard output; name a folder or template with -o")
        _refuse_collisions(self._paths, inputs)

    @property
    def is_stream(self) -> bool:
        """True when the result goes to standard output."""
        return self._paths[:1] == [STANDARD_OUTPUT]

    def path(self, index: int) -> str:
        """Return where the result of the input with this index goes."""
        return self._paths[index]

    def exists(self, index: int) -> bool:
        """Tell whether that file is there already."""
        return not self.is_stream and os.path.lexists(self._paths[index])

    def check(self, index: int) -> None:
        """Raise OutputError, before any work is done, when the file is there and may not be overwritten."""
        if self.exists(index) and not self.force:
            raise OutputError(f"{self._paths[index]}: exists; --force overwrites it")

    def write(self, index: int, data: bytes) -> None:
        """Write one result."""
        if self.is_stream:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            write_file(self._paths[index], data, overwrite=self.force)

    def new_file(self, index: int) -> AbstractContextManager[BinaryIO]:
        """Hold open the file of one result, to be written piece by piece; not for standard output."""
        return new_file(self._paths[index], overwrite=self.force)


def _destinations(spec: str | None, inputs: Sequence[Input], *, what: str, suffix: str) -> list[str]:
    """Return one path (or `-`) for each input, following the rules of `-o`."""
    if spec is None:
        if not sys.stdout.isatty():
            return [STANDARD_OUTPUT] * len(inputs)
        return [f"{each.stem}.{what}{suffix}" for each in inputs]
    if spec == STANDARD_OUTPUT:
        return [STANDARD_OUTPUT] * len(inputs)
    if "{" in spec:
        return [_fill(spec, each, index) for index, each in enumerate(inputs)]
    if spec.endswith(("/", os.sep)) or os.path.isdir(spec) or len(inputs) > 1:
        if os.path.lexists(spec) and not os.path.isdir(spec):
            raise ParameterError(f"-o {spec}: several images need a folder, and this is a file")
        return [str(Path(spec) / each.relative.with_suffix(suffix)) for each in inputs]
    return [spec]


def _fill(template: str, source: Input, index: int) -> str:
    """Fill in a template such as `out/{stem}.png`."""
    try:
        fields = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise ParameterError(f"-o {template}: {error}") from None
    if unknown := fields - set(TEMPLATE_FIELDS):
        known = ", ".join(f"{{{field}}}" for field in TEMPLATE_FIELDS)
        raise ParameterError(f"-o {template}: no field {{{min(unknown)}}}; there are {known}")
    path = PurePath(source.path)
    values = {
        "stem": source.stem,
        "name": source.stem if source.path == STANDARD_INPUT else path.name,
        "ext": path.suffix.removeprefix("."),
        "parent": "." if source.path == STANDARD_INPUT else str(path.parent),
        "index": index,
    }
    try:
        return template.format(**values)
    except (ValueError, IndexError) as error:
        raise ParameterError(f"-o {template}: {error}") from None


def _refuse_collisions(paths: Sequence[str], inputs: Sequence[Input]) -> None:
    """Refuse outputs that are one of the inputs, or that two inputs share."""
    sources = {identity(each.path): each.path for each in inputs if each.path != STANDARD_INPUT}
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


def identity(path: str) -> object:
    """Return what two names of one file have in common: the inode if it exists, else its real path."""
    try:
        status = os.stat(path)
        return (status.st_dev, status.st_ino)
    except OSError:
        return os.path.realpath(path)
