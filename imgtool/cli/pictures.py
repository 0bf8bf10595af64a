"""What the commands that make images share: where they go, and what is printed of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.cli.images import Images
from imgtool.cli.messages import complain, printable
from imgtool.cli.progress import draw_events
from imgtool.cli.tables import emit, json_line
from imgtool.errors import ParameterError

if TYPE_CHECKING:
    from imgtool.pipelines.outcomes import Outcome
    from imgtool.pipelines.pictures import Written


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
        work: Callable[..., Iterator[Outcome[Written]]],
        *arguments: Any,
        record: dict[str, Any],
        **settings: Any,
    ) -> None:
        """Have images made, and print what there is to say.

        work: of the source, the arguments and settings, and where results go; record: what `--json` says beside paths
        and sizes.
        """
        is_stream = self.output == "-" or (self.output is None and not sys.stdout.isatty())
        if self.json and is_stream:
            raise ParameterError("--json goes with -o FILE: standard output carries the image itself")
        clipped, not_finite = [], []
        with draw_events(quiet=images.quiet or len(images.source) > 1) as events:
            outcomes = work(
                images.source, *arguments, **settings, output=self.output, format=self.to, overwrite=self.force,
                skip_existing=self.skip_existing, quality=self.quality, compression=self.compression,
                jobs=images.asked_jobs, events=events,
            )  # fmt: skip
            for outcome in images.report(outcomes):
                if outcome.value and outcome.value.shape:
                    clipped.append(outcome.count("clipped"))
                    not_finite.append(outcome.count("values"))
                    self._print(outcome.source.path, outcome.value, clipped[-1], record)
        if not images.quiet:
            _remark(clipped, "were clipped; --range stretch or --depth float keeps them")
            _remark(not_finite, "are NaN or infinite: shown black or white, --range stretch leaves them out of account")

    def _print(self, path: str, written: Written, clipped: int, record: dict[str, Any]) -> None:
        """Print the record that --json asks for, or a name that imgtool made up."""
        if self.json:
            size = {"shape": list(written.shape), "clipped": clipped}
            emit(json_line({"path": path, "output": written.output, **size, **record}))
        elif self.output is None and sys.stdout.isatty():
            emit(printable(written.output) + "\n")


def _remark(counts: Sequence[int], what: str) -> None:
    """Say what holds for so many pixels of so many images; nothing when there are none."""
    files = sum(count > 0 for count in counts)
    if files:
        complain(f"{sum(counts)} pixels of {'one image' if files == 1 else f'{files} images'} {what}")
