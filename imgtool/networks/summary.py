"""A declared network as a table: each layer's output, window, parameters, multiply-adds, receptive field and memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from imgtool.networks.declaration import (
    AdaptiveAvgPool,
    AvgPool,
    Combinator,
    Conv,
    Identity,
    Layer,
    Linear,
    MaxPool,
    Sequence,
    Shape,
)

COSTS = ("parameters", "multiply-adds", "memory")
BYTES = 4  # of a number in float32


@dataclass(frozen=True)
class Axis:
    """What outputs see along one axis of the image.

    size: pixels that one output depends on; step: pixels from one output to the next; count: how many outputs there
    are. Padding counts as pixels, so that a size may be larger than the image.
    """

    size: int
    step: int
    count: int

    def after_windows(self, size: int, step: int, count: int) -> Axis:
        """Return what windows of so many outputs see."""
        return Axis(self.size + (size - 1) * self.step, self.step * step, count)


@dataclass(frozen=True)
class Seen:
    """What a layer gives: its shape, and what its outputs see of rows and columns."""

    shape: Shape
    axes: tuple[Axis, Axis]


def summary(network: Sequence, shape: Shape) -> list[dict[str, Any]]:
    """Return a row for each layer, and one for their sums, for one input image of this shape.

    Rows hold layer, kind, output; kernel, stride and padding, None for layers without windows; parameters,
    multiply-adds; memory, the bytes of the output and of the layer's arrays in float32; and receptive-field, the pixels
    that one output depends on, along the longer side. Sums and concatenations have a row after their branches, which
    cost what they cost; a shortcut without a layer has none.
    """
    rows = [
        {
            "layer": name,
            "kind": type(layer).__name__,
            "output": "x".join(map(str, after.shape)),
            **dict(zip(("kernel", "stride", "padding"), window_of(layer), strict=True)),
            **_costs(layer, before.shape, after.shape),
            "receptive-field": max(axis.size for axis in after.axes),
        }
        for name, layer, before, after in network.walk(start(shape), advance)
        if not isinstance(layer, Identity)
    ]
    total = {key: sum(row[key] for row in rows) for key in COSTS}
    return [*rows, {**dict.fromkeys(rows[0], None), "layer": "all", "kind": "", "output": "", **total}]


def _costs(layer: Layer, before: Shape, after: Shape) -> dict[str, Any]:
    """Return what a layer costs by itself."""
    if isinstance(layer, Combinator):
        return dict.fromkeys(COSTS, 0)
    arrays = sum(math.prod(shape) for shape in layer.arrays().values())
    costs = layer.parameters(), layer.multiply_adds(before), BYTES * (math.prod(after) + arrays)
    return dict(zip(COSTS, costs, strict=True))


def window_of(layer: Layer) -> tuple[int | None, int | None, int | str | None]:
    """Return kernel, stride and padding of a layer that looks at windows; of others None."""
    if isinstance(layer, Conv):
        return layer.size, layer.stride, layer.padding
    if isinstance(layer, MaxPool | AvgPool):
        return layer.size, layer.step, layer.padding
    return None, None, None


def start(shape: Shape) -> Seen:
    """Return what is known of an image of this shape."""
    return Seen(shape, (Axis(1, 1, shape[1]), Axis(1, 1, shape[2])))


def advance(layer: Layer, before: Seen) -> Seen:
    """Return what a layer, or a tree of them, gives for what it is given."""
    if isinstance(layer, Sequence):
        for _, part in layer.parts:
            before = advance(part, before)
        return before
    shape = layer.output_shape(before.shape)
    if isinstance(layer, Combinator):
        branches = [advance(branch, before) for _, branch in layer.children()]
        rows, columns = (
            max(axes, key=lambda axis: axis.size) for axes in zip(*(b.axes for b in branches), strict=True)
        )
        return Seen(shape, (rows, columns))
    rows, columns = before.axes
    size, step, _ = window_of(layer)
    if size is not None and step is not None:
        ends = (rows.after_windows(size, step, shape[1]), columns.after_windows(size, step, shape[2]))
    elif isinstance(layer, AdaptiveAvgPool):
        ends = (_adaptive(rows, layer.size), _adaptive(columns, layer.size))
    elif isinstance(layer, Linear):  # sees all that was flattened
        ends = (rows.after_windows(rows.count, 1, 1), columns.after_windows(columns.count, 1, 1))
    else:
        ends = (rows, columns)
    return Seen(shape, ends)


def _adaptive(axis: Axis, count: int) -> Axis:
    """Return what the largest of the windows sees into which adaptive pooling divides an axis."""
    edges = [(i * axis.count // count, -((i + 1) * axis.count // -count)) for i in range(count)]
    return axis.after_windows(max(end - begin for begin, end in edges), max(axis.count // count, 1), count)
