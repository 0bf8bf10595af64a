"""Networks as data: an ordered declaration of layers, which knows shapes, tensor names and sizes, and computes nothing.

From one declaration both forms are built: by hand in NumPy (`numpy_layers`) and as PyTorch modules
(`torch_layers`). A shape is that of one image without the batch: (channels, height, width) or (values,).
Tensor names are PyTorch's: `conv1.weight`, and `features.0.weight` for the first of a named tuple of layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from imgtool.errors import ParameterError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A layer without parameters that keeps its input's shape; the others say what they change."""

    def tensors(self) -> dict[str, Shape]:
        """Return the shape of each parameter tensor by name."""
        return {}

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the output for one input of this shape."""
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """Return the multiply-adds for one input of this shape."""
        return 0


@dataclass(frozen=True)
class ReLU(Layer):
    """max(x, 0)."""


@dataclass(frozen=True)
class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True)
class Tanh(Layer):
    """tanh(x)."""


@dataclass(frozen=True)
class Dropout(Layer):
    """In training, each value is zero with this probability and the others grow to keep the mean; else nothing."""

    probability: float = 0.5


@dataclass(frozen=True)
class Flatten(Layer):
    """Channels, rows and columns become one vector, columns fastest."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return one number: how many values there are."""
        return (math.prod(shape),)


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """x / (k + alpha / size * sum of squares over `size` neighbouring channels) ** beta (Krizhevsky et al., 2012)."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@dataclass(frozen=True)
class Conv(Layer):
    """Correlation with `outputs` square kernels over all input channels, zeros outside."""

    inputs: int
    outputs: int
    size: int
    stride: int = 1
    padding: int = 0

    def tensors(self) -> dict[str, Shape]:
        """Return weight (outputs, inputs, size, size) and bias (outputs)."""
        return {"weight": (self.outputs, self.inputs, self.size, self.size), "bias": (self.outputs,)}

    def output_shape(self, shape: Shape) -> Shape:
        """Return (outputs, rows, columns)."""
        channels, *sides = _sides(shape)
        if channels != self.inputs:
            raise ParameterError(f"a convolution of {self.inputs} channels cannot take {channels}")
        return (self.outputs, *(_steps(side + 2 * self.padding, self.size, self.stride) for side in sides))

    def multiply_adds(self, shape: Shape) -> int:
        """Return one for each tap, output channel and position."""
        return math.prod(self.output_shape(shape)) * self.inputs * self.size**2


@dataclass(frozen=True)
class MaxPool(Layer):
    """The largest value of each square window; windows that reach past the image are left out."""

    size: int
    stride: int = 0  # 0: as the size

    @property
    def step(self) -> int:
        """The distance between windows."""
        return self.stride or self.size

    def output_shape(self, shape: Shape) -> Shape:
        """Return the same channels, fewer rows and columns."""
        channels, *sides = _sides(shape)
        return (channels, *(_steps(side, self.size, self.step) for side in sides))


@dataclass(frozen=True)
class AdaptiveAvgPool(Layer):
    """The mean of size x size windows; window i of n inputs runs from floor(i n / size) to ceil((i + 1) n / size)."""

    size: int

    def output_shape(self, shape: Shape) -> Shape:
        """Return (channels, size, size)."""
        return (_sides(shape)[0], self.size, self.size)


@dataclass(frozen=True)
class Linear(Layer):
    """weight @ x + bias; with a rank, the weight is the product left @ right of two thin matrices."""

    inputs: int
    outputs: int
    rank: int | None = None

    def tensors(self) -> dict[str, Shape]:
        """Return weight (outputs, inputs), or left (outputs, rank) and right (rank, inputs); and bias (outputs)."""
        if self.rank is None:
            return {"weight": (self.outputs, self.inputs), "bias": (self.outputs,)}
        return {"left": (self.outputs, self.rank), "right": (self.rank, self.inputs), "bias": (self.outputs,)}

    def output_shape(self, shape: Shape) -> Shape:
        """Return (outputs,)."""
        if shape != (self.inputs,):
            raise ParameterError(f"a linear layer of {self.inputs} inputs cannot take {shape}")
        return (self.outputs,)

    def multiply_adds(self, shape: Shape) -> int:
        """Return one for each weight."""
        return sum(math.prod(size) for name, size in self.tensors().items() if name != "bias")


class Network:
    """An ordered declaration: `Network(conv1=Conv(3, 6, 5), ..., classifier=(Dropout(), Linear(84, 10)))`.

    Iterating gives (name, layer) pairs; the layers of a tuple are named `classifier.0`, `classifier.1` and so on.
    """

    def __init__(self, **parts: Layer | tuple[Layer, ...]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[tuple[str, Layer]]:
        for name, part in self.parts.items():
            if isinstance(part, tuple):
                yield from ((f"{name}.{index}", layer) for index, layer in enumerate(part))
            else:
                yield name, part

    def tensors(self) -> dict[str, Shape]:
        """Return the shape of every parameter tensor by its full name, in order."""
        return {f"{name}.{tensor}": shape for name, layer in self for tensor, shape in layer.tensors().items()}

    def parameters(self) -> int:
        """Return how many numbers the network learns."""
        return sum(math.prod(shape) for shape in self.tensors().values())

    def shapes(self, shape: Shape) -> Iterator[tuple[str, Layer, Shape, Shape]]:
        """Yield name, layer, input shape and output shape, in order, for one input image of this shape."""
        for name, layer in self:
            output = layer.output_shape(shape)
            yield name, layer, shape, output
            shape = output


def _sides(shape: Shape) -> Shape:
    """Return the shape if it is that of an image."""
    if len(shape) != 3:
        raise ParameterError(f"the layer needs (channels, rows, columns), and its input is {shape}")
    return shape


def _steps(side: int, size: int, stride: int) -> int:
    """Return how many windows of this size fit."""
    if side < size:
        raise ParameterError(f"the image is too small: a window of {size} does not fit into {side}")
    return (side - size) // stride + 1
