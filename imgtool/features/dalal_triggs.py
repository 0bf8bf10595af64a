"""Histograms of oriented gradients with the paper's trilinear votes and Gaussian window.

Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005, as OpenCV's HOGDescriptor computes
them. A pixel's magnitude is divided linearly between the two nearest orientations, whose bins are centered at
(k + 1/2) 180 / O degrees, and among the cells of each block that it lies in; x to the right, y down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array, whole_number
from imgtool.errors import ImageError
from imgtool.features.validation import require_finite, require_roots
from imgtool.filters.gradient import gradient, magnitude, phase
from imgtool.image.alpha import flatten
from imgtool.image.color import MAX_CHANNELS

CLIP = np.float32(0.2)
_STRIP_PIXELS = 1 << 15  # pixels worked on at once: their votes stay in the processor's cache


def dalal_triggs(
    image: ArrayLike, *, orientations: int = 9, cell: int = 8, block: int = 2, sqrt: bool = False, signed: bool = False
) -> np.ndarray:
    """Describe an image by histograms of oriented gradients with the paper's trilinear votes and Gaussian window.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Bool, integers or floats on the scale 0 to 255. Alpha is ignored; in color images, the channel with the
        largest gradient magnitude is used at each pixel.
    orientations : int
        Number of bins over 180 degrees, or 360 if signed.
    cell : int
        Side of a cell in pixels.
    block : int
        Side of a block in cells; blocks overlap and are one cell apart.
    sqrt : bool
        Take the square root of the image first (gamma compression, OpenCV's default).
    signed : bool
        Distinguish opposite directions.

    Returns
    -------
    ndarray, (block columns, block rows, columns of cells, rows of cells, orientations), float32
        Columns come before rows, as in OpenCV: 64 x 128 pixels give its 3,780 numbers in its order.

    Raises
    ------
    ImageError
        The image is not valid, is smaller than one block, contains NaN or infinity, or has negative values with `sqrt`.
    ParameterError
        A number is out of range.

    Notes
    -----
    Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005, as OpenCV's `HOGDescriptor`
    computes it. A pixel's magnitude is divided linearly between the two nearest orientations, whose bins are centered
    at (k + 1/2) 180 / O degrees, and among the cells of each block that it lies in; x to the right, y down. Pixels at
    the right and bottom that fill no cell do not vote.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> imgtool.dalal_triggs(np.zeros((128, 64), np.uint8)).size
    3780
    """
    orientations, cell = whole_number(orientations, "orientations"), whole_number(cell, "cell")
    block = whole_number(block, "block")
    array = flatten(image_array(image, max_channels=MAX_CHANNELS))
    (height, width), side = array.shape[:2], cell * block
    if min(height, width) < side:
        raise ImageError(f"is {width}x{height} pixels; one block of HoG needs {side}x{side}")
    require_finite(array, "HoG")
    if sqrt:
        require_roots(array)
        array = np.sqrt(array, dtype=np.float64)
    gx, gy = _strongest(*gradient(array.astype(np.float32), operator="central", border="mirror"))
    rows, columns = height // cell - block + 1, width // cell - block + 1
    shares = _shares(cell, block)
    result = np.empty((columns, rows, block, block, orientations), np.float32)
    at_once = max(1, _STRIP_PIXELS // (cell * width))
    for first in range(0, rows, at_once):
        last = min(first + at_once, rows)
        strip = slice(first * cell, (last - 1 + block) * cell), slice((columns - 1 + block) * cell)
        votes = _votes(gx[strip], gy[strip], orientations, signed)
        across = _pool(votes, shares)  # (orientations, pixel rows, block columns, cell columns)
        both = _pool(across.transpose(0, 2, 3, 1), shares)  # (..., block rows, cell rows)
        result[:, first:last] = both.transpose(1, 3, 2, 4, 0)
    return _normalize(result)


def _strongest(gx: np.ndarray, gy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient of the channel with the largest square of the magnitude, the first on ties.

    Square roots often make ties that the squares, in single precision as in OpenCV, decide.
    """
    if gx.ndim == 2:
        return gx, gy
    best = (gx * gx + gy * gy).argmax(axis=2)[:, :, None]
    return np.take_along_axis(gx, best, 2)[:, :, 0], np.take_along_axis(gy, best, 2)[:, :, 0]


def _votes(gx: np.ndarray, gy: np.ndarray, orientations: int, signed: bool) -> np.ndarray:
    """Return the magnitude that each pixel gives to each orientation, (orientations, rows, columns)."""
    size = magnitude(gx, gy)
    turns = phase(gx, gy) / (2 * np.pi)
    turns += turns < 0
    place = turns * np.float32(orientations if signed else 2 * orientations) - np.float32(0.5)
    below = np.floor(place)
    upper_share = size * (place - below)
    votes = np.zeros(orientations * gx.size, np.float32)
    starts = np.arange(-1, 2 * orientations + 1) % orientations * gx.size  # where the votes for each bin begin
    bins, pixels = below.astype(np.intp).ravel(), np.arange(gx.size)
    np.add.at(votes, starts.take(bins + 1) + pixels, (size - upper_share).ravel())
    np.add.at(votes, starts.take(bins + 2) + pixels, upper_share.ravel())
    return votes.reshape(orientations, *gx.shape)


def _shares(cell: int, block: int) -> np.ndarray:
    """Return what a pixel of a block gives to each of its cells along one axis: (cells of pixels, pixels, cells).

    The Gaussian window is centered at half a block, its deviation a quarter of a block; shares that would fall outside
    the block are lost.
    """
    side = cell * block
    pixels = np.arange(side)
    window = np.exp(-0.5 * ((pixels - side / 2) / (side / 4)) ** 2)
    nearness = 1 - np.abs((pixels[:, None] + 0.5) / cell - 0.5 - np.arange(block))
    shares = window[:, None] * np.maximum(nearness, 0)
    return np.asarray(shares.reshape(block, cell, block), np.float32)


def _pool(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Pool pixels along the last axis, (..., pixels) -> (..., blocks, cells of a block)."""
    block, cell, _ = shares.shape
    chunks = values.reshape(*values.shape[:-1], -1, cell)
    count = chunks.shape[-2] - block + 1
    return np.asarray(sum(chunks[..., k : k + count, :] @ shares[k] for k in range(block)))


def _normalize(blocks: np.ndarray) -> np.ndarray:
    """Return blocks divided by their length, clipped, and divided again (L2-Hys), with OpenCV's constants."""
    flat = blocks.reshape(-1, int(np.prod(blocks.shape[2:])))  # a view: one row a block
    flat /= np.sqrt(np.einsum("ij,ij->i", flat, flat))[:, None] + np.float32(0.1 * flat.shape[1])
    np.minimum(flat, CLIP, out=flat)
    flat /= np.sqrt(np.einsum("ij,ij->i", flat, flat))[:, None] + np.float32(1e-3)
    return blocks


def cells_of(blocks: np.ndarray) -> np.ndarray:
    """Return each cell's mean over the blocks that hold it, (cell rows, cell columns, orientations), for a picture."""
    columns, rows, block = blocks.shape[:3]
    total = np.zeros((rows + block - 1, columns + block - 1, blocks.shape[4]))
    count = np.zeros((*total.shape[:2], 1))
    for across, down in np.ndindex(block, block):
        place = slice(down, down + rows), slice(across, across + columns)
        total[place] += blocks[:, :, across, down].transpose(1, 0, 2)
        count[place] += 1
    return total / count
