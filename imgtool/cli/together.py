"""Images that are described many at once, on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from imgtool.batch.inputs import Input
from imgtool.batch.pool import ordered_map
from imgtool.cli.images import Images, Outcome, attempt, reported
from imgtool.errors import ImgtoolError

if TYPE_CHECKING:
    import numpy as np

Value = TypeVar("Value")

AT_ONCE = 64  # images
BYTES = 1 << 28  # of pixels that wait for one batch


@dataclass(frozen=True)
class Together(Generic[Value]):
    """What describes several images at once: (images) -> what describes each, in their order.

    device: where, as a feature file's meta says it; prepare: what is done to each image before, several at once.
    """

    device: str
    describe: Callable[[list[np.ndarray]], list[Value]]
    prepare: Callable[[np.ndarray], np.ndarray] = lambda image: image

    def __call__(self, image: np.ndarray) -> Value:
        """Describe one image."""
        return self.describe([self.prepare(image)])[0]


def resolved(device: str | None) -> str:
    """Return what `--device` means, "cpu" when it is not given."""
    if device is None:
        return "cpu"
    from imgtool.device import resolve

    return resolve(device)


def each_together(
    images: Images,
    read: Callable[[int, Input], np.ndarray],
    together: Together[Value],
    *,
    draw: Callable[[int, np.ndarray, Value], None] | None = None,
    first: int = 0,
) -> Iterator[Outcome[Value]]:
    """Yield what became of each image from the first on: what describes it, or an error.

    Batches end at multiples of AT_ONCE: the last bits of numbers may depend on which images share a batch, and that
    must not depend on where a run begins.
    """

    def prepared(index: int) -> Outcome[np.ndarray]:
        return attempt(lambda _, source: together.prepare(read(index, source)), index, images.inputs[index])

    def finished(each: Outcome[np.ndarray], value: Value | None) -> Outcome[Value]:
        if each.value is None:
            return Outcome(each.index, each.source, error=each.error)

        def finish(index: int, _: Input) -> Value:
            assert each.value is not None
            result = together.describe([each.value])[0] if value is None else value
            if draw:
                draw(index, each.value, result)
            return result

        return attempt(finish, each.index, each.source)

    begin = first - first % AT_ONCE
    outcomes = ordered_map(prepared, range(begin, len(images.inputs)), min(images.jobs, len(images.inputs)))
    described = (pair for batch in _batches(outcomes) for pair in _described(batch, together.describe))
    return reported(images, (finished(*pair) for pair in described if pair[0].index >= first), first=first)


def _batches(outcomes: Iterator[Outcome[np.ndarray]]) -> Iterator[list[Outcome[np.ndarray]]]:
    """Gather images, as many as a batch may have."""
    batch: list[Outcome[np.ndarray]] = []
    waiting = 0
    for outcome in outcomes:
        batch.append(outcome)
        waiting += 0 if outcome.value is None else outcome.value.nbytes
        if (outcome.index + 1) % AT_ONCE == 0 or waiting >= BYTES:
            yield batch
            batch, waiting = [], 0
    if batch:
        yield batch


def _described(
    batch: list[Outcome[np.ndarray]], describe: Callable[[list[np.ndarray]], list[Value]]
) -> Iterator[tuple[Outcome[np.ndarray], Value | None]]:
    """Yield each image with what describes it; with None where one of the batch cannot be described."""
    read = [each.value for each in batch if each.value is not None]
    try:
        values = iter(describe(read) if read else [])
    except (ImgtoolError, MemoryError):
        values = iter([])
    for each in batch:
        yield each, None if each.value is None else next(values, None)
