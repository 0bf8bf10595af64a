"""What long work tells of itself while it goes on. Whoever draws, prints or stores it is elsewhere.

A function that takes `events` calls it with one of these, from the thread that does the work. model: whose training
an event tells of, where several models are trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Progress:
    """So many of so many steps of some work are done."""

    done: int
    total: int
    what: str = ""
    model: str = ""


@dataclass(frozen=True)
class Step:
    """One step of gradient descent is done; numbers count from 1, the loss is the mean over the epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    model: str = ""


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images is done.

    loss, error: means over the training images as they were seen (augmented); those of validation images are None
    where there are none. Errors are shares, top-1. learning_rate: of the last step. seconds: wall time of the epoch,
    validation included; images_per_second: in training. batch: where exhausted memory made it smaller. resumed: the
    epoch was done before an interruption, and the training that goes on tells of it again.
    """

    epoch: int
    epochs: int
    loss: float
    error: float
    learning_rate: float
    images_per_second: float
    seconds: float
    validation_loss: float | None = None
    validation_error: float | None = None
    batch: int | None = None
    resumed: bool = False
    model: str = ""


@dataclass(frozen=True, eq=False)
class FirstBatch:
    """The images of a training's first step as the network sees them, but for normalization; told before the step.

    images: (n, side, side, channels) uint8; labels: (n) numbers of classes.
    """

    images: np.ndarray
    labels: np.ndarray
    model: str = ""


@dataclass(frozen=True)
class SmallerBatch:
    """Memory is exhausted: an epoch begins again, and training goes on, with fewer images in a batch."""

    epoch: int
    batch: int
    model: str = ""


@dataclass(frozen=True)
class Turn:
    """A comparison comes to a model: `number` of `total`, counted from 1.

    The number is 0 where several take their turn at once, or where all have had theirs and are trained again on less.

    part: which of several trainings of it comes now, such as "fold 2 of 5". seconds_left: how long all that is still to
    be done will take, where that can be told; is_guess: it is a rough guess, since a model was never trained here.
    """

    number: int
    total: int
    model: str
    part: str = ""
    seconds_left: float | None = None
    is_guess: bool = False


@dataclass(frozen=True)
class Measured:
    """A model of a comparison is done, or one training of it beside the table's (part): `done` of `total` models are.

    wrong: of `images` held-out ones. error: why there is no number, where the model failed; hint: as errors have it.
    """

    done: int
    total: int
    model: str
    part: str = ""
    wrong: int = 0
    images: int = 0
    error: str = ""
    hint: str = ""


Event = Progress | FirstBatch | Step | Epoch | SmallerBatch | Turn | Measured
Events = Callable[[Event], None]


def steps_of(event: Progress | Step) -> tuple[int, int, str]:
    """Return an event as (done, total, what), for a bar."""
    prefix = f"{event.model}: " if event.model else ""
    if isinstance(event, Progress):
        return event.done, event.total, prefix + event.what if event.what else ""
    done, total = (event.epoch - 1) * event.steps + event.step, event.epochs * event.steps
    return done, total, f"{prefix}epoch {event.epoch} loss {event.loss:.3f}"
