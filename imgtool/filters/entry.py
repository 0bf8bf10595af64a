"""What is known of a kernel or filter by name: how it is made, its parameters, its source."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from imgtool.errors import ParameterError


@dataclass(frozen=True)
class Entry:
    """How something named is made, what it is, and where it comes from.

    make: takes the parameters as keywords with defaults; formula: of the taps, where they are not fixed; pairs: the
    parameters that may be two numbers, for rows and columns.
    """

    make: Callable[..., np.ndarray]
    help: str
    source: str
    formula: str = ""
    pairs: tuple[str, ...] = ()

    @property
    def defaults(self) -> dict[str, Any]:
        """The parameters and what they are unless given."""
        parameters = inspect.signature(self.make).parameters.values()
        return {each.name: each.default for each in parameters if each.default is not each.empty}

    def check(self, name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the given parameters as Python's numbers. Raises ParameterError for one that is not among ours."""
        if wrong := sorted(set(given) - set(self.defaults)):
            takes = ", ".join(self.defaults) or "no parameters"
            text = f"{wrong[0]} does not go with kernel {name}, which takes {takes}"
            raise ParameterError(text, parameters=(wrong[0], "kernel", *self.defaults))
        return {key: self._checked(name, key, value) for key, value in given.items()}

    def _checked(self, name: str, parameter: str, value: Any) -> Any:
        """Return one parameter as one of Python's numbers, or as two."""
        several = value.ndim == 1 if isinstance(value, np.ndarray) else isinstance(value, Sequence)
        pair = several and not isinstance(value, str | bytes) and len(value) == 2
        if pair and parameter not in self.pairs:
            raise ParameterError(
                f"{parameter} of kernel {name} is one number, got two", parameters=(parameter, "kernel")
            )
        numbers = list(value) if pair else [value]
        if not all(isinstance(each, Real | np.bool_) for each in numbers):
            wanted = "a number, or two," if parameter in self.pairs else "a number,"
            raise ParameterError(f"{parameter.replace('_', ' ')} must be {wanted} got {value!r}")
        return tuple(map(_plain_number, numbers)) if pair else _plain_number(value)


def both(value: Any) -> tuple[Any, Any]:
    """Return a parameter's values for rows and columns, of which one may stand for both."""
    return value if isinstance(value, tuple) else (value, value)


def _plain_number(value: Any) -> int | float:
    """Return one of Python's numbers, which do not wrap around; True is 1."""
    plain = value.item() if isinstance(value, np.generic) else value
    return int(plain) if isinstance(plain, bool) else plain
