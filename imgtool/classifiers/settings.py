"""A model's settings by name: read from KEY=VALUE pairs, and as a table.

Default, range and meaning stand beside each field of the frozen values that a model is built of (its architecture's own
parameters, preprocessing, recipe, augmentation); here they are one flat list of names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from imgtool.errors import ParameterError
from imgtool.names import nearest
from imgtool.parameters import Meaning, Parameters

Groups = Mapping[str, Parameters]
_SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def settings_of(groups: Groups) -> dict[str, Any]:
    """Return the value of each setting by name; tuples as lists, as JSON has them."""
    return {
        name: value
        for group in groups.values()
        for name, value in group.to_json().items()
        if _is_setting(group.meanings()[name][1])
    }


def table(groups: Groups) -> list[dict[str, Any]]:
    """Return a row for each setting: its name, what it is part of, default, range, meaning."""
    return [
        {
            "setting": name,
            "of": part,
            "default": value_text(getattr(group, name)),
            "range": range_text(getattr(group, name), meaning),
            "meaning": meaning.text,
        }
        for part, group in groups.items()
        for name, (_, meaning) in group.meanings().items()
        if _is_setting(meaning)
    ]


def with_settings(model: str, groups: Groups, given: Mapping[str, Any]) -> dict[str, Parameters]:
    """Return the groups with some settings changed; values may come as text.

    Raises ParameterError, naming the model, for an unknown name (with the nearest known one) or a value out of range.
    """
    known = {
        name: part for part, group in groups.items() for name, (_, m) in group.meanings().items() if _is_setting(m)
    }
    changed = dict(groups)
    for name, value in given.items():
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near}? " if near else ""
            raise ParameterError(f"{model} has no setting {name!r}; {hint}there are {', '.join(known) or 'none'}")
        group = groups[known[name]]
        try:
            parsed = from_text(name, value, getattr(group, name))
            changed[known[name]] = replace(changed[known[name]], **{name: parsed})
        except ParameterError as error:
            raise ParameterError(f"{model}: {error}") from None
    return changed


def from_text(name: str, value: Any, default: Any) -> Any:
    """Return the value that a text stands for, given the default of its setting; other values as they are.

    Raises ParameterError for a text that stands for none.
    """
    if not isinstance(value, str):
        return value
    if isinstance(default, tuple):
        return tuple(from_text(name, part.strip(), default[0]) for part in value.split(","))
    try:
        if isinstance(default, bool):
            return _SWITCHES[value.lower()]
        return type(default)(value)
    except (ValueError, KeyError):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
        raise ParameterError(f"{name} must be {kind}, such as {value_text(default)}; got {value!r}") from None


def value_text(value: Any) -> str:
    """Return a value as KEY=VALUE pairs have it."""
    if isinstance(value, tuple):
        return ",".join(map(value_text, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def range_text(value: Any, meaning: Meaning) -> str:
    """Return the range of a setting as text."""
    one = value[0] if isinstance(value, tuple) else value
    if meaning.choices is not None:
        return ", ".join(map(str, meaning.choices))
    if isinstance(one, bool):
        return "true, false"
    if meaning.low is None or meaning.high is None:
        return "text" if isinstance(one, str) else "any"
    return f"{meaning.low:g} to {meaning.high:g}"


def _is_setting(meaning: Meaning) -> bool:
    """Tell whether a user can set a field; those that training determines have no meaning text."""
    return meaning.text != ""
