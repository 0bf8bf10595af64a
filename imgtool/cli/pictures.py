"""What the commands that make images share: where they go, and what is printed of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.cli.images import Images
from imgtool.cli.messages import printable
from imgtool.cli.progress import draw_events
from imgtool.cli.tables import emit, json_line
from imgtool.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

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
    strip: bool
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
        with draw_events(quiet=images.quiet or len(images.source) > 1) as events:
            outcomes = work(
                images.source, *arguments, **settings, output=self.output, format=self.to, overwrite=self.force,
                skip_existing=self.skip_existing, quality=self.quality, compression=self.compression, strip=self.strip,
                jobs=images.asked_jobs, events=events,
            )  # fmt: skip
            for outcome in images.report(outcomes):
                if outcome.value and outcome.value.shape:
                    self._print(outcome, outcome.value, {**record, **images.source.reading.meta})

    def refuse_beside(self, name: str, **others: tuple[Any, Any]) -> None:
        """Raise ParameterError where the option of this name, which prints numbers, stands beside one of images.

        others: given and usual values of options that go with images only.
        """
        usual = Pictures(None, None, False, False, None, None, False, self.json)
        own = {key: (value, getattr(usual, key)) for key, value in vars(self).items()}
        for key, (given, default) in {**own, **others}.items():
            if given != default:
                spelled = "overwrite" if key == "force" else key
                raise ParameterError(f"{spelled} does not go with {name}, which prints", parameters=(spelled, name))

    def _print(self, outcome: Outcome[Written], written: Written, record: dict[str, Any]) -> None:
        """Print the record that --json asks for, or a name that imgtool made up."""
        if self.json:
            size = {"shape": list(written.shape), "clipped": outcome.count("clipped")}
            left_out = {"left_out": outcome.left_out} if outcome.remarks else {}
            emit(json_line({"path": outcome.source.path, "output": written.output, **size, **record, **left_out}))
        elif self.output is None and sys.stdout.isatty():
            emit(printable(written.output) + "\n")


def write_picture(
    output: str | None,
    name: str,
    draw: Callable[[], np.ndarray],
    *,
    what: str,
    force: bool,
    reads: Sequence[str] = (),
    parameter: str = "output",
) -> None:
    """Draw and write one picture that is of no image, and print the name that imgtool made up.

    name: what it is a picture of; what: kind of picture; reads: files that it was made from; parameter: that says
    where it goes.
    """
    from imgtool.batch.destinations import Destination
    from imgtool.batch.inputs import Input
    from imgtool.image.write import encode
    from imgtool.pipelines.drawings import format_name

    place = Destination(output, [Input(name)], what=what, suffix=".png", force=force, reads=reads, parameter=parameter)
    format = format_name(place, 0)
    place.check(0)
    place.write(0, encode(draw(), format))
    if output is None and not place.is_stream:
        emit(f"{printable(place.path(0))}\n")
