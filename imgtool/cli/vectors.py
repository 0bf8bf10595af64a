"""What the commands that describe images share: rows on standard output, or a feature file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from imgtool.cli.images import Images, Rows
from imgtool.cli.messages import complain
from imgtool.cli.tables import Row
from imgtool.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

COLUMNS = ("descriptor", "shape", "values")


class Vectors(NamedTuple):
    """How images are described, and where descriptors go: rows, or the feature file that -o names."""

    output: str | None
    force: bool
    resume: bool
    resize: str | None
    cluster: str | None
    format: str | None

    def refuse_beside(self, name: str, **others: object) -> None:
        """Raise ParameterError where the option of this name, which prints, stands beside one of feature files.

        others: further options that do not go with it, None where they are not given.
        """
        given = {
            "output": self.output,
            "overwrite": self.force,
            "resume": self.resume,
            "cluster": self.cluster,
            **others,
        }
        for key, value in given.items():
            if value not in (None, False):
                raise ParameterError(f"{key} does not go with {name}, which prints", parameters=(key, name))

    def write(
        self,
        images: Images,
        descriptor: str,
        *,
        row: Callable[[Any], Row] | None = None,
        columns: Sequence[str] = COLUMNS,
        visualize: str | None = None,
        device: str | None = None,
        **parameters: Any,
    ) -> None:
        """Describe every image, draw it where asked, and print rows, or one line about the feature file.

        row: what standard output says of one image; parameters: of the descriptor, None for what was not given.
        """
        from imgtool.pipelines.describe import describe_images
        from imgtool.pipelines.descriptors import is_local

        prints = self.output in (None, "-")
        if prints and self.resume:
            raise ParameterError("--resume goes with -o FILE, a feature file")
        if prints and visualize == "-":
            raise ParameterError("--visualize - goes with -o FILE: standard output carries the rows")
        result = describe_images(
            images.source, descriptor, output=None if prints else self.output, resume=self.resume, overwrite=self.force,
            resize=self.resize, device=device or "cpu", cluster=self.cluster, visualize=visualize, jobs=images.jobs,
            watch=images.report, **parameters,
        )  # fmt: skip
        if prints:
            row = row or (lambda values: _row(descriptor, values))
            Rows(self.format).write((each.map(row) for each in result), columns)
        elif not images.quiet:
            content = f"{result.rows} rows of {result.width} numbers"
            if is_local(descriptor):
                content = f"{result.rows} descriptors of {result.images} images"
            complain(f"{self.output}: {content}")


def _row(descriptor: str, values: np.ndarray) -> Row:
    """Return what standard output says of one image."""
    return {"descriptor": descriptor, "shape": list(values.shape), "values": values.reshape(-1)}
