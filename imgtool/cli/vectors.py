"""What the commands share that describe each image by one vector: rows on standard output, or a feature file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import imgtool
from imgtool.batch.inputs import Input
from imgtool.cli.images import Images, Outcome, Rows, each_image
from imgtool.cli.messages import complain
from imgtool.cli.tables import Row
from imgtool.errors import DataError, OutputError

if TYPE_CHECKING:
    import numpy as np

COLUMNS = ("descriptor", "shape", "values")


@dataclass(frozen=True)
class Vectors:
    """Where descriptors go: rows, or the feature file that -o names."""

    output: str | None
    force: bool
    format: str | None

    def write(
        self,
        images: Images,
        describe: Callable[[np.ndarray], np.ndarray],
        *,
        descriptor: str,
        **parameters: Any,
    ) -> None:
        """Describe every image. parameters: what a feature file's meta says of how it was made."""
        if self.output is None or self.output == "-":
            outcomes = each_image(images, lambda image: _row(descriptor, describe(image)))
            Rows(self.format).write(outcomes, COLUMNS)
            return
        from imgtool.datasets import feature_file

        self.check(images)
        meta = {"descriptor": descriptor, "parameters": parameters, "version": imgtool.__version__}
        table = _collect(each_image(images, describe), meta)
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
