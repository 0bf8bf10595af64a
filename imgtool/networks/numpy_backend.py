"""Networks by hand: each layer forwards and backwards, in NumPy alone.

A layer maps a batch (n, *shape) to a batch and remembers what its `backward` needs: given the gradient of a loss with
respect to its output, that returns the gradient with respect to its input and keeps those of its tensors in
`gradients`. Everything is computed in the type of the weights, float32 or float64.

`forward` never reads what it remembers, so threads may share a network to predict; training takes one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from imgtool.errors import DataError
from imgtool.filters.engine.gemm import col2im, correlate_batch, im2col
from imgtool.networks import declaration as declared
from imgtool.networks.declaration import Network

Arrays = dict[str, np.ndarray]


class Layer:
    """A layer without tensors; `declared` says its sizes."""

    def __init__(self, layer: Any, tensors: Arrays) -> None:
        self.declared = layer
        self.tensors = tensors
        self.gradients: Arrays = {}

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the output for a batch."""
        return x

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Return the loss's gradient with respect to the last input."""
        return gradient


class Linear(Layer):
    """y = x W^T + b; with thin matrices y = (x R^T) L^T + b."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Map (n, inputs) to (n, outputs)."""
        self._x = x
        if "weight" in self.tensors:
            return np.asarray(x @ self.tensors["weight"].T + self.tensors["bias"])
        self._thin = thin = x @ self.tensors["right"].T
        return np.asarray(thin @ self.tensors["left"].T + self.tensors["bias"])

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Keep the gradients of weight (or left and right) and bias."""
        self.gradients["bias"] = gradient.sum(axis=0)
        if "weight" in self.tensors:
            self.gradients["weight"] = gradient.T @ self._x
            return np.asarray(gradient @ self.tensors["weight"])
        self.gradients["left"] = gradient.T @ self._thin
        inner = gradient @ self.tensors["left"]
        self.gradients["right"] = inner.T @ self._x
        return np.asarray(inner @ self.tensors["right"])


class Conv(Layer):
    """Correlation with zeros outside, as one matrix product of the kernels with the windows' columns."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Map (n, inputs, rows, columns) to (n, outputs, rows, columns)."""
        layer = self.declared
        self._x = x
        y = correlate_batch(x, self.tensors["weight"], stride=layer.stride, padding=layer.padding)
        y += self.tensors["bias"][:, None, None]
        return y

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Keep the gradients of weight and bias; add the columns' gradient up at their places."""
        layer, weight = self.declared, self.tensors["weight"]
        settings = {"stride": layer.stride, "padding": layer.padding}
        flat = gradient.reshape(len(gradient), layer.outputs, -1)
        columns = im2col(self._x, layer.size, **settings)
        self.gradients["bias"] = flat.sum(axis=(0, 2))
        self.gradients["weight"] = np.einsum("nop,nkp->ok", flat, columns, optimize=True).reshape(weight.shape)
        return col2im(weight.reshape(layer.outputs, -1).T @ flat, self._x.shape, layer.size, **settings)


class MaxPool(Layer):
    """The largest value of each window; the gradient goes to the first place where it stands."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Map (n, channels, rows, columns) to fewer rows and columns."""
        layer = self.declared
        n, channels = x.shape[:2]
        rows, columns = layer.output_shape(x.shape[1:])[1:]
        best = None
        for v in range(layer.size):
            for u in range(layer.size):
                part = x[:, :, v : v + layer.step * rows : layer.step, u : u + layer.step * columns : layer.step]
                best = part.copy() if best is None else np.maximum(best, part, out=best)
        self._x, self._best = x, best
        return np.asarray(best).reshape(n, channels, rows, columns)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Send each gradient to the place of its maximum."""
        layer, result = self.declared, np.zeros_like(self._x)
        rows, columns = gradient.shape[2:]
        open_ = np.ones(gradient.shape, bool)
        for v in range(layer.size):
            for u in range(layer.size):
                place = np.s_[:, :, v : v + layer.step * rows : layer.step, u : u + layer.step * columns : layer.step]
                here = open_ & (self._x[place] == self._best)
                result[place] += gradient * here
                open_ &= ~here
        return result


class AdaptiveAvgPool(Layer):
    """Means over size x size windows that cover the image: a matrix for rows, one for columns."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Map (n, channels, rows, columns) to (n, channels, size, size)."""
        if x.shape[2:] == (self.declared.size, self.declared.size):
            self._down = self._across = np.eye(self.declared.size, dtype=x.dtype)
            return x
        down, across = (_means(side, self.declared.size, x.dtype) for side in x.shape[2:])
        self._down, self._across = down, across
        return np.asarray(down @ x @ across.T)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Spread each gradient over its window."""
        return np.asarray(self._down.T @ gradient @ self._across)


def _means(side: int, size: int, dtype: Any) -> np.ndarray:
    """Return the (size, side) matrix of means; window i runs from floor(i side / size) to ceil((i + 1) side / size)."""
    matrix = np.zeros((size, side), dtype)
    for i in range(size):
        begin, end = i * side // size, -((i + 1) * side // -size)
        matrix[i, begin:end] = 1.0 / (end - begin)
    return matrix


class LocalResponseNorm(Layer):
    """y_c = x_c s_c^-beta with s_c = k + alpha / size * sum of x^2 over the channels around c."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Keep the shape."""
        layer = self.declared
        sums = layer.k + layer.alpha / layer.size * self._around(x**2)
        self._x, self._sums = x, sums
        return np.asarray(x * sums**-layer.beta)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """dL/dx_c = g_c s_c^-beta - 2 alpha beta / size x_c * sum of (g x s^(-beta - 1)) over the channels around c."""
        layer = self.declared
        direct = gradient * self._sums**-layer.beta
        shared = self._around(gradient * self._x * self._sums ** (-layer.beta - 1), reach=1)
        return np.asarray(direct - 2 * layer.alpha * layer.beta / layer.size * self._x * shared)

    def _around(self, x: np.ndarray, reach: int = 0) -> np.ndarray:
        """Return sums over `size` channels; of an even size the longer side is before, or with reach=1 behind."""
        size, channels = self.declared.size, x.shape[1]
        before = size - 1 - size // 2 if reach else size // 2
        padded = np.pad(x, ((0, 0), (before, size - 1 - before), (0, 0), (0, 0)))
        return np.asarray(sum(padded[:, i : i + channels] for i in range(size)))


class Elementwise(Layer):
    """y = f(x), its derivative a function of y."""

    def __init__(self, layer: Any, tensors: Arrays) -> None:
        super().__init__(layer, tensors)
        self._function, self._slope = _ELEMENTWISE[type(layer)]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Apply f."""
        self._y = y = self._function(x)
        return y

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Multiply by f'."""
        return np.asarray(gradient * self._slope(self._y))


_ELEMENTWISE: dict[type, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    declared.ReLU: (lambda x: np.maximum(x, 0), lambda y: y > 0),
    declared.Sigmoid: (lambda x: 1 / (1 + np.exp(-x)), lambda y: y * (1 - y)),
    declared.Tanh: (np.tanh, lambda y: 1 - y * y),
}


class Dropout(Layer):
    """In training, zero with the declared probability; the generator is given by the network."""

    generator: np.random.Generator | None = None

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Drop values while there is a generator, else nothing."""
        self._kept = None
        if self.generator is None:
            return x
        keep = 1 - self.declared.probability
        self._kept = kept = (self.generator.random(x.shape, np.float32) < keep).astype(x.dtype) / x.dtype.type(keep)
        return np.asarray(x * kept)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Pass on what was kept."""
        return gradient if self._kept is None else np.asarray(gradient * self._kept)


class Flatten(Layer):
    """(n, ...) to (n, values)."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Reshape."""
        self._shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Reshape back."""
        return gradient.reshape(self._shape)


_LAYERS: dict[type, type[Layer]] = {
    declared.Linear: Linear,
    declared.Conv: Conv,
    declared.MaxPool: MaxPool,
    declared.AdaptiveAvgPool: AdaptiveAvgPool,
    declared.LocalResponseNorm: LocalResponseNorm,
    declared.Dropout: Dropout,
    declared.Flatten: Flatten,
    **dict.fromkeys(_ELEMENTWISE, Elementwise),
}


class NumpyNetwork:
    """A network with its weights. `forward` gives logits; after it, `backward` gives gradients."""

    def __init__(self, network: Network, weights: Mapping[str, np.ndarray]) -> None:
        """Build the layers. Raises DataError when names or shapes of the weights are not the network's."""
        expected = network.tensors()
        if strange := sorted(expected.keys() ^ weights.keys()):
            raise DataError(f"weights do not fit: {strange[0]} is {'missing' if strange[0] in expected else 'unknown'}")
        for name, shape in expected.items():
            if weights[name].shape != shape:
                raise DataError(f"weights do not fit: {name} is {weights[name].shape}, not {shape}")
        self.layers = {
            name: _LAYERS[type(layer)](layer, {key: weights[f"{name}.{key}"] for key in layer.tensors()})
            for name, layer in network
        }

    def forward(self, x: np.ndarray, *, stop_before: str | None = None) -> np.ndarray:
        """Return logits (n, classes), or the input of the layer named by stop_before."""
        for name, layer in self.layers.items():
            if name == stop_before:
                break
            x = layer.forward(x)
        return x

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Return the gradient with respect to the input."""
        for layer in reversed(self.layers.values()):
            gradient = layer.backward(gradient)
        return gradient

    @property
    def last(self) -> str:
        """The name of the layer that decides."""
        return list(self.layers)[-1]

    def weights(self) -> Arrays:
        """Return every tensor by its full name."""
        return {f"{name}.{key}": array for name, layer in self.layers.items() for key, array in layer.tensors.items()}

    def gradients(self) -> Arrays:
        """Return the gradients of the last backward pass, named as the weights."""
        return {f"{name}.{key}": array for name, layer in self.layers.items() for key, array in layer.gradients.items()}


def draw_weights(network: Network, seed: int, dtype: Any = np.float32) -> Arrays:
    """Return fresh weights: normal with variance 2 / inputs (He et al., ICCV 2015), the last 1 / inputs, biases 0."""
    generator = np.random.default_rng(seed)
    shapes = network.tensors()
    last = [name for name in shapes if not name.endswith("bias")][-1]
    weights = {}
    for name, shape in shapes.items():
        deviation = np.sqrt((1 if name == last else 2) / max(1, int(np.prod(shape[1:]))))
        values = np.zeros(shape) if name.endswith("bias") else generator.normal(0, deviation, shape)
        weights[name] = values.astype(dtype)
    return weights
