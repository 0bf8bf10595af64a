"""What the commands that describe images share: rows on standard output, or a feature file that grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import imgtool
from imgtool.batch.inputs import STANDARD_INPUT, Input
from imgtool.cli.images import Images, Outcome, Rows, each_input, reason
from imgtool.cli.messages import complain
from imgtool.cli.sizes import parse_size, resized
from imgtool.cli.tables import Row
from imgtool.cli.together import Together, each_together
from imgtool.errors import ClusterError, ImgtoolError, OutputError, ParameterError

if TYPE_CHECKING:
    import numpy as np

Value = TypeVar("Value")
Draw = Callable[[int, "np.ndarray", Value], None]

COLUMNS = ("descriptor", "shape", "values")
FOR_A_WORKER = 100  # images that are worth starting a process for


class Vectors(NamedTuple):
    """How images are described, and where descriptors go: rows, or the feature file that -o names."""

    output: str | None
    force: bool
    resume: bool
    resize: str | None
    cluster: str | None
    format: str | None

    @property
    def prints(self) -> bool:
        """True when rows go to standard output, not to a feature file."""
        return self.output is None or self.output == "-"

    def write(
        self,
        images: Images,
        describe: Callable[[np.ndarray], np.ndarray],
        *,
        descriptor: str,
        drawing: Drawing | None = None,
        **parameters: Any,
    ) -> None:
        """Describe every image by one vector, and draw it where asked.

        parameters: what a feature file's meta says of how it was made.
        """
        draw = drawing.prepare(images, descriptor, vectors=self) if drawing else None
        meta = self.meta(descriptor, parameters, describe)
        if self.prints:
            outcomes = self.each(images, describe, meta, draw=draw)
            Rows(self.format).write((each.map(lambda value: _row(descriptor, value)) for each in outcomes), COLUMNS)
            return
        count, _, width = self.store(images, describe, meta, unpack=lambda values: (values, None), draw=draw)
        if not images.quiet:
            complain(f"{self.output}: {count} rows of {width} numbers")

    def meta(
        self, descriptor: str, parameters: dict[str, Any], describe: Callable[[np.ndarray], Any]
    ) -> dict[str, Any]:
        """Return what a feature file says of how it was made."""
        size = {"resize": self.resize} if self.resize else {}
        meta = {"descriptor": descriptor, "parameters": {**parameters, **size}, "version": imgtool.__version__}
        return {**meta, "device": describe.device} if isinstance(describe, Together) else meta

    def each(
        self,
        images: Images,
        describe: Callable[[np.ndarray], Value],
        meta: dict[str, Any],
        *,
        draw: Draw[Value] | None = None,
        first: int = 0,
    ) -> Iterator[Outcome[Value]]:
        """Yield what became of each image from the first on: what describes it, or an error."""
        if self.resume and self.prints:
            raise ParameterError("--resume goes with -o FILE, a feature file")
        size = parse_size("--resize", self.resize) if self.resize else None
        if self.cluster:
            if draw or isinstance(describe, Together):
                raise ParameterError(f"{'--visualize' if draw else '--device'} does not go with --cluster")
            from imgtool.cli.remote import each_on_cluster

            return each_on_cluster(self.cluster, images, meta, first=first)

        def read(_: int, source: Input) -> np.ndarray:
            image = images.read(source)
            return resized(image, size) if size else image

        if isinstance(describe, Together):
            return each_together(images, read, describe, draw=draw, first=first)
        if not draw and (workers := self._workers(images, meta, first)) > 1:
            from imgtool.cli.processes import each_in_processes

            return each_in_processes(images, meta, first=first, jobs=workers)

        def described(index: int, source: Input) -> Value:
            image = read(index, source)
            value = describe(image)
            if draw:
                draw(index, image, value)
            return value

        return each_input(images, described, first=first)

    def _workers(self, images: Images, meta: dict[str, Any], first: int) -> int:
        """Return how many worker processes describe images faster than threads do: none where there are few.

        Not for local descriptors: threads describe them as fast, and they would have to be carried over.
        """
        workers = min(images.jobs, (len(images.inputs) - first) // FOR_A_WORKER)
        if meta["descriptor"] == "sift" or images.isolated or workers < 2:
            return 0
        return 0 if any(each.path == STANDARD_INPUT for each in images.inputs) else workers

    def store(
        self,
        images: Images,
        describe: Callable[[np.ndarray], Value],
        meta: dict[str, Any],
        *,
        unpack: Callable[[Value], tuple[np.ndarray, np.ndarray | None]],
        draw: Draw[Value] | None = None,
    ) -> tuple[int, int, int]:
        """Describe images and write the feature file; return how many images and rows it holds, and their width.

        unpack: returns a vector and None, or local descriptors and their frames.
        """
        from imgtool.datasets.feature_file.resumable import ResumableFile

        assert self.output is not None
        self._check(images)
        with ResumableFile(self.output, images.inputs, meta, resume=self.resume, force=self.force) as growing:
            for index, failure in growing.failures:
                images.report(images.inputs[index], ImgtoolError(failure))
            try:
                for outcome in self.each(images, describe, meta, draw=draw, first=growing.done):
                    if outcome.value is not None:
                        growing.add(*unpack(outcome.value))
                    elif outcome.error is not None:
                        growing.add_failure(reason(outcome.error))
            except ClusterError as error:
                raise ClusterError(f"{error}; --resume goes on" if growing.done else str(error)) from None
            return growing.finish()

    def _check(self, images: Images) -> None:
        """Refuse a feature file that cannot or must not be written, before any work is done."""
        from imgtool.batch.outputs import identity
        from imgtool.datasets import feature_file
        from imgtool.datasets.feature_file.resumable import companions

        assert self.output is not None
        feature_file.check_suffix(self.output)
        places = {identity(path): path for path in (*companions(self.output), self.output)}
        for each in images.inputs:
            if path := places.get(identity(each.path)):
                raise OutputError(f"{path}: is an input; imgtool does not overwrite what it reads")


class Drawing(NamedTuple):
    """Pictures of what a descriptor sees, one an image, beside its row.

    output: a file, folder, template or `-`, as -o of commands that make images; draw: (image, its descriptor) ->
    RGB uint8.
    """

    output: str
    draw: Callable[[np.ndarray, Any], np.ndarray]

    def prepare(self, images: Images, descriptor: str, *, vectors: Vectors) -> Draw[Any]:
        """Refuse pictures that have no place; return the function that draws and writes one."""
        from imgtool.batch.outputs import Destination, identity
        from imgtool.image.write import encode, format_of

        destination = Destination(self.output, images.inputs, what=descriptor, suffix=".png", force=vectors.force)
        if destination.is_stream and vectors.prints:
            raise ParameterError("--visualize - goes with -o FILE: standard output carries the rows")
        for index in range(0 if destination.is_stream else len(images.inputs)):
            path = destination.path(index)
            format_of(path)
            if vectors.output and identity(path) == identity(vectors.output):
                raise ParameterError(f"{path}: would hold both a picture and the feature file")
            destination.check(index)

        def draw(index: int, image: np.ndarray, values: Any) -> None:
            format_name = "png" if destination.is_stream else format_of(destination.path(index))
            destination.write(index, encode(self.draw(image, values), format_name))

        return draw


def _row(descriptor: str, values: np.ndarray) -> Row:
    """Return what standard output says of one image."""
    return {"descriptor": descriptor, "shape": list(values.shape), "values": values.reshape(-1)}
