"""The size of an image as an option."""

from __future__ import annotations

from typing import Any

import click


class Shape(click.ParamType):  # type: ignore[type-arg]
    """Channels, rows and columns of an image."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, int]:
        """Return three numbers."""
        parts = value if isinstance(value, tuple) else value.split("x")
        if len(parts) != 3 or not all(str(part).isdecimal() for part in parts):
            self.fail(f"{value!r} is not channels, rows and columns such as 3x224x224", param, ctx)
        channels, rows, columns = map(int, parts)
        return channels, rows, columns
