"""A layer of convolutions with its numbers: the size, the matrix of windows, their product, and three ways to it.

As networks have it: correlation with kernels that are not flipped, zeros outside, no bias.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft

from imgtool.arrays import whole_number, whole_numbers
from imgtool.errors import ParameterError
from imgtool.filters.engine.gemm import im2col
from imgtool.networks.layers import Conv

MAX_NUMBERS = 1 << 27  # of the matrix of windows: 1 GB
MAX_MULTIPLY_ADDS = 4_000_000_000
TIMED_SECONDS = 0.02  # that each way is repeated for, at least


@dataclass(frozen=True)
class ExplainedConvolution:
    """A layer of convolutions.

    image: (channels, rows, columns); weights: (outputs, channels, size, size), both small whole numbers in float64;
    columns: (channels size^2, positions), a column for each window; product: (outputs, positions), the weights as rows
    times them; result: (outputs, rows, columns), the product in the form of an image; multiply_adds: of the product;
    seconds: of each way: direct, im2col, fft; largest_difference: of their results.
    """

    image: np.ndarray
    weights: np.ndarray
    stride: int
    padding: int
    columns: np.ndarray
    product: np.ndarray
    result: np.ndarray
    multiply_adds: int
    seconds: dict[str, float]
    largest_difference: float


def explain_convolution(
    shape: Sequence[int] = (1, 5, 5),
    *,
    kernel: int = 3,
    outputs: int = 1,
    stride: int = 1,
    padding: int = 0,
    seed: int = 0,
) -> ExplainedConvolution:
    """Compute a layer of convolutions of random numbers in three ways, and show what stands between.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, rows and columns of the image.
    kernel : int
        Rows and columns of a kernel.
    outputs : int
        Number of kernels.
    stride : int
        Pixels from one window to the next.
    padding : int
        Rows and columns of zeros on each side.
    seed : int
        Of the numbers: the image's are 0 to 9, the kernels' -2 to 2.

    Returns
    -------
    object
        With `image`, `weights`, `columns` (the matrix of windows, im2col), `product`, `result` (outputs, rows,
        columns), `multiply_adds`, `seconds` (of "direct", "im2col" and "fft"), and `largest_difference` of their
        results.

    Raises
    ------
    ParameterError
        A number is out of range, the kernel does not fit into the image, or too much would be computed.

    Notes
    -----
    A side has (side + 2 padding - kernel) // stride + 1 windows. Chellapilla, Puri, Simard, "High performance
    convolutional neural networks for document processing", 2006, compute the layer as one matrix product.

    Examples
    --------
    >>> import imgtool
    >>> found = imgtool.explain_convolution((3, 32, 32), kernel=5, outputs=6)
    >>> found.columns.shape, found.product.shape, found.result.shape, found.multiply_adds
    ((75, 784), (6, 784), (6, 28, 28), 352800)
    """
    channels, height, width = _three(shape)
    sizes = {"kernel": kernel, "outputs": outputs, "stride": stride}
    kernel, outputs, stride = (whole_number(value, name, high=4096) for name, value in sizes.items())
    padding = whole_number(padding, "padding", low=0, high=4096)
    layer = Conv(channels, outputs, kernel, stride, padding, bias=False)
    _, *sides = layer.output_shape((channels, height, width))
    cost = layer.multiply_adds((channels, height, width))
    if channels * kernel**2 * math.prod(sides) > MAX_NUMBERS or cost > MAX_MULTIPLY_ADDS:
        raise ParameterError(
            f"too large to be shown: {cost:,} multiply-adds, a matrix of {channels * kernel**2:,} x "
            f"{math.prod(sides):,} numbers; at most {MAX_MULTIPLY_ADDS:,} and {MAX_NUMBERS:,} numbers are computed"
        )
    generator = np.random.default_rng(whole_number(seed, "seed", low=0))
    image = generator.integers(0, 10, (channels, height, width)).astype(np.float64)
    weights = generator.integers(-2, 3, (outputs, channels, kernel, kernel)).astype(np.float64)
    ways = {name: _timed(way, image, weights, stride, padding) for name, way in WAYS.items()}
    results = [result for result, _ in ways.values()]
    columns = im2col(image[None], kernel, stride=stride, padding=padding)[0]
    product = weights.reshape(outputs, -1) @ columns
    return ExplainedConvolution(
        image, weights, stride, padding, columns, product, product.reshape(outputs, *sides), cost,
        {name: seconds for name, (_, seconds) in ways.items()},
        float(max(np.abs(result - results[0]).max() for result in results)),
    )  # fmt: skip


def _three(shape: Any) -> tuple[int, int, int]:
    """Return channels, rows and columns."""
    numbers = whole_numbers(shape, "shape")
    if len(numbers) != 3 or max(numbers) > MAX_NUMBERS:
        raise ParameterError(f"shape must be channels, rows and columns, got {numbers}", parameters=("shape",))
    return numbers[0], numbers[1], numbers[2]


def _timed(way: Callable[..., np.ndarray], *arguments: Any) -> tuple[np.ndarray, float]:
    """Return what a way gives, and the seconds of its fastest run."""
    end, best = time.perf_counter() + TIMED_SECONDS, math.inf
    while True:
        begin = time.perf_counter()
        result = way(*arguments)
        best = min(best, time.perf_counter() - begin)
        if time.perf_counter() >= end:
            return result, best


def direct(image: np.ndarray, weights: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Return the layer as its definition says: for each output and window the sum of all products."""
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape[2:], axis=(1, 2))
    return np.asarray(np.einsum("ocvu,cyxvu->oyx", weights, windows[:, ::stride, ::stride], optimize=False))


def by_columns(image: np.ndarray, weights: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Return the layer as one product of matrices."""
    kernel = weights.shape[2]
    columns = im2col(image[None], kernel, stride=stride, padding=padding)[0]
    rows = (image.shape[1] + 2 * padding - kernel) // stride + 1
    return np.asarray((weights.reshape(len(weights), -1) @ columns).reshape(len(weights), rows, -1))


def by_fourier(image: np.ndarray, weights: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Return the layer by Fourier transforms, in which a correlation is a product of numbers; every window at once."""
    height, width = (side + 2 * padding for side in image.shape[1:])
    sizes = [fft.next_fast_len(side, real=True) for side in (height, width)]
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    spectrum = fft.rfft2(padded, sizes)
    product = np.einsum("ocyx,cyx->oyx", fft.rfft2(weights, sizes).conj(), spectrum)
    kernel = weights.shape[2]
    every = fft.irfft2(product, sizes)[:, : height - kernel + 1, : width - kernel + 1]
    return np.asarray(every[:, ::stride, ::stride])


WAYS = {"direct": direct, "im2col": by_columns, "fft": by_fourier}
