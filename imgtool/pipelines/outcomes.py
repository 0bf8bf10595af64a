"""The outcome of processing one of many images: a value or an error, and remarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from imgtool.batch.inputs import Input
from imgtool.errors import ImgtoolError

Value = TypeVar("Value")
Other = TypeVar("Other")


@dataclass(frozen=True)
class Remark:
    """Something the user should know: what a result lacks of its input, or a count for the end of the run.

    kind: what remarks are counted by (pages, bands, metadata, clipped, alpha, files, values, damaged);
    count: of what the kind counts; detail: in words, where a number does not say it.
    """

    kind: str
    count: int = 1
    detail: str = ""


@dataclass(frozen=True)
class Outcome(Generic[Value]):
    """The outcome of one input: a value and remarks, or only an error."""

    index: int
    source: Input
    value: Value | None = None
    error: Exception | None = None
    remarks: tuple[Remark, ...] = ()

    def map(self, function: Callable[[Value], Other]) -> Outcome[Other]:
        """Return the outcome with a function of its value, if there is one."""
        value = None if self.value is None else function(self.value)
        return Outcome(self.index, self.source, value, self.error, self.remarks)

    def with_remarks(self, *remarks: Remark) -> Outcome[Value]:
        """Return the outcome with more remarks."""
        return replace(self, remarks=(*self.remarks, *remarks))

    def count(self, kind: str) -> int:
        """Return the sum of the counts of all remarks of a kind."""
        return sum(each.count for each in self.remarks if each.kind == kind)

    def result(self) -> Value:
        """Return the value. Raises the error, with the input's name, where there is none."""
        if isinstance(self.error, ImgtoolError):
            raise self.error.within(self.source.path)
        if self.error is not None:
            raise self.error
        assert self.value is not None
        return self.value


def reason(error: Exception) -> str:
    """Return why an image failed, without its name."""
    text = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    return text or type(error).__name__
