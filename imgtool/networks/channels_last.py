"""Networks that only predict, in NumPy, fast: channels last, batch normalization folded, nothing kept.

Arrays are (n, rows, columns, channels). So a convolution of one pixel is a product of two matrices that lie in memory
as they are, and one that filters each channel by itself a sum over windows whose innermost loop runs along channels.
A few images at a time pass what comes before the vectors, so that a layer's output is still in the cache when the next
one reads it. `numpy_layers` computes the same with channels first, and derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from imgtool.errors import ParameterError
from imgtool.networks import declaration as declared
from imgtool.networks.declaration import require_arrays
from imgtool.networks.folding import fold_batch_norm

Arrays = Mapping[str, np.ndarray]
Step = Callable[[np.ndarray], np.ndarray]
Margins = tuple[tuple[int, int], tuple[int, int]]  # before and after rows, before and after columns

CHUNK_VALUES = 1 << 17  # of input images that pass together, or one image


class NumpyRunner:
    """A network that predicts in NumPy; threads may share it."""

    def __init__(self, network: declared.Sequence, arrays: Arrays) -> None:
        """Build what sees images, what sees vectors, and the last layer.

        Raises DataError when names or shapes of the arrays are not the network's, ParameterError when a layer has no
        NumPy form.
        """
        require_arrays(network.arrays(), arrays)
        network, arrays = fold_batch_norm(network, arrays)
        name, head = network.head()
        parts = network.trunk().parts
        flat = next((index for index, (_, part) in enumerate(parts) if isinstance(part, declared.Flatten)), len(parts))
        self._images, self._vectors = (
            _step(declared.Sequence(**dict(some)), "", arrays) for some in (parts[: flat + 1], parts[flat + 1 :])
        )
        self._head = _step(head, f"{name}.", arrays)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Map images (n, channels, rows, columns) float32 to what the last layer sees, (n, D) float32."""
        count = max(1, CHUNK_VALUES // max(images[0].size, 1))
        chunks = (images[begin : begin + count] for begin in range(0, len(images), count))
        return self._vectors(np.concatenate([self._images(chunk.transpose(0, 2, 3, 1)) for chunk in chunks]))

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Map (n, D) to logits (n, classes) float32."""
        return self._head(features)


def _step(layer: declared.Layer, prefix: str, arrays: Arrays) -> Step:
    """Return what computes a layer, its arrays being those whose names begin with the prefix."""
    if isinstance(layer, declared.Combinator):
        parts = [(part, _step(part, prefix + inner, arrays)) for inner, part in layer.children()]
        return _COMBINATORS[type(layer)](parts)
    if type(layer) not in _STEPS:
        raise ParameterError(f"{type(layer).__name__} has no NumPy form: the network needs PyTorch")
    return _STEPS[type(layer)](layer, {key: arrays[prefix + key] for key in layer.arrays()})


def _sequence(parts: list[tuple[declared.Layer, Step]]) -> Step:
    """Return what computes one part after the other; what a convolution gave, an activation may write over."""
    steps, before = [], None
    for part, step in parts:
        is_new = isinstance(before, (declared.Conv, declared.Linear, declared.BatchNorm))
        steps.append(_IN_PLACE.get(type(part), step) if is_new else step)
        before = part
    return lambda x: reduce(lambda value, step: step(value), steps, x)


def _sum(parts: list[tuple[declared.Layer, Step]]) -> Step:
    """Return the sum of what the branches make of one input."""
    return lambda x: reduce(np.add, [branch(x) for _, branch in parts])


def _concat(parts: list[tuple[declared.Layer, Step]]) -> Step:
    """Return what the branches make of one input, side by side along the channels."""
    return lambda x: np.concatenate([branch(x) for _, branch in parts], axis=3)


def _conv(layer: declared.Conv, own: Arrays) -> Step:
    """Return a convolution: pixel by pixel, channel by channel, or a product of kernels and windows."""
    bias = own.get("bias")
    if layer.size == layer.stride == layer.groups == 1 and layer.padding in (0, "same"):
        correlate = _pointwise(own["weight"])
    elif layer.groups == layer.inputs == layer.outputs:
        correlate = _depthwise(layer, own["weight"])
    else:
        correlate = _windowed(layer, own["weight"])

    def step(x: np.ndarray) -> np.ndarray:
        y = correlate(x)
        return y if bias is None else np.add(y, bias, out=y)

    return step


def _pointwise(weight: np.ndarray) -> Step:
    """Return the product of each pixel's channels with the kernels."""
    matrix = weight[:, :, 0, 0].T  # a view: a copy would take longer than it saves, even for many images
    return lambda x: _product(x, matrix)


def _depthwise(layer: declared.Conv, weight: np.ndarray) -> Step:
    """Return the correlation of each channel with its own kernel."""
    taps = np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0))
    return lambda x: np.asarray(np.einsum("nijcuv,uvc->nijc", _windows(layer, x), taps))


def _windowed(layer: declared.Conv, weight: np.ndarray) -> Step:
    """Return the product of the values of each window with the kernels, group by group."""
    groups, outputs = layer.groups, layer.outputs // layer.groups
    kernels = [weight[group * outputs : (group + 1) * outputs] for group in range(groups)]
    matrices = [np.ascontiguousarray(some.transpose(2, 3, 1, 0).reshape(-1, outputs)) for some in kernels]

    def correlate(x: np.ndarray) -> np.ndarray:
        parts = np.split(x, groups, axis=3)
        products = [_product(_flat_windows(layer, part), own) for part, own in zip(parts, matrices, strict=True)]
        return products[0] if groups == 1 else np.concatenate(products, axis=3)

    return correlate


def _product(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the product of the last axis with a matrix: one for all places, as NumPy would multiply row by row."""
    return np.asarray(x.reshape(-1, x.shape[-1]) @ matrix).reshape(*x.shape[:-1], matrix.shape[1])


def _flat_windows(layer: declared.Conv, x: np.ndarray) -> np.ndarray:
    """Return what lies under each window, (n, rows, columns, values): row by row, a pixel's channels together.

    A row of a window is one stretch of memory, which is copied at once.
    """
    padded = np.ascontiguousarray(_pad(x, (layer.margins(x.shape[1]), layer.margins(x.shape[2]))))
    n, *sides, channels = padded.shape
    rows, columns = ((side - layer.size) // layer.stride + 1 for side in sides)
    image, row, pixel, value = padded.strides
    view = as_strided(
        padded,
        (n, rows, columns, layer.size, layer.size * channels),
        (image, layer.stride * row, layer.stride * pixel, row, value),
        writeable=False,
    )
    return view.reshape(n, rows, columns, -1)


def _windows(layer: declared.Conv, x: np.ndarray) -> np.ndarray:
    """Return a view of what lies under each window, (n, rows, columns, channels, size, size)."""
    padded = _pad(x, (layer.margins(x.shape[1]), layer.margins(x.shape[2])))
    view = sliding_window_view(padded, (layer.size, layer.size), axis=(1, 2))
    return view[:, :: layer.stride, :: layer.stride]


def _pad(x: np.ndarray, margins: Margins, value: float = 0.0) -> np.ndarray:
    """Return the images with a frame of this value, or as they are where there is none."""
    (top, bottom), (left, right) = margins
    if not (top or bottom or left or right):
        return x
    n, rows, columns, channels = x.shape
    padded = np.full((n, top + rows + bottom, left + columns + right, channels), value, x.dtype)
    padded[:, top : top + rows, left : left + columns] = x
    return padded


def _pool(layer: declared.MaxPool | declared.AvgPool, x: np.ndarray, outside: float, merge: Any) -> np.ndarray:
    """Return what `merge` makes of the values of each window, taken place by place."""
    padded, step = _pad(x, (layer.margins(x.shape[1]), layer.margins(x.shape[2])), outside), layer.step
    rows, columns = (step * (layer.windows(side) - 1) + 1 for side in x.shape[1:3])
    places = [(v, u) for v in range(layer.size) for u in range(layer.size)]
    result, *others = (padded[:, v : v + rows : step, u : u + columns : step] for v, u in places)
    result = result.copy()
    for other in others:
        merge(result, other, out=result)
    return result


def _max_pool(layer: declared.MaxPool, _: Arrays) -> Step:
    """Return the largest value of each window."""
    return lambda x: _pool(layer, x, -np.inf, np.maximum)


def _avg_pool(layer: declared.AvgPool, _: Arrays) -> Step:
    """Return the mean of each window."""

    def step(x: np.ndarray) -> np.ndarray:
        counts = np.outer(layer.counts(x.shape[1]), layer.counts(x.shape[2])).astype(x.dtype)
        return np.asarray(_pool(layer, x, 0.0, np.add) / counts[:, :, None])

    return step


def _adaptive_avg_pool(layer: declared.AdaptiveAvgPool, _: Arrays) -> Step:
    """Return means over size x size windows that cover the image: of rows, then of columns."""

    def step(x: np.ndarray) -> np.ndarray:
        if x.shape[1:3] == (layer.size, layer.size):
            return x
        x = np.stack([x[:, begin:end].mean(axis=1) for begin, end in layer.windows(x.shape[1])], axis=1)
        return np.stack([x[:, :, begin:end].mean(axis=2) for begin, end in layer.windows(x.shape[2])], axis=2)

    return step


def _batch_norm(layer: declared.BatchNorm, own: Arrays) -> Step:
    """Return the normalization by the running statistics, as a factor and an offset of each channel."""
    factor = own["weight"] / np.sqrt(own["running_var"] + own["running_var"].dtype.type(layer.eps))
    offset = own["bias"] - own["running_mean"] * factor

    def step(x: np.ndarray) -> np.ndarray:
        y = x * factor
        y += offset
        return np.asarray(y)

    return step


def _local_response_norm(layer: declared.LocalResponseNorm, _: Arrays) -> Step:
    """Return x over a power of the sum of squares of the channels around it."""
    before = layer.size // 2

    def step(x: np.ndarray) -> np.ndarray:
        squares = np.pad(x**2, ((0, 0), (0, 0), (0, 0), (before, layer.size - 1 - before)))
        sums = sum(squares[..., i : i + x.shape[3]] for i in range(layer.size))
        return np.asarray(x * (layer.k + layer.alpha / layer.size * sums) ** -layer.beta)

    return step


def _linear(layer: declared.Linear, own: Arrays) -> Step:
    """Return the product with the weight, or with its two low-rank factors."""
    names = ("weight",) if layer.rank is None else ("right", "left")

    def step(x: np.ndarray) -> np.ndarray:
        y = reduce(lambda value, name: value @ own[name].T, names, x)
        y += own["bias"]
        return np.asarray(y)

    return step


def _flatten(_: declared.Flatten, __: Arrays) -> Step:
    """Return channels, rows and columns as one vector, columns fastest."""
    return lambda x: (x.transpose(0, 3, 1, 2) if x.ndim == 4 else x).reshape(len(x), -1)


def _as_it_is(_: declared.Layer, __: Arrays) -> Step:
    """Return the input."""
    return lambda x: x


_COMBINATORS: dict[type, Callable[[list[tuple[declared.Layer, Step]]], Step]] = {
    declared.Sequence: _sequence,
    declared.Sum: _sum,
    declared.Concat: _concat,
}
_IN_PLACE: dict[type, Step] = {
    declared.ReLU: lambda x: np.maximum(x, 0, out=x),
    declared.ReLU6: lambda x: np.clip(x, 0, 6, out=x),
}
_STEPS: dict[type, Callable[[Any, Arrays], Step]] = {
    declared.Identity: _as_it_is,
    declared.Dropout: _as_it_is,
    declared.ReLU: lambda _, __: lambda x: np.maximum(x, 0),
    declared.ReLU6: lambda _, __: lambda x: np.clip(x, 0, 6),
    declared.Sigmoid: lambda _, __: lambda x: 0.5 + 0.5 * np.tanh(0.5 * x),  # exp(-x) would overflow
    declared.Tanh: lambda _, __: np.tanh,
    declared.Linear: _linear,
    declared.Conv: _conv,
    declared.BatchNorm: _batch_norm,
    declared.MaxPool: _max_pool,
    declared.AvgPool: _avg_pool,
    declared.AdaptiveAvgPool: _adaptive_avg_pool,
    declared.LocalResponseNorm: _local_response_norm,
    declared.Flatten: _flatten,
}
