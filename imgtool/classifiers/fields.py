"""Checks of the fields of a `model.json`: nothing stored is trusted unchecked."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from imgtool.datasets.overlap import is_kept_prefixes
from imgtool.errors import DataError
from imgtool.text import is_writable

MAX_CLASSES = 1_000_000
MAX_DEPTH = 6  # of lists and objects in each other


def check(description: Mapping[str, Any]) -> None:
    """Raise DataError unless the fields are exactly the expected ones and each is valid."""
    for key, is_valid in _FIELDS.items():
        if key not in description or not is_valid(description[key]):
            raise DataError(f"{key} in model.json is missing or not what it should be")
    if strange := sorted(description.keys() - _FIELDS.keys()):
        raise DataError(f"model.json holds an unknown field {strange[0]!r}")


def check_onnx(description: Any, format: int) -> None:
    """Raise DataError unless what an ONNX file says of itself has exactly the expected fields, each valid."""
    if not isinstance(description, dict) or description.get("format") != format:
        raise DataError(f"its description is of another format than {format}")
    if description.keys() != _ONNX_FIELDS.keys() or not all(
        is_valid(description[key]) for key, is_valid in _ONNX_FIELDS.items()
    ):
        raise DataError("the fields of its description are not what they should be")


def is_whole(value: Any, least: int = 0) -> bool:
    """Tell whether a value is a whole number of at least this size."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_hash(value: Any) -> bool:
    """Tell whether a value is a SHA-256 in hexadecimal."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def is_accuracy(value: Any) -> bool:
    """Tell whether a value is an accuracy: correct / n, with an interval."""
    if not isinstance(value, dict) or not (is_whole(value.get("right")) and is_whole(value.get("n"), 1)):
        return False
    share, interval = value.get("value"), value.get("interval")
    if not isinstance(interval, list) or len(interval) != 2 or not all(map(is_number, [share, *interval])):
        return False
    return bool(share == value["right"] / value["n"] and 0 <= interval[0] <= share <= interval[1] <= 1)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and is_writable(value)


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Tell whether a value is of finite numbers, texts, and lists and objects of these, not too deep."""
    if depth > MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each, depth + 1) for key, each in value.items())
    if isinstance(value, list):
        return all(_is_plain(each, depth + 1) for each in value)
    return value is None or isinstance(value, bool | str) or is_number(value)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and _is_plain(value)


def _is_architecture(value: Any) -> bool:
    """Tell whether a value is a name and parameters."""
    keys = {"name", "parameters"}
    return (
        isinstance(value, dict) and value.keys() == keys and _is_text(value["name"]) and _is_object(value["parameters"])
    )


def _is_classes(value: Any) -> bool:
    """Tell whether a value is a list of names, perhaps with identifiers; a repeated name needs one."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CLASSES:
        return False
    pairs = set()
    for each in value:
        if not isinstance(each, dict) or not {"name"} <= each.keys() <= {"name", "id"}:
            return False
        if not all(map(_is_text, each.values())):
            return False
        pairs.add((each["name"], each.get("id")))
    counts = Counter(each["name"] for each in value)
    return len(pairs) == len(value) and all(counts[each["name"]] == 1 for each in value if "id" not in each)


def _is_weights(value: Any) -> bool:
    """Tell whether a value names a file and its hash."""
    return (
        isinstance(value, dict)
        and value.keys() == {"file", "sha256"}
        and _is_text(value["file"])
        and is_hash(value["sha256"])
    )


def _is_history(value: Any) -> bool:
    """Tell whether a value is a list of records of numbers, or of numbers by name; None: not measured."""
    return isinstance(value, list) and all(
        isinstance(record, dict)
        and all(
            all(map(is_number, entry.values())) if isinstance(entry, dict) else entry is None or is_number(entry)
            for entry in record.values()
        )
        for record in value
    )


def _is_data(value: Any) -> bool:
    """Tell whether a value is the number of training images and their hash."""
    return (
        isinstance(value, dict)
        and value.keys() == {"images", "sha256"}
        and is_whole(value["images"], 1)
        and is_hash(value["sha256"])
    )


# Of models that were trained here, and of those that somebody published: each field, and whether it may be missing.
_PROVENANCE: dict[str, dict[str, tuple[Callable[[Any], bool], bool]]] = {
    "trained": {
        "data": (_is_data, False),
        "validation": (_is_data, True),  # images that chose the best epoch
        "drawn_from": (_is_data, True),  # the whole training part, validation images included
        "seen": (is_kept_prefixes, True),
        "background": (_is_text, True),  # of transparent images, where it was not white
        "seed": (is_whole, False),
        "device": (_is_text, True),  # that a network was trained on, and by which backend
        "backend": (_is_text, True),
        "recipe": (_is_object, False),
        "history": (_is_history, False),
        "accuracy": (is_accuracy, True),
        "imgtool": (_is_text, True),
        "init": (_is_object, True),
        "vectors": (_is_object, True),  # of the feature file that it was fitted to: descriptor, device, version
    },
    "published": {
        "source": (_is_text, False),
        "license": (_is_text, False),
        "sha256": (_is_object, True),
        "accuracy": (_is_object, True),
    },
}


def _is_provenance(value: Any) -> bool:
    """Tell whether a value says where weights come from."""
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str) or value["kind"] not in _PROVENANCE:
        return False
    known = _PROVENANCE[value["kind"]]
    if value.keys() - known.keys() - {"kind"}:
        return False
    return all(is_valid(value[key]) if key in value else optional for key, (is_valid, optional) in known.items())


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "format": is_whole,
    "architecture": _is_architecture,
    "classes": _is_classes,
    "threshold": lambda value: is_number(value) and 0 <= value <= 1,
    "preprocessing": lambda value: value is None or _is_object(value),
    "provenance": _is_provenance,
    "weights": _is_weights,
    "digest": is_hash,
}

_ONNX_FIELDS: dict[str, Callable[[Any], bool]] = {
    "format": is_whole,
    "architecture": _is_text,
    "classes": _is_classes,
    "threshold": lambda value: is_number(value) and 0 <= value <= 1,
    "preprocessing": lambda value: value is None or _is_object(value),
    "weights": lambda value: value == "" or is_hash(value),
}
