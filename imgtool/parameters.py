"""Frozen values whose fields carry default, range and meaning, and that go to and from JSON.

    @dataclass(frozen=True)
    class Recipe(Parameters):
        epochs: int = parameter(30, "Passes over the training images.", low=1, high=1_000_000)

What is out of range is refused when the value is made. Who reads text, as `epochs=5`, is
`imgtool.classifiers.settings`; a stored value comes back by `from_json`, which believes nothing.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ParamSpec, Self, TypeVar

from imgtool.errors import DataError, ParameterError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

MAX_NUMBERS = 16  # in a list


@dataclass(frozen=True)
class Meaning:
    """What a field means, the range of its numbers (both ends included; of each, in a tuple), or its choices.

    later: the field is younger than values that were stored, which have its default, or `before` where that is given.
    """

    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] | None = None
    later: bool = False
    before: Any = None


def parameter(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] | None = None,
    later: bool = False,
    before: Any = None,
) -> Any:
    """Return a dataclass field with a default, what it means, and what it may be."""
    return field(
        default=default, metadata={"meaning": Meaning(text, low, high, choices, later or before is not None, before)}
    )


@dataclass(frozen=True)
class Parameters:
    """A frozen dataclass of `parameter` fields: bool, int, float, str, or tuples of one of these."""

    def __post_init__(self) -> None:
        """Raise ParameterError for a value of another type than the default, or out of range."""
        for each in fields(self):
            value = convert_value(each.name, getattr(self, each.name), each.default, each.metadata["meaning"])
            object.__setattr__(self, each.name, value)

    @classmethod
    def meanings(cls) -> dict[str, tuple[Any, Meaning]]:
        """Return default and meaning of each field by name, in order."""
        return {each.name: (each.default, each.metadata["meaning"]) for each in fields(cls)}

    def to_json(self) -> dict[str, Any]:
        """Return the values by name, tuples as lists."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """Return the value that `to_json` gave. Raises DataError for a missing, unknown or impossible field."""
        names = {each.name for each in fields(cls)}
        needed = {name for name, (_, meaning) in cls.meanings().items() if not meaning.later}
        found = stored.keys() if isinstance(stored, Mapping) else set()
        if not isinstance(stored, Mapping) or not needed <= found <= names:
            strange = sorted(map(str, (needed - found) | (found - names)))
            raise DataError(f"{strange[0]} is {'missing' if strange[0] in names else 'unknown'}")
        try:
            before = {
                name: meaning.before for name, (_, meaning) in cls.meanings().items() if meaning.before is not None
            }
            return cls(**{**before, **stored})
        except ParameterError as error:
            raise DataError(str(error)) from None


def convert_value(name: str, value: Any, default: Any, meaning: Meaning) -> Any:
    """Return a value as the type of its default, lists as tuples. Raises ParameterError where it cannot be one."""
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_NUMBERS:
            raise ParameterError(f"{name} must be 1 to {MAX_NUMBERS} values, got {value!r}")
        return tuple(_one(name, each, type(default[0]), meaning) for each in value)
    return _one(name, value, type(default), meaning)


def _one(name: str, value: Any, kind: type, meaning: Meaning) -> Any:
    """Check one value; an int may stand for a float."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ParameterError(f"{name} must be {_KINDS[kind]}, got {value!r}")
    if meaning.choices is not None and value not in meaning.choices:
        raise ParameterError(f"{name} must be {' or '.join(map(str, meaning.choices))}, got {value!r}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = meaning.low, meaning.high
        if (
            (isinstance(value, float) and not math.isfinite(value))
            or (low is not None and value < low)
            or (high is not None and value > high)
        ):
            raise ParameterError(f"{name} must be from {low} to {high}, got {value!r}")
    return value


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def require_pixels(max_pixels: Any) -> None:
    """Raise ParameterError unless a limit to images is a whole number: nothing is larger than NaN."""
    if isinstance(max_pixels, bool) or not hasattr(max_pixels, "__index__") or getattr(max_pixels, "shape", ()) != ():
        raise ParameterError(f"max_pixels must be a whole number, got {_short(max_pixels)}")


def checks_options(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function whose options that are switches or names by default take nothing else.

    It then raises ParameterError, naming the option, for a list in the place of True or of a name.
    """
    kinds = {
        name: type(each.default)
        for name, each in inspect.signature(function).parameters.items()
        if each.kind is each.KEYWORD_ONLY and type(each.default) in (bool, str)
    }

    @functools.wraps(function)
    def checked(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        for name, value in options.items():
            kind = kinds.get(name)
            if kind is str and not isinstance(value, str):
                raise ParameterError(f"{name} must be a name, got {_short(value)}")
            if kind is bool and not (isinstance(value, int) or _is_scalar_bool(value)):
                raise ParameterError(f"{name} must be True or False, got {_short(value)}")
        return function(*arguments, **options)

    return checked


def _is_scalar_bool(value: Any) -> bool:
    """Tell whether a value is NumPy's True or False, without importing it."""
    return getattr(value, "shape", None) == () and str(getattr(value, "dtype", "")) == "bool"


def _short(value: Any) -> str:
    """Return a value as one short line."""
    return " ".join(repr(value).split())[:60]
