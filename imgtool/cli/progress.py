"""Progress, drawn on a terminal's standard error only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from imgtool.cli.messages import complain

if TYPE_CHECKING:
    from imgtool.events import Event, Events
    from imgtool.pipelines.outcomes import Outcome

Value = TypeVar("Value")
Callback = Callable[[int, int, str], None]

DELAY_SECONDS = 1.0  # what is done within a second needs no bar
CLEAR = "\r\x1b[2K\x1b[?25h"  # to the line's beginning; erase the line; show the cursor
_bars: list[Any] = []  # that are on the terminal


def track(outcomes: Iterator[Outcome[Value]], total: int, *, quiet: bool) -> Iterator[Outcome[Value]]:
    """Yield what became of images, drawing how many of `total` are done."""
    if quiet or total < 2 or not _can_draw():
        yield from outcomes
        return
    with Drawn(unit="images") as draw:
        for outcome in outcomes:
            yield outcome
            draw(outcome.index + 1, total, "")


@contextmanager
def draw_events(*, quiet: bool) -> Iterator[Events | None]:
    """Give what draws the progress of one long task, where there is a terminal."""
    if quiet or not _can_draw():
        yield None
        return
    from imgtool.events import Progress

    with Drawn() as draw:

        def show(event: Event) -> None:
            if isinstance(event, Progress):
                draw(event.done, event.total, "")

        yield show


class Drawn:
    """A progress callback `(done, total, message)` that draws with rich, imported at the first drawing.

    unit: what is counted, where a rate is to be drawn too.
    """

    def __init__(self, unit: str = "") -> None:
        self._unit = unit
        self._begin = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Drawn:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            _bars.remove(self._bar)

    def __call__(self, done: int, total: int, message: str) -> None:
        """Draw that `done` of `total` steps are done; message says what is being done."""
        if self._bar is None:
            if time.monotonic() - self._begin < DELAY_SECONDS:
                return
            self._start()
        self._bar.update(self._task, completed=done, total=total, message=message)

    def _start(self) -> None:
        """Set up the bar."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        unit = self._unit

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:.3g} {unit}/s" if unit and task.speed else "")

        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[message]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, message="")
        _bars.append(self._bar)
        self._bar.start()


def clear() -> None:
    """Take a bar off the terminal without waiting for whoever draws it; called when the process ends early."""
    for bar in _bars:
        terminal = bar.console.file  # rich puts itself in the place of sys.stderr
        bar.console.file = open(os.devnull, "w")  # noqa: SIM115 - nothing is to be drawn behind this
        terminal.write(CLEAR)
        terminal.flush()


def progress_callback(*, quiet: bool, verbose: bool) -> Callback | None:
    """Return the callback for one long task: a bar on a terminal, lines with --verbose, nothing else."""
    if quiet:
        return None
    if verbose:
        return lambda done, total, message: complain(f"{done}/{total} {message}")
    return Drawn() if _can_draw() else None


def _can_draw() -> bool:
    """Tell whether standard error is a terminal that can move its cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
