"""A declared network as a table: what each layer makes of an image, and what it costs."""

from __future__ import annotations

import math
from typing import Any

from imgtool.networks.declaration import Network, Shape


def summary(network: Network, shape: Shape) -> list[dict[str, Any]]:
    """Return a row for each layer, and one for their sums, for one input image of this shape."""
    rows: list[dict[str, Any]] = [
        {
            "layer": name,
            "kind": type(layer).__name__,
            "output": "x".join(map(str, output)),
            "parameters": sum(math.prod(size) for size in layer.tensors().values()),
            "multiply-adds": layer.multiply_adds(before),
        }
        for name, layer, before, output in network.shapes(shape)
    ]
    total = {key: sum(int(row[key]) for row in rows) for key in ("parameters", "multiply-adds")}
    return [*rows, {"layer": "all", "kind": "", "output": "", **total}]
