"""Layers with forward and backward passes, in NumPy alone.

A layer maps a batch (n, *shape) to a batch. `forward` pushes what `backward` needs onto the tape of the pass.
`backward` takes the gradient of a loss with respect to the output, pops from the tape (last in, first out), stores the
gradients of the layer's tensors in `gradients`, and returns the gradient with respect to the input. Without a tape
nothing is kept, so that threads may share a network to predict and memory does not grow with depth; only one thread may
train. Everything is computed in the type of the weights, float32 or float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import Any

import numpy as np

from imgtool.errors import ParameterError
from imgtool.filters.engine.gemm import col2im, im2col
from imgtool.networks import declaration as declared

Arrays = dict[str, np.ndarray]
Margins = Sequence[tuple[int, int]]  # what is added before and after rows, and before and after columns

COLUMN_VALUES = 1 << 20  # windows of at most so many values, or of one image, are laid out in columns at a time


@dataclass
class Tape:
    """What one forward pass keeps for its backward pass, and how it is done.

    training: batch normalization takes the batch's statistics and moves the running ones towards them by `momentum`;
    dropout drops, where there is a generator. blank: keep nothing, for passes that only measure statistics.
    """

    training: bool = False
    generator: np.random.Generator | None = None
    momentum: float = 0.1
    blank: bool = False
    memory: list[Any] = field(default_factory=list)

    def keep(self, value: Any) -> None:
        """Put a value on the tape, from which `memory.pop` takes it."""
        if not self.blank:
            self.memory.append(value)


class Layer:
    """A layer without tensors; `declared` says its sizes."""

    def __init__(self, layer: Any, arrays: Arrays) -> None:
        self.declared = layer
        self.arrays = arrays
        self.gradients: Arrays = {}

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Return the output for a batch."""
        return x

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Return the loss's gradient with respect to the input of the pass on the tape."""
        return gradient


class Chain(Layer):
    """One layer after the other."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__(None, {})
        self.layers = layers

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Hand each output to the next layer."""
        for layer in self.layers:
            x = layer.forward(x, tape)
        return x

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Hand each gradient to the layer before."""
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient, tape)
        return gradient


class Sum(Chain):
    """The sum of what the branches give."""

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Hand the input to each branch, add the outputs."""
        return reduce(np.add, [branch.forward(x, tape) for branch in self.layers])

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Hand the gradient to each branch; at the shared input gradients add."""
        return reduce(np.add, [branch.backward(gradient, tape) for branch in reversed(self.layers)])


class Concat(Chain):
    """What the branches give, side by side along the channels."""

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Hand the input to each branch, join the outputs."""
        outputs = [branch.forward(x, tape) for branch in self.layers]
        if tape:
            tape.keep(np.cumsum([output.shape[1] for output in outputs])[:-1])
        return np.concatenate(outputs, axis=1)

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Hand each branch its channels' gradient; at the shared input gradients add."""
        parts = np.split(gradient, tape.memory.pop(), axis=1)
        pairs = zip(reversed(self.layers), reversed(parts), strict=True)
        return reduce(np.add, [branch.backward(part, tape) for branch, part in pairs])


class Linear(Layer):
    """y = x W^T + b; with low-rank factors y = (x R^T) L^T + b."""

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Map (n, inputs) to (n, outputs)."""
        for name in ("weight",) if self.declared.rank is None else ("right", "left"):
            if tape:
                tape.keep(x)
            x = x @ self.arrays[name].T
        return np.asarray(x + self.arrays["bias"])

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Keep the gradients of weight (or left and right) and bias."""
        self.gradients["bias"] = gradient.sum(axis=0)
        for name in ("weight",) if self.declared.rank is None else ("left", "right"):
            self.gradients[name] = gradient.T @ tape.memory.pop()
            gradient = gradient @ self.arrays[name]
        return gradient


class Conv(Layer):
    """Correlation with zeros outside, as one matrix product of the kernels with the windows' columns.

    Weights are (groups, outputs / groups, values of a window), columns (n, groups, values of a window, positions).
    """

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Map (n, inputs, rows, columns) to (n, outputs, rows, columns)."""
        if tape:
            tape.keep(x)
        layer, weight = self.declared, self._weight()
        padded = _pad(x, self._margins(x))
        sides = [(side - layer.size) // layer.stride + 1 for side in padded.shape[2:]]
        y = np.empty((len(x), *weight.shape[:2], sides[0] * sides[1]), np.result_type(x, weight))
        step = max(1, COLUMN_VALUES // (layer.groups * weight.shape[2] * y.shape[3]))
        for i in range(0, len(x), step):
            np.matmul(weight, self._columns(padded[i : i + step]), out=y[i : i + step])
        y = y.reshape(len(x), layer.outputs, *sides)
        if layer.bias:
            y += self.arrays["bias"][:, None, None]
        return y

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Keep the gradients of weight and bias; add the columns' gradient up at their places."""
        layer, weight, x = self.declared, self._weight(), tape.memory.pop()
        padded = _pad(x, self._margins(x))
        flat = gradient.reshape(len(x), layer.groups, weight.shape[1], -1)
        if layer.bias:
            self.gradients["bias"] = gradient.sum(axis=(0, 2, 3))
        products = flat @ self._columns(padded).swapaxes(2, 3)
        self.gradients["weight"] = products.sum(axis=0).reshape(self.arrays["weight"].shape)
        columns = (weight.swapaxes(1, 2) @ flat).reshape(len(x), layer.inputs * layer.size**2, -1)
        return _inside(col2im(columns, padded.shape, layer.size, stride=layer.stride), self._margins(x))

    def _weight(self) -> np.ndarray:
        return self.arrays["weight"].reshape(self.declared.groups, self.declared.outputs // self.declared.groups, -1)

    def _margins(self, x: np.ndarray) -> Margins:
        return [self.declared.margins(side) for side in x.shape[2:]]

    def _columns(self, padded: np.ndarray) -> np.ndarray:
        columns = im2col(padded, self.declared.size, stride=self.declared.stride)
        return columns.reshape(len(padded), self.declared.groups, -1, columns.shape[2])


def _pad(x: np.ndarray, margins: Margins, value: float = 0.0) -> np.ndarray:
    """Return the images with a frame of this value, or as they are where there is none."""
    (top, bottom), (left, right) = margins
    if not (top or bottom or left or right):
        return x
    rows, columns = x.shape[2:]
    padded = np.full((*x.shape[:2], top + rows + bottom, left + columns + right), value, x.dtype)
    padded[:, :, top : top + rows, left : left + columns] = x
    return padded


def _inside(padded: np.ndarray, margins: Margins) -> np.ndarray:
    """Return the images without their frame."""
    (top, bottom), (left, right) = margins
    return padded[:, :, top : padded.shape[2] - bottom, left : padded.shape[3] - right]


class BatchNorm(Layer):
    """y = weight (x - mean) / sqrt(variance + eps) + bias, each channel by itself."""

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Keep the shape; in training take the batch's mean and variance and move the running ones."""
        mean, variance = self.arrays["running_mean"], self.arrays["running_var"]
        if tape and tape.training:
            mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
            self._move(mean, variance, x.size // x.shape[1], tape.momentum)
        scale = 1 / np.sqrt(variance + x.dtype.type(self.declared.eps))
        if tape:
            tape.keep(((x - _spread(mean)) * _spread(scale), scale))
        factor = self.arrays["weight"] * scale
        y = x * _spread(factor)
        y += _spread(self.arrays["bias"] - mean * factor)
        return np.asarray(y)

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Keep the gradients of weight and bias; in training, mean and variance pass a part of it on."""
        normalized, scale = tape.memory.pop()
        self.gradients["bias"] = gradient.sum(axis=(0, 2, 3))
        self.gradients["weight"] = (gradient * normalized).sum(axis=(0, 2, 3))
        factor = _spread(self.arrays["weight"] * scale)
        if not tape.training:
            return np.asarray(gradient * factor)
        count = gradient.size // gradient.shape[1]
        shared = _spread(self.gradients["bias"]) + normalized * _spread(self.gradients["weight"])
        return np.asarray(factor * (gradient - shared / count))

    def _move(self, mean: np.ndarray, variance: np.ndarray, count: int, momentum: float) -> None:
        """Move the running statistics in place; the running variance is that of the population, divided by n - 1."""
        if count < 2:
            raise ParameterError("batch normalization needs more than one value for each channel in training")
        for name, value in (("running_mean", mean), ("running_var", variance * (count / (count - 1)))):
            self.arrays[name] += momentum * (value - self.arrays[name])


def _spread(values: np.ndarray) -> np.ndarray:
    """Return a number for each channel in the form that meets (n, channels, rows, columns)."""
    return values[:, None, None]


class MaxPool(Layer):
    """The largest value of each window; the gradient goes to the first place where it stands."""

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Map (n, channels, rows, columns) to fewer rows and columns."""
        margins, places = _plan(self.declared, x.shape[1:])
        padded = _pad(x, margins, -np.inf)
        best = padded[places[0]].copy()
        for place in places[1:]:
            np.maximum(best, padded[place], out=best)
        if tape:
            tape.keep((padded, best, x.shape[1:]))
        return np.asarray(best)

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Send each gradient to the place of its maximum."""
        padded, best, shape = tape.memory.pop()
        margins, places = _plan(self.declared, shape)
        result, unsent = np.zeros_like(padded), np.ones(gradient.shape, bool)
        for place in places:
            here = unsent & (padded[place] == best)
            result[place] += gradient * here
            unsent &= ~here
        return _inside(result, margins)


class AvgPool(Layer):
    """The mean of each window."""

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Map (n, channels, rows, columns) to fewer rows and columns."""
        if tape:
            tape.keep(x.shape)
        margins, places = _plan(self.declared, x.shape[1:])
        padded = _pad(x, margins)
        total = padded[places[0]].copy()
        for place in places[1:]:
            total += padded[place]
        return np.asarray(total / self._counts(x.shape).astype(x.dtype))

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Spread each gradient over its window."""
        shape = tape.memory.pop()
        margins, places = _plan(self.declared, shape[1:])
        sides = [side + sum(margin) for side, margin in zip(shape[2:], margins, strict=True)]
        result, share = np.zeros((*shape[:2], *sides), gradient.dtype), gradient / self._counts(shape)
        for place in places:
            result[place] += share
        return _inside(result, margins)

    def _counts(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return how many values each window's sum is divided by: the padding's count or not, what is past it never."""
        layer, counts = self.declared, []
        margin = layer.padding if layer.count_padding else 0
        for side in shape[2:]:
            begin = np.arange(layer.windows(side)) * layer.step - layer.padding
            counts.append(np.minimum(begin + layer.size, side + margin) - np.maximum(begin, -margin))
        return np.outer(*counts)


@lru_cache(maxsize=64)
def _plan(pool: declared.MaxPool | declared.AvgPool, shape: tuple[int, ...]) -> tuple[Margins, list[Any]]:
    """Return the margins, and for each place in a window the index of that place in all windows of padded images."""
    _, rows, columns = pool.output_shape(shape)
    step = pool.step
    places = [
        np.s_[:, :, v : v + step * (rows - 1) + 1 : step, u : u + step * (columns - 1) + 1 : step]
        for v in range(pool.size)
        for u in range(pool.size)
    ]
    return [pool.margins(side) for side in shape[1:]], places


class AdaptiveAvgPool(Layer):
    """Means over size x size windows that cover the image: a matrix for rows, one for columns."""

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Map (n, channels, rows, columns) to (n, channels, size, size)."""
        down, across = (_means(side, self.declared.size, x.dtype) for side in x.shape[2:])
        if tape:
            tape.keep((down, across))
        if x.shape[2:] == (self.declared.size, self.declared.size):
            return x
        return np.asarray(down @ x @ across.T)

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Spread each gradient over its window."""
        down, across = tape.memory.pop()
        return np.asarray(down.T @ gradient @ across)


def _means(side: int, size: int, dtype: Any) -> np.ndarray:
    """Return the (size, side) matrix of means; window i runs from floor(i side / size) to ceil((i + 1) side / size)."""
    matrix = np.zeros((size, side), dtype)
    for i in range(size):
        begin, end = i * side // size, -((i + 1) * side // -size)
        matrix[i, begin:end] = 1.0 / (end - begin)
    return matrix


class LocalResponseNorm(Layer):
    """y_c = x_c s_c^-beta with s_c = k + alpha / size * sum of x^2 over the channels around c."""

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Keep the shape."""
        layer = self.declared
        sums = layer.k + layer.alpha / layer.size * self._around(x**2)
        if tape:
            tape.keep((x, sums))
        return np.asarray(x * sums**-layer.beta)

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """dL/dx_c = g_c s_c^-beta - 2 alpha beta / size x_c * sum of (g x s^(-beta - 1)) over the channels around c."""
        layer, (x, sums) = self.declared, tape.memory.pop()
        direct = gradient * sums**-layer.beta
        shared = self._around(gradient * x * sums ** (-layer.beta - 1), reach=1)
        return np.asarray(direct - 2 * layer.alpha * layer.beta / layer.size * x * shared)

    def _around(self, x: np.ndarray, reach: int = 0) -> np.ndarray:
        """Return sums over `size` channels; of an even size the longer side is before, or with reach=1 behind."""
        size, channels = self.declared.size, x.shape[1]
        before = size - 1 - size // 2 if reach else size // 2
        padded = np.pad(x, ((0, 0), (before, size - 1 - before), (0, 0), (0, 0)))
        return np.asarray(sum(padded[:, i : i + channels] for i in range(size)))


class Elementwise(Layer):
    """y = f(x), its derivative a function of y."""

    def __init__(self, layer: Any, arrays: Arrays) -> None:
        super().__init__(layer, arrays)
        self._function, self._slope = _ELEMENTWISE[type(layer)]

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Apply f."""
        y = self._function(x)
        if tape:
            tape.keep(y)
        return y

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Multiply by f'."""
        return np.asarray(gradient * self._slope(tape.memory.pop()))


_ELEMENTWISE: dict[type, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    declared.ReLU: (lambda x: np.maximum(x, 0), lambda y: y > 0),
    declared.ReLU6: (lambda x: np.clip(x, 0, 6), lambda y: (y > 0) & (y < 6)),
    declared.Sigmoid: (lambda x: 0.5 + 0.5 * np.tanh(0.5 * x), lambda y: y * (1 - y)),  # exp(-x) would overflow
    declared.Tanh: (np.tanh, lambda y: 1 - y * y),
}


class Dropout(Layer):
    """In training, zero with the declared probability."""

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Drop values while training, else nothing."""
        kept = None
        if tape and tape.training and tape.generator:
            share = 1 - self.declared.probability
            kept = (tape.generator.random(x.shape, np.float32) < share).astype(x.dtype) / x.dtype.type(share)
        if tape:
            tape.keep(kept)
        return x if kept is None else np.asarray(x * kept)

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Pass on what was kept."""
        kept = tape.memory.pop()
        return gradient if kept is None else np.asarray(gradient * kept)


class Flatten(Layer):
    """(n, ...) to (n, values)."""

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Reshape."""
        if tape:
            tape.keep(x.shape)
        return x.reshape(len(x), -1)

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Reshape back."""
        return gradient.reshape(tape.memory.pop())


COMBINATORS: dict[type, type[Chain]] = {declared.Sequence: Chain, declared.Sum: Sum, declared.Concat: Concat}
LAYERS: dict[type, type[Layer]] = {
    declared.Identity: Layer,
    declared.Linear: Linear,
    declared.Conv: Conv,
    declared.BatchNorm: BatchNorm,
    declared.MaxPool: MaxPool,
    declared.AvgPool: AvgPool,
    declared.AdaptiveAvgPool: AdaptiveAvgPool,
    declared.LocalResponseNorm: LocalResponseNorm,
    declared.Dropout: Dropout,
    declared.Flatten: Flatten,
    **dict.fromkeys(_ELEMENTWISE, Elementwise),
}
