"""Apply a function to every image, several at once; outcomes in the order of the images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from imgtool.batch.inputs import Input
from imgtool.batch.pool import ordered_map
from imgtool.errors import ImgtoolError, ParameterError, is_out_of_memory
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.source import Source
from imgtool.remarks import Remark

if TYPE_CHECKING:
    import numpy as np

Value = TypeVar("Value")


def map_images(
    source: Source, function: Callable[[np.ndarray], Value], *, jobs: int, first: int = 0
) -> Iterator[Outcome[Value]]:
    """Apply a function of an image array to every image; see `map_inputs`."""
    return map_inputs(source, lambda index, remarks: function(source.read(index, remarks)), jobs=jobs, first=first)


def map_inputs(
    source: Source, function: Callable[[int, list[Remark]], Value], *, jobs: int, first: int = 0
) -> Iterator[Outcome[Value]]:
    """Apply a function of (index, remarks) to every input, `jobs` at once; yield the outcomes in order.

    function: may add remarks; first: the index to begin with, those before are done.

    An input that fails is an outcome with its error. ParameterError (a parameter that fits no image) and
    BrokenPipeError (a closed standard output) are raised and end the iteration.
    """

    def outcome_of(index: int) -> Outcome[Value]:
        return attempt(function, index, source.input(index))

    jobs = min(jobs, len(source))
    if jobs > 1:
        from imgtool.batch.memory import keep_freed_memory

        keep_freed_memory()
    return ordered_map(outcome_of, source.indexes(first), jobs)


def attempt(function: Callable[[int, list[Remark]], Value], index: int, source: Input) -> Outcome[Value]:
    """Apply a function of (index, remarks) to one input. Raises only what ends all."""
    remarks: list[Remark] = []
    try:
        return Outcome(index, source, function(index, remarks), None, tuple(remarks))
    except (ParameterError, BrokenPipeError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            return Outcome(index, source, error=ImgtoolError("needs more memory than there is"))
        if isinstance(error, ImgtoolError | OSError):
            return Outcome(index, source, error=error)
        raise
