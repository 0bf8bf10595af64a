"""The outcome of processing one of many images: a value or an error, and remarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from imgtool.batch.inputs import Input
from imgtool.errors import ImgtoolError
from imgtool.remarks import Remark

Value = TypeVar("Value")
Other = TypeVar("Other")


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

    @property
    def left_out(self) -> dict[str, int]:
        """How much of each kind the result lacks or was remarked on, for records."""
        return {kind: self.count(kind) for kind in dict.fromkeys(each.kind for each in self.remarks)}

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
