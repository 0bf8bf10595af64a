"""Networks as data: a tree of layers, which knows shapes, tensor names and sizes, and computes nothing.

Three combinators make the tree: `Sequence` (one after the other), `Sum` (residual: body and shortcut) and `Concat`
(branches side by side); its leaves are the `layers`. A fourth, `Auxiliary`, holds what only training sees. From one
declaration both forms are built: by hand in NumPy (`numpy_backend`) and as PyTorch modules (`torch_backend`).

Tensor names are PyTorch's, `conv1.weight` or `features.0.weight`, and only `Sequence` gives them: a part is named by
its keyword, or by its place. `Sum` and `Concat` pass names through: what a positional branch holds is named as if it
stood in the enclosing `Sequence`, a named branch adds its name.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from imgtool.errors import DataError, ParameterError
from imgtool.networks.layers import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Identity,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool,
    ReLU,
    ReLU6,
    Shape,
    Sigmoid,
    Tanh,
)

# A network's file imports layers and combinators from one place.
__all__ = [
    "AdaptiveAvgPool",
    "Auxiliary",
    "AvgPool",
    "BatchNorm",
    "Combinator",
    "Concat",
    "Conv",
    "Dropout",
    "Flatten",
    "Identity",
    "Layer",
    "Linear",
    "LocalResponseNorm",
    "MaxPool",
    "ReLU",
    "ReLU6",
    "Sequence",
    "Shape",
    "Sigmoid",
    "Sum",
    "Tanh",
    "require_arrays",
]

State = TypeVar("State")  # what is known between two layers: a shape, say


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
        """Yield name, layer, input shape and output shape as `walk` does, for an input of this shape."""
        return self.walk(shape, lambda layer, before: layer.output_shape(before))

    def walk(self, start: State, advance: Callable[[Layer, State], State]) -> Iterator[tuple[str, Layer, State, State]]:
        """Yield name, layer, and what is known before and after it, in the order of computation.

        advance: returns what is known after a layer, or a tree of them. Sums and concatenations follow their branches,
        named by their key.
        """
        yield from _walk(self, "", "", start, advance)

    def trunk(self) -> Self:
        """Return all but the last layer, under the same names."""
        *before, (name, last) = self.parts
        if isinstance(last, Sequence):
            return type(self)(**dict(before), **{name: last.trunk()})
        return type(self)(**dict(before))

    def without_auxiliary(self) -> Self:
        """Return the network that predicts: without what only training sees."""
        return type(self)(
            **{
                name: part.without_auxiliary() if isinstance(part, Sequence) else part
                for name, part in self.parts
                if not isinstance(part, Auxiliary)
            }
        )

    def last_learned(self) -> str:
        """Return the name of the last layer with tensors, the one that knows the classes; "" where nothing learns."""
        return ["", *(name for name, layer in self.without_auxiliary().layers() if layer.tensors())][-1]

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


class Sum(_Branches):
    """The sum of what the branches give: `Sum(body, downsample=shortcut)` or `Sum(body, Identity())`."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return what every branch gives."""
        first, *others = (branch.output_shape(shape) for _, branch in self.branches)
        if any(other != first for other in others):
            raise ParameterError(f"branches of a sum give different shapes: {[first, *others]}")
        return first


class Concat(_Branches):
    """What the branches give, side by side along the channels, in order."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return the sum of channels; rows and columns are those of every branch."""
        shapes = [branch.output_shape(shape) for _, branch in self.branches]
        if len({each[1:] for each in shapes}) > 1:
            raise ParameterError(f"branches of a concatenation give different sides: {shapes}")
        return (sum(each[0] for each in shapes), *shapes[0][1:])


@dataclass(frozen=True)
class Auxiliary(Combinator):
    """A classifier in the middle of a network, which helps to train what lies before it and passes its input on.

    Szegedy et al. (CVPR 2015), section 5. The network that predicts is without it (`Sequence.without_auxiliary`), and
    so are counts of multiply-adds and summaries.
    """

    body: Sequence

    def children(self) -> tuple[tuple[str, Layer], ...]:
        """Return the classifier, which adds no name of its own."""
        return (("", self.body),)


def require_arrays(expected: Mapping[str, Shape], arrays: Mapping[str, Any]) -> None:
    """Raise DataError, naming the first, unless the arrays have the expected names and shapes."""
    if strange := sorted(expected.keys() ^ arrays.keys()):
        raise DataError(f"weights do not fit: {strange[0]} is {'missing' if strange[0] in expected else 'unknown'}")
    for name, shape in expected.items():
        if tuple(arrays[name].shape) != shape:
            raise DataError(f"weights do not fit: {name} is {tuple(arrays[name].shape)}, not {shape}")


def _walk(
    part: Layer, space: str, name: str, state: State, advance: Callable[[Layer, State], State]
) -> Iterator[tuple[str, Layer, State, State]]:
    """Yield what `Sequence.walk` yields for one part. space: the prefix of names in the enclosing sequence."""
    if isinstance(part, Sequence):
        for key, each in part.parts:
            inner = space if isinstance(each, _Branches) else f"{space}{key}."
            yield from _walk(each, inner, key, state, advance)
            state = advance(each, state)
        return
    if isinstance(part, _Branches):
        for prefix, branch in part.children():
            yield from _walk(branch, space + prefix, name, state, advance)
        yield space + name, part, state, advance(part, state)
    else:
        yield space.removesuffix("."), part, state, advance(part, state)


def _require_distinct(network: Sequence) -> None:
    """Raise ParameterError when a layer with tensors has the name of another."""
    layers = list(network.layers())
    if len(dict(layers)) == len(layers):
        return
    counts = Counter(name for name, _ in layers)
    for name, layer in layers:
        if counts[name] > 1 and layer.arrays():
            raise ParameterError(f"two layers of the network are called {name}")
