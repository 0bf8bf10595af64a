"""What every command that works on images shares: reading many, going on after a bad one, writing the results.

`Images` is what the arguments named; `each_image` applies a function to each; `Pictures` writes results that are
images, `Rows` those that are rows.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from imgtool.batch.inputs import STANDARD_INPUT, Input
from imgtool.batch.outputs import Destination, without_results
from imgtool.batch.pool import ordered_map
from imgtool.cli.messages import complain, printable
from imgtool.cli.progress import tracked
from imgtool.cli.tables import Row, emit, json_line, write_rows
from imgtool.errors import ImageError, ImgtoolError, ParameterError

if TYPE_CHECKING:
    import numpy as np

    from imgtool.batch.isolated import IsolatedReader
    from imgtool.cli.strips import Made, Target
    from imgtool.image.codecs.header import Header
    from imgtool.image.pixels import Pixels
    from imgtool.image.strips import RowFile

Value = TypeVar("Value")
Other = TypeVar("Other")


@dataclass
class Images:
    """The images that a command line named, and how to go through them.

    isolated: the reader that decodes in other processes, None to decode in this one.
    """

    inputs: Sequence[Input]
    max_pixels: int
    allow_truncated: bool
    jobs: int
    quiet: bool
    verbose: bool
    threads: int = 1  # of one image
    isolated: IsolatedReader | None = None
    failed: int = 0

    def read(self, source: Input) -> np.ndarray:
        """Return one image as an array, as it is displayed."""
        return self.decode(source, source.read_bytes())

    def decode(self, source: Input, data: bytes) -> np.ndarray:
        """Return the array that an image's bytes hold; say so when --allow-truncated had to help."""
        image, damaged = decoded(data, self._reader(), self.max_pixels, allow_truncated=self.allow_truncated)
        if damaged:
            self.remark_damage(source)
        return image

    def remark_damage(self, source: Input) -> None:
        """Say that an image was read as far as it goes."""
        complain(f"{source.path}: is cut or damaged; what is missing is left blank")

    def _reader(self) -> Callable[..., np.ndarray]:
        """Return the function that decodes."""
        from imgtool.image import read

        return self.isolated.read if self.isolated else read

    def header(self, data: bytes) -> Header:
        """Return what an image's bytes say of it before its pixels are decoded."""
        from imgtool.image import probe

        return self.isolated.probe(data) if self.isolated else probe(data)

    def close(self) -> None:
        """End what was started to read the images."""
        if self.isolated:
            self.isolated.close()

    @contextmanager
    def rows(self, source: Input) -> Iterator[RowFile | None]:
        """Hold open a large file that is sliced by rows; None when it has to be read as a whole."""
        from imgtool.filters.strip_filter import LARGE_PIXELS
        from imgtool.image.strips import open_rows

        known = source.path != STANDARD_INPUT and not self.isolated and os.path.isfile(source.path)
        large = known and os.path.getsize(source.path) >= LARGE_PIXELS
        file = open_rows(source.path, max_pixels=self.max_pixels) if large else None
        with file or nullcontext():
            yield file

    def report(self, source: Input, error: Exception) -> None:
        """Say in one line that an image failed; the exit status will be 1."""
        self.failed += 1
        name = "standard input" if source.path == STANDARD_INPUT else source.path
        complain(f"{name}: {reason(error)}")


def decoded(
    data: bytes, read: Callable[..., np.ndarray], max_pixels: int, *, allow_truncated: bool
) -> tuple[np.ndarray, bool]:
    """Return the array that an image's bytes hold, and whether some of it is missing."""
    try:
        return read(data, max_pixels=max_pixels), False
    except ImageError:
        if not allow_truncated:
            raise
    return read(data, max_pixels=max_pixels, allow_truncated=True), True


def reason(error: Exception) -> str:
    """Return why an image failed, without its name."""
    text = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    return text or type(error).__name__


@dataclass(frozen=True)
class Outcome(Generic[Value]):
    """What became of one input: a value or an error."""

    index: int
    source: Input
    value: Value | None = None
    error: Exception | None = None

    def map(self, function: Callable[[Value], Other]) -> Outcome[Other]:
        """Return the outcome with a function of its value, if there is one."""
        value = None if self.value is None else function(self.value)
        return Outcome(self.index, self.source, value, self.error)


def each_input(images: Images, function: Callable[[int, Input], Value], *, first: int = 0) -> Iterator[Outcome[Value]]:
    """Apply a function of (index, input) to every input, in order, several at once; yield what became of each.

    first: the index to begin with; those before are done.

    An input that fails is reported and goes on as an outcome with its error. A parameter that fits no image, and a
    reader of standard output that is gone, end the command.
    """

    def made(index: int) -> Outcome[Value]:
        return attempt(function, index, images.inputs[index])

    jobs = min(images.jobs, len(images.inputs))
    if jobs > 1:
        from imgtool.batch.memory import keep_freed_memory

        keep_freed_memory()
    return reported(images, ordered_map(made, range(first, len(images.inputs)), jobs), first=first)


def attempt(function: Callable[[int, Input], Value], index: int, source: Input) -> Outcome[Value]:
    """Apply a function to one input. Raises only what ends the command."""
    try:
        return Outcome(index, source, value=function(index, source))
    except (ParameterError, BrokenPipeError):
        raise
    except MemoryError:
        return Outcome(index, source, error=ImgtoolError("needs more memory than there is"))
    except (ImgtoolError, OSError) as error:
        return Outcome(index, source, error=error)


def reported(images: Images, outcomes: Iterator[Outcome[Value]], *, first: int = 0) -> Iterator[Outcome[Value]]:
    """Yield what became of the inputs from the first on, drawing progress and saying which failed."""
    for outcome in tracked(outcomes, len(images.inputs), quiet=images.quiet, done=first):
        if outcome.error is not None:
            images.report(outcome.source, outcome.error)
        elif images.verbose:
            complain(f"{outcome.source.path}: done")
        yield outcome


def each_image(images: Images, function: Callable[[np.ndarray], Value]) -> Iterator[Outcome[Value]]:
    """Apply a function of an image array to every image; see `each_input`."""
    return each_input(images, lambda _, source: function(images.read(source)))


class Rows(NamedTuple):
    """Where rows go, and in which form."""

    format: str | None

    def write(self, outcomes: Iterator[Outcome[Row]], columns: Sequence[str]) -> None:
        """Print a row for each outcome, `path` first; a failed one as `path`, `error` (in JSON Lines)."""
        write_rows(map(self._row, outcomes), format=self.format, columns=("path", *columns))

    def write_many(self, outcomes: Iterator[Outcome[list[Row]]], columns: Sequence[str]) -> None:
        """Print several rows for each outcome."""

        def single() -> Iterator[Outcome[Row]]:
            for each in outcomes:
                if each.value is None:
                    yield Outcome(each.index, each.source, error=each.error)
                for row in each.value or ():
                    yield Outcome(each.index, each.source, row)

        self.write(single(), columns)

    @staticmethod
    def _row(outcome: Outcome[Row]) -> Row:
        path = {"path": outcome.source.path}
        return {**path, "error": printable(str(outcome.error))} if outcome.error else {**path, **(outcome.value or {})}


class Picture(NamedTuple):
    """A result that is an image, with what there is to say of it.

    same_colors: the numbers still mean what the input's profile says, which is kept.
    """

    pixels: np.ndarray
    clipped: int = 0
    not_finite: int = 0
    same_colors: bool = False


@dataclass(frozen=True)
class Pictures:
    """Where images go, and in which format."""

    output: str | None
    to: str | None
    force: bool
    skip_existing: bool
    quality: int | None
    compression: int | None
    json: bool

    def write(
        self,
        images: Images,
        function: Callable[[np.ndarray], Picture | Pixels],
        *,
        what: str,
        raw: bool = False,
        **record: Any,
    ) -> None:
        """Read, compute and write every image; large ones in strips when the function is a StripFilter.

        what: the operation, for names made up on a terminal; raw: the result is numbers, stored as NPY unless
        told otherwise; record: what `--json` says beside paths and sizes.
        """
        images.inputs = without_results(images.inputs, self.output)
        suffix = f".{self.to}" if self.to else ".npy" if raw else ".png"
        destination = Destination(self.output, images.inputs, what=what, suffix=suffix, force=self.force)
        if self.json and destination.is_stream:
            raise ParameterError("--json goes with -o FILE: standard output carries the image itself")
        make = functools.partial(self._make, images, function, destination, suffix)
        clipped, not_finite = [], []
        for outcome in each_input(images, make):
            if outcome.value is None:
                continue
            made = outcome.value
            clipped.append(made.clipped)
            not_finite.append(made.not_finite)
            self._tell(outcome, destination, size=list(made.shape), clipped=made.clipped, record=record)
        if not images.quiet:
            _remark(clipped, "were clipped; --range stretch or --depth float keeps them")
            _remark(not_finite, "are NaN or infinite: shown black or white, --range stretch leaves them out of account")

    def _make(
        self,
        images: Images,
        function: Callable[[np.ndarray], Picture | Pixels],
        destination: Destination,
        suffix: str,
        index: int,
        source: Input,
    ) -> Made | None:
        """Make one result; None when it is there already and --skip-existing says to leave it."""
        from imgtool.cli.strips import Made, filter_in_strips
        from imgtool.filters.strip_filter import StripFilter
        from imgtool.image import profile
        from imgtool.image.write import encode, format_of

        if self.skip_existing and destination.exists(index):
            return None
        destination.check(index)
        name = format_of(f"image{suffix}" if self.to or destination.is_stream else destination.path(index))
        local = function if isinstance(function, StripFilter) else None
        in_strips = functools.partial(
            filter_in_strips,
            opened=functools.partial(self._opened, destination, index, name),
            threads=images.threads,
            quiet=images.quiet or len(images.inputs) > 1,
        )
        if local:
            with images.rows(source) as file:
                if file and local.takes_strips(file):
                    return in_strips(local, file)
        content = source.read_bytes()
        image = images.decode(source, content)
        if local and local.takes_strips(image):
            return in_strips(local, image)
        picture = function(image)
        icc = profile(content) if isinstance(picture, Picture) and picture.same_colors else None
        data = encode(picture.pixels, name, quality=self.quality, compression=self.compression, profile=icc)
        destination.write(index, data)
        return Made(picture.pixels.shape, picture.clipped, picture.not_finite)

    @contextmanager
    def _opened(
        self, destination: Destination, index: int, name: str, shape: tuple[int, ...], dtype: np.dtype
    ) -> Iterator[Target]:
        """Hold open the place for a result that comes in strips: its file, or an array that is encoded at the end."""
        import numpy as np

        from imgtool.image.strips import ROW_FORMATS, NewRows
        from imgtool.image.write import encode, storage_type

        stored = storage_type(name, shape, dtype, self.quality, self.compression)
        if name in ROW_FORMATS and not destination.is_stream:
            with destination.new_file(index) as file:
                yield NewRows(file, name, shape, stored)
        else:
            image = np.empty(shape, dtype)
            yield image
            destination.write(index, encode(image, name, quality=self.quality, compression=self.compression))

    def _tell(
        self, outcome: Outcome[Any], destination: Destination, *, size: list[int], clipped: int, record: Any
    ) -> None:
        """Print the record that --json asks for, or a name that imgtool made up."""
        if self.json:
            output = destination.path(outcome.index)
            emit(
                json_line(
                    {
                        "path": outcome.source.path,
                        "output": output,
                        "shape": size,
                        "clipped": clipped,
                        **record,
                    }
                )
            )
        elif self.output is None and sys.stdout.isatty():
            emit(printable(destination.path(outcome.index)) + "\n")


def _remark(counts: Sequence[int], what: str) -> None:
    """Say what holds for so many pixels of so many images; nothing when there are none."""
    files = sum(count > 0 for count in counts)
    if files:
        complain(f"{sum(counts)} pixels of {'one image' if files == 1 else f'{files} images'} {what}")
