"""What the commands that work on images share: the images that were named, and what is said of each.

`Images.report` wraps what goes over many images; `Rows` prints results that are rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from imgtool.batch.inputs import STANDARD_INPUT
from imgtool.cli.messages import complain, explain, printable
from imgtool.cli.progress import track
from imgtool.cli.remarks import Tally
from imgtool.cli.tables import Row, write_rows
from imgtool.pipelines.mapping import map_images
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.source import Source

if TYPE_CHECKING:
    import numpy as np

Value = TypeVar("Value")
DAMAGED = "is cut or damaged; what is missing is left blank"


@dataclass
class Images:
    """The images that a command line named, how many to work on at once, and what to say meanwhile.

    asked_jobs: what --jobs was given; failed: how many could not be worked on so far; tally: what the results lack.
    """

    source: Source
    jobs: int
    quiet: bool
    verbose: bool
    asked_jobs: int | None = None
    failed: int = 0
    tally: Tally = field(default_factory=Tally)

    def close(self) -> None:
        """End what was started to read the images, and say what the results lack of them."""
        self.source.close()
        if not self.quiet:
            self.tally.tell(verbose=self.verbose)

    def report(self, outcomes: Iterator[Outcome[Value]]) -> Iterator[Outcome[Value]]:
        """Yield what became of the images, drawing progress and saying which failed or are damaged."""
        for outcome in track(outcomes, len(self.source), quiet=self.quiet):
            name = name_of(outcome.source.path)
            if outcome.error is not None:
                self.failed += 1  # the exit status will be 1
                complain(f"{name}: {explain(outcome.error)}")
                yield outcome
                continue
            self.tally.add(outcome.remarks)
            if outcome.count("damaged"):
                complain(f"{name}: {DAMAGED}")
            if self.verbose:
                complain(f"{outcome.source.path}: done")
            yield outcome


def name_of(path: str) -> str:
    """Return what an input is called in messages."""
    return "standard input" if path == STANDARD_INPUT else path


def each_image(images: Images, function: Callable[[np.ndarray], Value]) -> Iterator[Outcome[Value]]:
    """Apply a function of an image array to every image; see `map_images`."""
    return images.report(map_images(images.source, function, jobs=images.jobs))


class Rows(NamedTuple):
    """Where rows go, and in which form."""

    format: str | None

    def write(self, outcomes: Iterator[Outcome[Row]], columns: Sequence[str], *, unusual: Sequence[str] = ()) -> None:
        """Print a row for each outcome, `path` first; a failed one as `path`, `error` (in JSON Lines).

        unusual: further columns of a table, if any row has something in them.
        """
        write_rows(map(_row, outcomes), format=self.format, columns=("path", *columns), unusual=unusual)

    def write_many(self, outcomes: Iterator[Outcome[list[Row]]], columns: Sequence[str]) -> None:
        """Print several rows for each outcome."""

        def single() -> Iterator[Outcome[Row]]:
            for each in outcomes:
                if each.value is None:
                    yield Outcome(each.index, each.source, error=each.error)
                for row in each.value or ():
                    yield Outcome(each.index, each.source, row, remarks=each.remarks)

        self.write(single(), columns)


def _row(outcome: Outcome[Row]) -> Row:
    """Return the row of one outcome, with what it lacks."""
    path = {"path": outcome.source.path}
    if outcome.error:
        return {**path, "error": printable(explain(outcome.error))}
    left_out = {"left_out": outcome.left_out} if outcome.remarks else {}
    return {**path, **(outcome.value or {}), **left_out}
