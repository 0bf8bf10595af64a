"""Layers that look at windows of an image, by hand in NumPy: convolution and pools."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from imgtool.filters.engine.gemm import col2im, im2col
from imgtool.networks import layers as declared
from imgtool.networks.numpy_base import Layer, Tape

Margins = Sequence[tuple[int, int]]  # what is added before and after rows, and before and after columns

COLUMN_VALUES = 1 << 20  # windows of at most so many values, or of one image, are laid out in columns at a time


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
        return np.outer(*map(self.declared.counts, shape[2:]))


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
    for i, (begin, end) in enumerate(declared.AdaptiveAvgPool(size).windows(side)):
        matrix[i, begin:end] = 1.0 / (end - begin)
    return matrix
