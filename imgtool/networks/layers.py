"""The layers that networks are declared of: each knows its tensors, its output's shape and its cost.

They compute nothing; `declaration` puts them together. A shape is that of one image without the batch: (channels,
height, width) or (values,). Tensors are learned; buffers are the statistics that batch normalization keeps beside them;
both together are a layer's arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from imgtool.errors import ParameterError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A layer without tensors that keeps its input's shape; the others say what they change.

    Those without values of their own inherit equality and the rest: to make it again for each takes time at start.
    """

    def tensors(self) -> dict[str, Shape]:
        """Return the shape of each learned tensor by name."""
        return {}

    def buffers(self) -> dict[str, Shape]:
        """Return the shape of each array that is kept but not learned, by name."""
        return {}

    def arrays(self) -> dict[str, Shape]:
        """Return tensors and buffers, layer by layer."""
        return self.tensors() | self.buffers()

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the output for one input of this shape."""
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """Return the multiply-adds for one input of this shape."""
        return 0

    def parameters(self) -> int:
        """Return how many numbers are learned."""
        return sum(math.prod(shape) for shape in self.tensors().values())


class Identity(Layer):
    """The input itself: a shortcut, or what a dense layer adds its channels to."""


class ReLU(Layer):
    """max(x, 0)."""


class ReLU6(Layer):
    """min(max(x, 0), 6)."""


class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""


class Tanh(Layer):
    """tanh(x)."""


ACTIVATIONS: dict[str, Layer] = {"relu": ReLU(), "tanh": Tanh(), "sigmoid": Sigmoid()}


def activation_named(name: str) -> Layer:
    """Return the nonlinearity of this name. Raises ParameterError where there is none."""
    if name not in ACTIVATIONS:
        raise ParameterError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name}")
    return ACTIVATIONS[name]


@dataclass(frozen=True)
class Dropout(Layer):
    """In training, each value is zero with this probability and the others grow to keep the mean; else nothing."""

    probability: float = 0.5


class Flatten(Layer):
    """Channels, rows and columns become one vector, columns fastest."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return one number: how many values there are."""
        return (math.prod(shape),)


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """x / (k + alpha / size * sum of squares over `size` neighboring channels) ** beta (Krizhevsky et al., 2012)."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@dataclass(frozen=True)
class BatchNorm(Layer):
    """weight * (x - mean) / sqrt(variance + eps) + bias for each channel (Ioffe and Szegedy, ICML 2015).

    Mean and variance are the batch's in training and the running ones otherwise.
    """

    channels: int
    eps: float = 1e-5

    def tensors(self) -> dict[str, Shape]:
        """Return weight and bias (channels)."""
        return {"weight": (self.channels,), "bias": (self.channels,)}

    def buffers(self) -> dict[str, Shape]:
        """Return the running mean and variance (channels)."""
        return {"running_mean": (self.channels,), "running_var": (self.channels,)}

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the input, which must have these channels."""
        if _image(shape)[0] != self.channels:
            raise ParameterError(f"a batch normalization of {self.channels} channels cannot take {shape[0]}")
        return shape


@dataclass(frozen=True)
class Conv(Layer):
    """Correlation with `outputs` square kernels, zeros outside.

    padding: rows and columns of zeros on each side, or "same" as TensorFlow has it: ceil(side / stride) windows, and
    where the zeros that this takes are odd in number, the additional one comes after the image. groups: the channels
    are that many blocks, and each output sees only the inputs of its block.
    """

    inputs: int
    outputs: int
    size: int
    stride: int = 1
    padding: int | Literal["same"] = 0
    bias: bool = True
    groups: int = 1

    def __post_init__(self) -> None:
        if self.inputs % self.groups or self.outputs % self.groups:
            raise ParameterError(f"{self.inputs} inputs and {self.outputs} outputs are not {self.groups} equal groups")

    def tensors(self) -> dict[str, Shape]:
        """Return weight (outputs, inputs / groups, size, size) and bias (outputs)."""
        weight: Shape = (self.outputs, self.inputs // self.groups, self.size, self.size)
        return {"weight": weight, "bias": (self.outputs,)} if self.bias else {"weight": weight}

    def margins(self, side: int) -> tuple[int, int]:
        """Return how many zeros stand before and after an axis of this length."""
        if self.padding != "same":
            return self.padding, self.padding
        total = max((-(-side // self.stride) - 1) * self.stride + self.size - side, 0)
        return total // 2, total - total // 2

    def output_shape(self, shape: Shape) -> Shape:
        """Return (outputs, rows, columns)."""
        channels, *sides = _image(shape)
        if channels != self.inputs:
            raise ParameterError(f"a convolution of {self.inputs} channels cannot take {channels}")
        return (self.outputs, *(_windows(side + sum(self.margins(side)), self.size, self.stride) for side in sides))

    def multiply_adds(self, shape: Shape) -> int:
        """Return one for each tap, output channel and position."""
        return math.prod(self.output_shape(shape)) * math.prod(self.tensors()["weight"][1:])


@dataclass(frozen=True)
class _Pool(Layer):
    """What pools share: square windows, `stride` apart (0: their size), with `padding` on each side.

    Windows that reach past the padding are left out, or with `ceil` shrunk to it; there a window must begin inside the
    image or the padding before it (PyTorch's rule).
    """

    size: int
    stride: int = 0
    padding: int = 0
    ceil: bool = False

    def __post_init__(self) -> None:
        if self.padding > self.size // 2:
            raise ParameterError(f"a pool of size {self.size} takes a padding of at most half, got {self.padding}")

    @property
    def step(self) -> int:
        """The distance between windows."""
        return self.stride or self.size

    def windows(self, side: int) -> int:
        """Return how many windows an axis of this length has."""
        padded = side + 2 * self.padding
        if not self.ceil:
            return _windows(padded, self.size, self.step)
        count = max(-(-(padded - self.size) // self.step), 0) + 1
        return count - 1 if (count - 1) * self.step >= side + self.padding else count

    def margins(self, side: int) -> tuple[int, int]:
        """Return how far the windows reach before and past an axis of this length."""
        return self.padding, max((self.windows(side) - 1) * self.step + self.size - side - self.padding, 0)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the same channels, fewer rows and columns."""
        channels, *sides = _image(shape)
        return (channels, *map(self.windows, sides))


class MaxPool(_Pool):
    """The largest value of each square window."""


@dataclass(frozen=True)
class AvgPool(_Pool):
    """The mean of each square window; count_padding: zeros of the padding count as values."""

    count_padding: bool = True

    def counts(self, side: int) -> list[int]:
        """Return over how many values of an axis of this length each window's mean is taken; past the padding none."""
        margin = self.padding if self.count_padding else 0
        begins = [i * self.step - self.padding for i in range(self.windows(side))]
        return [min(begin + self.size, side + margin) - max(begin, -margin) for begin in begins]


@dataclass(frozen=True)
class AdaptiveAvgPool(Layer):
    """The mean of size x size windows; window i of n inputs runs from floor(i n / size) to ceil((i + 1) n / size)."""

    size: int

    def output_shape(self, shape: Shape) -> Shape:
        """Return (channels, size, size)."""
        return (_image(shape)[0], self.size, self.size)

    def windows(self, side: int) -> list[tuple[int, int]]:
        """Return where each window of an axis of this length begins and ends."""
        return [(i * side // self.size, -((i + 1) * side // -self.size)) for i in range(self.size)]


@dataclass(frozen=True)
class Linear(Layer):
    """weight @ x + bias; with a rank, the weight is the product left @ right of two low-rank factors."""

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


def _image(shape: Shape) -> Shape:
    """Return the shape if it is that of an image."""
    if len(shape) != 3:
        raise ParameterError(f"the layer needs (channels, rows, columns), and its input is {shape}")
    return shape


def _windows(side: int, size: int, stride: int) -> int:
    """Return how many windows of this size fit."""
    if side < size:
        raise ParameterError(f"the image is too small: a window of {size} does not fit into {side}")
    return (side - size) // stride + 1
