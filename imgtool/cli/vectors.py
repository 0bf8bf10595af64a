"""What the commands share that describe each image by one vector: rows on standard output, or a feature file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import imgtool
from imgtool.batch.inputs import Input
from imgtool.cli.images import Images, Outcome, Rows, each_input
from imgtool.cli.messages import complain
from imgtool.cli.tables import Row
from imgtool.errors import DataError, OutputError, ParameterError

if TYPE_CHECKING:
    import numpy as np

COLUMNS = ("descriptor", "shape", "values")


class Vectors(NamedTuple):
    """Where descriptors go: rows, or the feature file that -o names."""

    output: str | None
    force: bool
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
        """Describe every image, and draw it where asked.

        parameters: what a feature file's meta says of how it was made.
        """
        draw = drawing.prepare(images, descriptor, vectors=self) if drawing else lambda index, image, values: None

        def described(index: int, source: Input) -> np.ndarray:
            image = images.read(source)
            values = describe(image)
            draw(index, image, values)
            return values

        if self.prints:
            outcomes = each_input(images, lambda index, source: _row(descriptor, described(index, source)))
            Rows(self.format).write(outcomes, COLUMNS)
            return
        from imgtool.datasets import feature_file

        assert self.output is not None
        self.check(images)
        meta = {"descriptor": descriptor, "parameters": parameters, "version": imgtool.__version__}
        table = _collect(each_input(images, described), meta)
        feature_file.save(self.output, table, overwrite=self.force)
        if not images.quiet:
            complain(f"{self.output}: {len(table.paths)} rows of {table.features.shape[1]} numbers")

    def check(self, images: Images) -> None:
        """Refuse a feature file that cannot or must not be written, before any work is done."""
        from imgtool.batch.outputs import identity
        from imgtool.datasets import feature_file

        assert self.output is not None
        feature_file.check_suffix(self.output)
        if any(identity(each.path) == identity(self.output) for each in images.inputs):
            raise OutputError(f"{self.output}: is an input; imgtool does not overwrite what it reads")
        feature_file.check_free(self.output, overwrite=self.force)


class Drawing(NamedTuple):
    """Pictures of what a descriptor sees, one an image, beside its row.

    output: a file, folder, template or `-`, as -o of commands that make images; draw: (image, its descriptor) ->
    RGB uint8.
    """

    output: str
    draw: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def prepare(
        self, images: Images, descriptor: str, *, vectors: Vectors
    ) -> Callable[[int, np.ndarray, np.ndarray], None]:
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

        def draw(index: int, image: np.ndarray, values: np.ndarray) -> None:
            format_name = "png" if destination.is_stream else format_of(destination.path(index))
            destination.write(index, encode(self.draw(image, values), format_name))

        return draw


def _row(descriptor: str, values: np.ndarray) -> Row:
    """Return what standard output says of one image."""
    return {"descriptor": descriptor, "shape": list(values.shape), "values": values.reshape(-1)}


def _collect(outcomes: Iterator[Outcome[np.ndarray]], meta: dict[str, Any]) -> Any:
    """Stack the vectors of all images that could be described."""
    import numpy as np

    from imgtool.datasets.feature_file import FeatureTable

    vectors: list[np.ndarray] = []
    sources: list[Input] = []
    for outcome in outcomes:
        if outcome.value is None:
            continue
        vector = outcome.value.reshape(-1).astype(np.float32, copy=False)
        if vectors and len(vector) != len(vectors[0]):
            raise DataError(
                f"{outcome.source.path}: has {len(vector)} numbers where {sources[0].path} has {len(vectors[0])};"
                " images must have one size (imgtool convert --size)"
            )
        vectors.append(vector)
        sources.append(outcome.source)
    if not vectors:
        raise DataError("no image could be described, so there is nothing to store")
    labels = [source.label for source in sources]
    return FeatureTable(np.stack(vectors), [source.path for source in sources], labels, meta)
