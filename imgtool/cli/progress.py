"""Progress on standard error: bars, on a terminal only, and lines about trainings."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from imgtool.cli.messages import complain, note

if TYPE_CHECKING:
    from imgtool.events import Epoch, Event, Events, SmallerBatch
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


def tell_device(device: str) -> None:
    """Write which device is taken."""
    note(f"imgtool: device {device}")


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
        terminal = sys.stderr = bar.console.file  # rich had put itself in the place of sys.stderr
        bar.console.file = open(os.devnull, "w")  # noqa: SIM115 - nothing is to be drawn behind this
        terminal.write(CLEAR)
        terminal.flush()


@contextmanager
def progress_bar(*, quiet: bool, verbose: bool = False) -> Iterator[Callback | None]:
    """Give the callback of one long task: it draws a bar, and with --verbose writes a line for each of its stages."""
    tellers: list[Callback] = []
    with Drawn() as draw:
        if not quiet and _can_draw():
            tellers.append(draw)
        if not quiet and verbose:
            tellers.append(Stages())

        def tell(done: int, total: int, what: str) -> None:
            for each in tellers:
                each(done, total, what)

        yield tell if tellers else None


class Stages:
    """Writes a line for each stage of a task when it begins, however many steps it has."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, done: int, total: int, what: str) -> None:
        """Say what is being done, unless that was said last."""
        if what and what != self._last:
            self._last = what
            complain(what)


@contextmanager
def event_listener(*, quiet: bool, verbose: bool = False, epochs: bool = False) -> Iterator[Events | None]:
    """Give what tells of long work: by a bar, with --verbose by a line for each stage, and by one for each epoch.

    epochs: of the lines for epochs, whether they are written without --verbose too.
    """
    from imgtool.events import Epoch, Progress, SmallerBatch, Step, steps_of

    lines = EpochLines() if (epochs or verbose) and not quiet else None
    draws = not quiet and _can_draw()
    stages = Stages() if verbose and not quiet else None
    with Drawn() as draw:

        def tell(event: Event) -> None:
            if lines and isinstance(event, Epoch) and not event.resumed:
                note(lines.line(event))
            if isinstance(event, SmallerBatch):
                complain(smaller_batch_text(event))
            if isinstance(event, Progress | Step):
                done, total, what = steps_of(event)
                if draws:
                    draw(done, total, what)
                if stages and isinstance(event, Progress):
                    stages(done, total, what)

        yield None if quiet else tell


def smaller_batch_text(event: SmallerBatch) -> str:
    """Return what is said where memory is exhausted."""
    model = f"{event.model}: " if event.model else ""
    images = "one image at a time" if event.batch == 1 else f"batches of {event.batch} images"
    return f"{model}memory is exhausted; training goes on, from the beginning of epoch {event.epoch}, with {images}"


def to_all(*listeners: Events) -> Events:
    """Return what passes an event on to each listener."""

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell


class EpochLines:
    """Puts an epoch of a training into a line of about 80 characters, with the time that the others will take."""

    def __init__(self) -> None:
        self._seconds: list[float] = []  # of the epochs so far, of this training

    def line(self, event: Epoch) -> str:
        """Return the line."""
        if event.epoch == 1:  # of another training, in a comparison
            self._seconds = []
        self._seconds.append(event.seconds)
        parts = [f"epoch {event.epoch:>{len(str(event.epochs))}}/{event.epochs}", f"loss {loss_text(event.loss)}"]
        error = event.error
        if event.validation_loss is not None and event.validation_error is not None:
            parts.append(f"validation {loss_text(event.validation_loss)}")
            error = event.validation_error
        parts += [f"error {100 * error:.1f}%", f"{event.images_per_second:.0f} images/s"]
        if left := event.epochs - event.epoch:
            parts.append(f"{time_text(left * sum(self._seconds) / len(self._seconds))} left")
        return (f"{event.model}: " if event.model else "") + "  ".join(parts)


def loss_text(loss: float) -> str:
    """Return a loss with three decimals, or the magnitude of one that has left all bounds.

    >>> loss_text(0.69315), loss_text(1.2e20)
    ('0.693', '1.2e+20')
    """
    return f"{loss:.3f}" if loss < 1000 else f"{loss:.3g}"


def time_text(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> time_text(41.2), time_text(1000), time_text(20_000)
    ('41 s', '17 min', '5.6 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _can_draw() -> bool:
    """Tell whether standard error is a terminal that can move its cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
