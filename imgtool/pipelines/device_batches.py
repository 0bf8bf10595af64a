"""Describe many images at once, on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from imgtool.batch.pool import ordered_map
from imgtool.errors import ImgtoolError
from imgtool.pipelines.mapping import attempt
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.source import Source
from imgtool.remarks import Remark

if TYPE_CHECKING:
    import numpy as np

Value = TypeVar("Value")
Draw = Callable[[int, "np.ndarray", Value], None]

BATCH_IMAGES = 64
MAX_BATCH_BYTES = 1 << 28  # of pixels that wait for one batch


@dataclass(frozen=True)
class DeviceBatch(Generic[Value]):
    """A function that describes several images at once: (images) -> a descriptor for each, in order.

    device: where, as a feature file's meta says it; prepare: what is done to each image before, several at once.
    """

    device: str
    describe: Callable[[list[np.ndarray]], list[Value]]
    prepare: Callable[[np.ndarray], np.ndarray] = lambda image: image


def describe_on_device(
    source: Source, batch: DeviceBatch[Value], *, jobs: int, draw: Draw[Value] | None = None, first: int = 0
) -> Iterator[Outcome[Value]]:
    """Yield an outcome for each image from `first` on: its descriptor, or an error.

    Batches end at multiples of BATCH_IMAGES: the last bits of numbers may depend on which images share a batch, and
    that must not depend on where a run begins.
    """

    def prepare(index: int) -> Outcome[np.ndarray]:
        return attempt(lambda _, remarks: batch.prepare(source.read(index, remarks)), index, source.input(index))

    def finish(each: Outcome[np.ndarray], value: Value | None) -> Outcome[Value]:
        if each.value is None:
            return Outcome(each.index, each.source, error=each.error)

        def complete(index: int, remarks: list[Remark]) -> Value:
            assert each.value is not None
            remarks += each.remarks
            result = batch.describe([each.value])[0] if value is None else value
            if draw:
                draw(index, each.value, result)
            return result

        return attempt(complete, each.index, each.source)

    begin = first - first % BATCH_IMAGES
    outcomes = ordered_map(prepare, source.indexes(begin), min(jobs, len(source)))
    pairs = (pair for each in _batches(outcomes) for pair in _describe(each, batch.describe))
    return (finish(*pair) for pair in pairs if pair[0].index >= first)


def _batches(outcomes: Iterator[Outcome[np.ndarray]]) -> Iterator[list[Outcome[np.ndarray]]]:
    """Gather images, as many as a batch may have."""
    batch: list[Outcome[np.ndarray]] = []
    waiting_bytes = 0
    for outcome in outcomes:
        batch.append(outcome)
        waiting_bytes += 0 if outcome.value is None else outcome.value.nbytes
        if (outcome.index + 1) % BATCH_IMAGES == 0 or waiting_bytes >= MAX_BATCH_BYTES:
            yield batch
            batch, waiting_bytes = [], 0
    if batch:
        yield batch


def _describe(
    batch: list[Outcome[np.ndarray]], describe: Callable[[list[np.ndarray]], list[Value]]
) -> Iterator[tuple[Outcome[np.ndarray], Value | None]]:
    """Yield each image with its descriptor, or with None if the batch as a whole failed."""
    images = [each.value for each in batch if each.value is not None]
    try:
        values = iter(describe(images) if images else [])
    except (ImgtoolError, MemoryError):
        values = iter([])
    for each in batch:
        yield each, None if each.value is None else next(values, None)
