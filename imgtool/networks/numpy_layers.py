"""Layers by hand in NumPy, and the table of them: combinators, and the layers that look at no windows."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from imgtool.errors import ParameterError
from imgtool.networks import declaration as declared
from imgtool.networks.numpy_base import Arrays, Layer, Tape
from imgtool.networks.numpy_windows import AdaptiveAvgPool, AvgPool, Conv, MaxPool


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


class Auxiliary(Chain):
    """A classifier in the middle: here it passes its input on, and looks at it where statistics are measured."""

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Return the input."""
        if tape and tape.blank:
            super().forward(x, tape)
        return x

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Return the gradient: training by hand leaves the classifier out."""
        return gradient


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


COMBINATORS: dict[type, type[Chain]] = {
    declared.Sequence: Chain,
    declared.Sum: Sum,
    declared.Concat: Concat,
    declared.Auxiliary: Auxiliary,
}
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
