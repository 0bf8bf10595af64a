"""Convolution as networks do it: pixels under each window become a column, and one matrix product does the rest.

Chellapilla, Puri, Simard, "High performance convolutional neural networks for document processing", 2006.
"""

from __future__ import annotations

import numpy as np


def im2col(images: np.ndarray, size: int, *, stride: int = 1, padding: int = 0) -> np.ndarray:
    """Return (n, channels * size * size, positions): for each position of a square window, what lies under it.

    images: (n, channels, height, width); padding: zeros added on every side. Rows are ordered channel, window row,
    window column; positions row by row.
    """
    if padding:
        images = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    n, channels, rows, columns = windows.shape[:4]
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, channels * size * size, rows * columns)


def col2im(columns: np.ndarray, shape: tuple[int, ...], size: int, *, stride: int = 1, padding: int = 0) -> np.ndarray:
    """Return images (n, channels, height, width) of this shape: the sum of all columns at their places.

    It is the transpose of `im2col`, which backpropagation needs.
    """
    n, channels, height, width = shape
    padded = np.zeros((n, channels, height + 2 * padding, width + 2 * padding), columns.dtype)
    rows, across = ((side + 2 * padding - size) // stride + 1 for side in (height, width))
    windows = columns.reshape(n, channels, size, size, rows, across)
    for v in range(size):
        for u in range(size):
            target = padded[:, :, v : v + stride * rows : stride, u : u + stride * across : stride]
            target += windows[:, :, v, u]
    return padded[:, :, padding : padding + height, padding : padding + width]
