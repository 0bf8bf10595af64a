"""A declared network as a table: each layer's output shape, parameters and multiply-adds."""

from __future__ import annotations

from typing import Any

from imgtool.networks.declaration import Combinator, Identity, Sequence, Shape


def summary(network: Sequence, shape: Shape) -> list[dict[str, Any]]:
    """Return a row for each layer, and one for their sums, for one input image of this shape.

    Sums and concatenations have a row after their branches, which cost what they cost; a shortcut without a layer
    has none.
    """
    rows: list[dict[str, Any]] = [
        {
            "layer": name,
            "kind": type(layer).__name__,
            "output": "x".join(map(str, output)),
            "parameters": 0 if isinstance(layer, Combinator) else layer.parameters(),
            "multiply-adds": 0 if isinstance(layer, Combinator) else layer.multiply_adds(before),
        }
        for name, layer, before, output in network.shapes(shape)
        if not isinstance(layer, Identity)
    ]
    total = {key: sum(int(row[key]) for row in rows) for key in ("parameters", "multiply-adds")}
    return [*rows, {"layer": "all", "kind": "", "output": "", **total}]
