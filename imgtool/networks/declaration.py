"""Networks as data: a tree of layers, which knows shapes, tensor names and sizes, and computes nothing.

Three combinators make the tree: `Sequence` (one after the other), `Sum` (residual: body and shortcut) and `Concat`
(branches side by side). From one declaration both forms are built: by hand in NumPy (`numpy_backend`) and as PyTorch
modules (`torch_backend`). A shape is that of one image without the batch: (channels, height, width) or (values,).

Tensor names are PyTorch's, `conv1.weight` or `features.0.weight`, and only `Sequence` gives them: a part is named by
its keyword, or by its place. `Sum` and `Concat` pass names through: what a positional branch holds is named as if it
stood in the enclosing `Sequence`, a named branch adds its name. Tensors are learned; buffers are the statistics that
batch normalization keeps beside them; both together are a network's arrays.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from imgtool.errors import DataError, ParameterError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A layer without tensors that keeps its input's shape; the others say what they change."""

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


@dataclass(frozen=True)
class Identity(Layer):
    """The input itself: a shortcut, or what a dense layer adds its channels to."""


@dataclass(frozen=True)
class ReLU(Layer):
    """max(x, 0)."""


@dataclass(frozen=True)
class ReLU6(Layer):
    """min(max(x, 0), 6)."""


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


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The largest value of each square window."""


@dataclass(frozen=True)
class AvgPool(_Pool):
    """The mean of each square window; count_padding: zeros of the padding count as values."""

    count_padding: bool = True


@dataclass(frozen=True)
class AdaptiveAvgPool(Layer):
    """The mean of size x size windows; window i of n inputs runs from floor(i n / size) to ceil((i + 1) n / size)."""

    size: int

    def output_shape(self, shape: Shape) -> Shape:
        """Return (channels, size, size)."""
        return (_image(shape)[0], self.size, self.size)


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


@dataclass(frozen=True)
class Combinator(Layer):
    """A layer made of layers."""

    @abstractmethod
    def children(self) -> tuple[tuple[str, Layer], ...]:
        """Return what it is made of, each with the prefix that it adds to names: empty, or a name and a dot."""

    def tensors(self) -> dict[str, Shape]:
        """Return the shape of every learned tensor by its full name, in order."""
        return {prefix + name: shape for prefix, part in self.children() for name, shape in part.tensors().items()}

    def buffers(self) -> dict[str, Shape]:
        """Return the shape of every buffer by its full name, in order."""
        return {prefix + name: shape for prefix, part in self.children() for name, shape in part.buffers().items()}

    def arrays(self) -> dict[str, Shape]:
        """Return the shape of every tensor and buffer by its full name, layer by layer."""
        return {prefix + name: shape for prefix, part in self.children() for name, shape in part.arrays().items()}

    def layers(self) -> Iterator[tuple[str, Layer]]:
        """Yield name and layer of everything that is no combinator, in order."""
        for prefix, part in self.children():
            if isinstance(part, Combinator):
                yield from ((prefix + name, layer) for name, layer in part.layers())
            else:
                yield prefix.removesuffix("."), part


@dataclass(frozen=True, init=False)
class Sequence(Combinator):
    """Layers one after the other: `Sequence(conv1=Conv(3, 6, 5), relu1=ReLU(), classifier=Sequence(Linear(84, 10)))`.

    A network is a sequence. Positional parts are named "0", "1" and so on.
    """

    parts: tuple[tuple[str, Layer], ...]

    def __init__(self, *layers: Layer, **named: Layer) -> None:
        parts = (*((str(index), layer) for index, layer in enumerate(layers)), *named.items())
        object.__setattr__(self, "parts", parts)
        _require_distinct(self)

    def children(self) -> tuple[tuple[str, Layer], ...]:
        """Return the parts; sums and concatenations add no name."""
        return tuple(("" if isinstance(part, _Branches) else f"{name}.", part) for name, part in self.parts)

    def output_shape(self, shape: Shape) -> Shape:
        """Return what the last part gives."""
        for _, part in self.parts:
            shape = part.output_shape(shape)
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """Return the sum over all parts."""
        total = 0
        for _, part in self.parts:
            total += part.multiply_adds(shape)
            shape = part.output_shape(shape)
        return total

    def shapes(self, shape: Shape) -> Iterator[tuple[str, Layer, Shape, Shape]]:
        """Yield name, layer, input shape and output shape in the order of computation, for an input of this shape.

        Sums and concatenations follow their branches, named by their key.
        """
        yield from _shapes(self, "", "", shape)

    def trunk(self) -> Self:
        """Return all but the last layer, under the same names."""
        *before, (name, last) = self.parts
        if isinstance(last, Sequence):
            return type(self)(**dict(before), **{name: last.trunk()})
        return type(self)(**dict(before))

    def head(self) -> tuple[str, Layer]:
        """Return name and layer of the last layer. Raises ParameterError where that is a sum or a concatenation."""
        name, last = self.parts[-1]
        if isinstance(last, Sequence):
            inner, layer = last.head()
            return f"{name}.{inner}", layer
        if isinstance(last, Combinator):
            raise ParameterError(f"the network ends in a {type(last).__name__}, which is no layer of its own")
        return name, last


@dataclass(frozen=True, init=False)
class _Branches(Combinator):
    """What sums and concatenations share: branches that see the same input. Positional ones have the name ""."""

    branches: tuple[tuple[str, Layer], ...]

    def __init__(self, *branches: Layer, **named: Layer) -> None:
        object.__setattr__(self, "branches", (*(("", branch) for branch in branches), *named.items()))
        if any(branch.arrays() and not isinstance(branch, Combinator) for branch in branches):
            raise ParameterError("a branch that is one layer with tensors needs a name")

    def children(self) -> tuple[tuple[str, Layer], ...]:
        """Return the branches; positional ones add no name."""
        return tuple((f"{name}." if name else "", branch) for name, branch in self.branches)

    def multiply_adds(self, shape: Shape) -> int:
        """Return the sum over all branches."""
        return sum(branch.multiply_adds(shape) for _, branch in self.branches)


@dataclass(frozen=True, init=False)
class Sum(_Branches):
    """The sum of what the branches give: `Sum(body, downsample=shortcut)` or `Sum(body, Identity())`."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return what every branch gives."""
        first, *others = (branch.output_shape(shape) for _, branch in self.branches)
        if any(other != first for other in others):
            raise ParameterError(f"branches of a sum give different shapes: {[first, *others]}")
        return first


@dataclass(frozen=True, init=False)
class Concat(_Branches):
    """What the branches give, side by side along the channels, in order."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return the sum of channels; rows and columns are those of every branch."""
        shapes = [branch.output_shape(shape) for _, branch in self.branches]
        if len({each[1:] for each in shapes}) > 1:
            raise ParameterError(f"branches of a concatenation give different sides: {shapes}")
        return (sum(each[0] for each in shapes), *shapes[0][1:])


def require_arrays(expected: Mapping[str, Shape], arrays: Mapping[str, Any]) -> None:
    """Raise DataError, naming the first, unless the arrays have the expected names and shapes."""
    if strange := sorted(expected.keys() ^ arrays.keys()):
        raise DataError(f"weights do not fit: {strange[0]} is {'missing' if strange[0] in expected else 'unknown'}")
    for name, shape in expected.items():
        if tuple(arrays[name].shape) != shape:
            raise DataError(f"weights do not fit: {name} is {tuple(arrays[name].shape)}, not {shape}")


def _shapes(part: Layer, space: str, name: str, shape: Shape) -> Iterator[tuple[str, Layer, Shape, Shape]]:
    """Yield what `Sequence.shapes` yields for one part. space: the prefix of names in the enclosing sequence."""
    if isinstance(part, Sequence):
        for key, each in part.parts:
            inner = space if isinstance(each, _Branches) else f"{space}{key}."
            yield from _shapes(each, inner, key, shape)
            shape = each.output_shape(shape)
        return
    if isinstance(part, _Branches):
        for prefix, branch in part.children():
            yield from _shapes(branch, space + prefix, name, shape)
        yield space + name, part, shape, part.output_shape(shape)
    else:
        yield space.removesuffix("."), part, shape, part.output_shape(shape)


def _require_distinct(network: Sequence) -> None:
    """Raise ParameterError when a layer with tensors has the name of another."""
    counts = Counter(name for name, _ in network.layers())
    for name, layer in network.layers():
        if counts[name] > 1 and layer.arrays():
            raise ParameterError(f"two layers of the network are called {name}")


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
