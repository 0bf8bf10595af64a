"""Where the result of each image goes: a file, a folder, a template or standard output, as `-o` says."""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import BinaryIO

from imgtool.batch.conflicts import STANDARD_OUTPUT, refuse_inputs
from imgtool.batch.inputs import STANDARD_INPUT, Input
from imgtool.batch.outputs import check_free, new_file, write_file
from imgtool.batch.places import identity, is_special, lies_in
from imgtool.batch.temporaries import sweep
from imgtool.errors import OutputError, ParameterError

MAX_NAME_BYTES = 255  # bytes
TEMPLATE_FIELDS = ("stem", "name", "ext", "parent", "dir", "index")


def without_results(inputs: Sequence[Input], spec: str | None) -> Sequence[Input]:
    """Leave out what an earlier run put into the output folder, where that lies in a folder of inputs."""
    if spec is None or not os.path.isdir(spec):
        return inputs
    above = functools.cache(lambda root: lies_in(spec, root))
    within = functools.cache(lambda folder: os.path.realpath(folder) == os.path.realpath(spec) or lies_in(folder, spec))
    return [
        each for each in inputs if not (each.root and above(each.root) and within(os.path.dirname(each.path) or "."))
    ]


class Destination:
    """The place for each input's result.

    spec: what `-o` was given (a file, a template, a folder, `-`) or None; what: the operation's name, for names
    made up on a terminal; suffix: of a file whose name is made up; reads: files that are read beside the inputs;
    parameter: that was given the spec, for messages.
    Raises ParameterError for results that are one of these, or one another.
    """

    def __init__(
        self,
        spec: str | None,
        inputs: Sequence[Input],
        *,
        what: str,
        suffix: str,
        force: bool = False,
        reads: Iterable[str] = (),
        parameter: str = "output",
    ) -> None:
        self.force = force
        self._paths = _destinations(spec, inputs, what=what, suffix=suffix, parameter=parameter)
        if self.is_stream and len(inputs) > 1:
            raise ParameterError("several images do not fit on standard output", hint="several")
        _refuse_collisions(self._paths, inputs)
        refuse_inputs(self._paths, chain((each.path for each in inputs), reads))
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

    def has_no_suffix(self, index: int) -> bool:
        """Tell whether a result goes to a stream or device whose name says no format."""
        path = self._paths[index]
        return self.is_stream or (not os.path.splitext(path)[1] and is_special(path))

    def exists(self, index: int) -> bool:
        """Tell whether that file is there already."""
        path = self._paths[index]
        return not self.is_stream and os.path.lexists(path) and not is_special(path)

    def check(self, index: int) -> None:
        """Raise OutputError, before any work is done, when the file is there and may not be overwritten."""
        if not self.is_stream:
            check_free(self._paths[index], overwrite=self.force)

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


def _destinations(spec: str | None, inputs: Sequence[Input], *, what: str, suffix: str, parameter: str) -> list[str]:
    """Return one path (or `-`) for each input, following the rules of `-o`."""
    if spec is None:
        if not sys.stdout.isatty():
            return [STANDARD_OUTPUT] * len(inputs)
        return [fitting_name(each.stem, f".{what}{suffix}") for each in inputs]
    if spec == STANDARD_OUTPUT:
        return [STANDARD_OUTPUT] * len(inputs)
    if "{" in spec:
        return [_fill(spec, each, index, parameter) for index, each in enumerate(inputs)]
    if spec.endswith(("/", os.sep)) or os.path.isdir(spec) or len(inputs) > 1:
        if os.path.lexists(spec.rstrip("/" + os.sep)) and not os.path.isdir(spec):
            raise _spec_error(parameter, spec, "several images need a folder, and this is a file")
        return [os.path.join(spec, os.path.splitext(each.relative)[0] + suffix) for each in inputs]
    return [spec]


def fitting_name(stem: str, ending: str) -> str:
    """Return a name, its stem cut where it would be longer than file systems allow."""
    room = MAX_NAME_BYTES - len(os.fsencode(ending))
    if len(os.fsencode(stem)) > room:
        stem = os.fsencode(stem)[:room].decode(errors="ignore")
    return stem + ending


def _fill(template: str, source: Input, index: int, parameter: str) -> str:
    """Fill in a template such as `out/{stem}.png`."""
    import string

    try:
        fields = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise _spec_error(parameter, template, error) from None
    if unknown := fields - set(TEMPLATE_FIELDS):
        known = ", ".join(f"{{{field}}}" for field in TEMPLATE_FIELDS)
        raise _spec_error(parameter, template, f"no field {{{min(unknown)}}}; there are {known}")
    folder, name = os.path.split("stdin" if source.path == STANDARD_INPUT else source.path)
    values = {
        "stem": source.stem,
        "name": name,
        "ext": os.path.splitext(name)[1].removeprefix("."),
        "parent": os.path.basename(os.path.abspath(folder)) or ".",
        "dir": folder or ".",
        "index": index,
    }
    try:
        return template.format(**values)
    except (ValueError, IndexError) as error:
        raise _spec_error(parameter, template, error) from None


def _spec_error(parameter: str, spec: str, reason: object) -> ParameterError:
    """Return the error for a place that cannot be."""
    return ParameterError(f"{parameter} {spec}: {reason}", parameters=(parameter,))


def _refuse_collisions(paths: Sequence[str], inputs: Sequence[Input]) -> None:
    """Refuse outputs that two inputs share."""
    seen: dict[object, str] = {}
    for path, source in zip(paths, inputs, strict=False):
        if path == STANDARD_OUTPUT:
            continue
        key = identity(path)
        if key in seen:
            raise ParameterError(f"{path}: would hold the result of both {seen[key]} and {source.path}")
        seen[key] = source.path
