"""Convolution as networks do it: pixels under each window become a column, and one matrix product does the rest.

Chellapilla, Puri, Simard, "High performance convolutional neural networks for document processing", 2006.

Sizes, strides, paddings and dilations are one number for both axes or a pair (rows, columns). A dilation of d leaves
d - 1 pixels between those that a window takes.
"""

from __future__ import annotations

import cv2
import numpy as np

from imgtool.filters.engine.padded_view import PaddedView
from imgtool.filters.engine.rounding import store
from imgtool.filters.engine.strips import fill_by_strips

COLUMN_VALUES = 1 << 20  # at most so many values, or one window, are laid out in columns at a time
Pair = int | tuple[int, int]


def correlate_batch(
    images: np.ndarray, weights: np.ndarray, *, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1
) -> np.ndarray:
    """Return (n, kernels, rows, columns): the layer of a network, without its bias.

    images: (n, channels, height, width); weights: (kernels, channels, window rows, window columns), not flipped.
    """
    size = (weights.shape[2], weights.shape[3])
    columns = im2col(images, size, stride=stride, padding=padding, dilation=dilation)
    rows, across = _positions(images.shape, size, stride, padding, dilation)
    return np.asarray((weights.reshape(len(weights), -1) @ columns).reshape(len(images), len(weights), rows, across))


def im2col(images: np.ndarray, size: Pair, *, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1) -> np.ndarray:
    """Return (n, channels * window size, positions): for each position of a window, what lies under it.

    images: (n, channels, height, width); padding: zeros added on both sides of an axis. Rows are ordered channel,
    window row, window column; positions row by row.
    """
    (high, wide), (down, across), (every, each), (above, left) = map(_pair, (size, stride, dilation, padding))
    if above or left:
        images = np.pad(images, ((0, 0), (0, 0), (above, above), (left, left)))
    reach = ((high - 1) * every + 1, (wide - 1) * each + 1)
    windows = np.lib.stride_tricks.sliding_window_view(images, reach, axis=(2, 3))
    windows = windows[:, :, ::down, ::across, ::every, ::each]
    n, channels, rows, columns = windows.shape[:4]
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, channels * high * wide, rows * columns)


def col2im(
    columns: np.ndarray, shape: tuple[int, ...], size: Pair, *, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1
) -> np.ndarray:
    """Return images (n, channels, height, width) of this shape: the sum of all columns at their places.

    It is the transpose of `im2col`, which backpropagation needs.
    """
    (high, wide), (down, across), (every, each), (above, left) = map(_pair, (size, stride, dilation, padding))
    n, channels, height, width = shape
    padded = np.zeros((n, channels, height + 2 * above, width + 2 * left), columns.dtype)
    rows, places = _positions(shape, size, stride, padding, dilation)
    windows = columns.reshape(n, channels, high, wide, rows, places)
    for v in range(high):
        for u in range(wide):
            top, first = v * every, u * each
            target = padded[:, :, top : top + down * rows : down, first : first + across * places : across]
            target += windows[:, :, v, u]
    return padded[:, :, above : above + height, left : left + width]


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _positions(shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> tuple[int, int]:
    """Return how many rows and columns of windows there are."""
    settings = zip(shape[2:], *map(_pair, (size, stride, padding, dilation)), strict=True)
    rows, columns = ((n + 2 * pad - every * (k - 1) - 1) // step + 1 for n, k, step, pad, every in settings)
    return rows, columns


def correlate_gemm(view: PaddedView, taps: np.ndarray, wide: np.dtype, dtype: np.dtype, threads: int) -> np.ndarray:
    """Correlate an image with one kernel: each channel is an image of a batch."""
    width = min(view.shape[1], max(1, COLUMN_VALUES // taps.size))
    weights, out = taps.astype(wide)[None, None], np.empty(view.shape, dtype)

    def fill(begin: int, end: int) -> None:
        block = view.block(begin, end).astype(wide, copy=False)
        planes = np.moveaxis(block, 2, 0) if block.ndim > 2 else block[None]
        for x in range(0, view.shape[1], width):
            sums = correlate_batch(planes[:, None, :, x : x + width + taps.shape[1] - 1], weights)[:, 0]
            store(cv2.merge(list(sums)), out[begin:end, x : x + width])

    fill_by_strips(view.shape[0], max(1, COLUMN_VALUES // (taps.size * width)), lambda: fill, threads)
    return out
