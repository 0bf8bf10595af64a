"""What is told of a comparison while it goes on, and what Ctrl-C leaves of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.cli.data_sets import naming_bad_files
from imgtool.cli.interruptions import command_to_go_on, telling
from imgtool.cli.messages import ADVICE, complain, note
from imgtool.cli.progress import event_listener, time_text

if TYPE_CHECKING:
    from imgtool.events import Event, Events, Measured, Turn

FOLLOWED_HERE = ("among", "train")  # hints of errors whose advice can be followed by these commands
KEEPS = "--work FOLDER keeps what is done"
TOLD_SECONDS = 10  # left, below which nobody asks how long it will take


class Listener:
    """Tells of a comparison while it goes on: whose turn it is, each result at once, and what Ctrl-C leaves.

    tells: whether results are told, beside failures, which always are. work: where predictions are kept, if anywhere.
    """

    def __init__(self, events: Events | None, work: Path | None, *, tells: bool) -> None:
        self._events, self._work, self._tells = events, work, tells
        self._place, self._part, self._done, self._total = "", "", 0, 0

    def __call__(self, event: Event) -> None:
        """Take an event, and pass it on; steps get the place in the comparison before the model's name."""
        from imgtool.events import Measured, Progress, Step, Turn

        if isinstance(event, Turn):
            self._place, self._total = place_text(event), event.total
            self._part = f" ({event.model}, {event.part}, was under way)" if event.part else ""
        elif isinstance(event, Measured):
            self._take(event)
        elif self._events is not None:
            is_step = isinstance(event, Progress | Step) and event.model
            self._events(replace(event, model=self._place + event.model) if is_step else event)

    def _take(self, event: Measured) -> None:
        """Tell of a result."""
        self._total = event.total
        if not event.part:
            self._done += not event.error
        if event.error:
            advice = ADVICE.get(event.hint) if event.hint in FOLLOWED_HERE else None
            part = f", {event.part}" if event.part else ""
            complain(f"{event.model}{part}: {event.error}{f'; {advice}' if advice else ''}")
        elif self._tells and (event.part or event.total > 1):  # of one model the table is enough
            note(measured_text(event))

    def left(self) -> str:
        """Return what an interrupted comparison leaves, and how to go on with it."""
        done = f"{self._done} of {self._total} models are done{self._part}" if self._total else "nothing is done"
        if self._work is not None:
            return f"{self._work}: {done}{_epochs_kept()}; to go on: {command_to_go_on()}"
        return f"{done}, and nothing is kept; {KEEPS}"


@contextmanager
def listening(work: Path | None, *, quiet: bool, verbose: bool) -> Iterator[Events]:
    """Give what tells of a comparison, also of its bad files, and of what is left when Ctrl-C ends it."""
    with naming_bad_files(), event_listener(quiet=quiet, verbose=verbose) as events:
        listener = Listener(events, work, tells=not quiet and (verbose or sys.stderr.isatty()))
        with telling(listener.left):
            yield listener


def _epochs_kept() -> str:
    """Return how much of the training that is under way can be gone on with, if anything."""
    checkpoint = sys.modules.get("imgtool.networks.checkpoint")
    lines = checkpoint.interruption_lines() if checkpoint else []
    return "".join(f"; of the next one {line.rpartition(': ')[2]}" for line in lines)


def place_text(turn: Turn) -> str:
    """Return what stands before a model's name: which of how many it is, which training, and how long all will take."""
    parts = [f"model {turn.number} of {turn.total}"] if turn.number and turn.total > 1 else []
    parts += [turn.part] if turn.part else []
    if turn.seconds_left is not None and turn.seconds_left >= TOLD_SECONDS:
        parts.append(f"{'roughly' if turn.is_guess else 'about'} {time_text(turn.seconds_left)} left for all")
    return "".join(f"{part}, " for part in parts)


def measured_text(event: Measured) -> str:
    """Return the line of a model that was measured."""
    from imgtool.evaluation.intervals import wilson

    low, high = (100 * each for each in wilson(event.wrong, event.images))
    error = f"top-1 error {100 * event.wrong / event.images:.1f} % ({low:.1f} to {high:.1f})"
    if event.part:
        return f"{event.model}, {event.part}: {error}"
    return f"{event.model}: {error}, {event.done} of {event.total} models"
