"""What a cluster's worker was sent to keep: values by their hash, such as a network's weights."""

from __future__ import annotations

from typing import Any

_values: dict[str, Any] = {}


def receive(key: str, value: Any) -> None:
    """Keep a value in this process."""
    _values[key] = value


def received(key: str) -> Any:
    """Return what was sent to this process under a key, None for nothing."""
    return _values.get(key)
