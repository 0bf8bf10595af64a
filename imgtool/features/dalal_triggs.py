"""Histograms of oriented gradients with the paper's trilinear votes and Gaussian window.

Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005, as OpenCV's HOGDescriptor computes
them. A pixel's magnitude is divided linearly between the two nearest orientations, whose bins are centered at
(k + 1/2) 180 / O degrees, and among the cells of each block that it lies in; x to the right, y down.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array, whole_number
from imgtool.errors import ImageError
from imgtool.features.differences import Differences
from imgtool.features.scratch import scratch
from imgtool.features.validation import require_finite, require_roots
from imgtool.features.votes import Between, overlapping, voting
from imgtool.image.alpha import flatten
from imgtool.image.color import MAX_CHANNELS
from imgtool.parameters import checks_options

CLIP = 0.2
_STRIP_PIXELS = 1 << 15  # pixels worked on at once: their votes stay in the processor's cache


@checks_options
def dalal_triggs(
    image: ArrayLike, *, orientations: int = 9, cell: int = 8, block: int = 2, sqrt: bool = False, signed: bool = False
) -> np.ndarray:
    """Describe an image by histograms of oriented gradients with the paper's trilinear votes and Gaussian window.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Bool, integers or floats on the scale 0 to 255. Transparent images are seen on white; in color images, the
        channel with the largest gradient magnitude is used at each pixel.
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
    scheme = Between(orientations, orientations if signed else 2 * orientations, 0.5)
    cells = _Cells(array, scheme, cell, block, sqrt)
    return _normalize(cells.blocks())


class _Cells:
    """Votes of pixels, pooled by the cells of the blocks around them.

    A pixel's share in a cell of a block is a product of one for its row and one for its column, which depend on its
    place within its own cell. So every pixel of a strip has a histogram of its own first, and pixels at the same place
    of all cells stand side by side: two products of matrices then pool them.
    """

    def __init__(self, image: np.ndarray, scheme: Between, cell: int, block: int, sqrt: bool) -> None:
        self.cell, self.block = cell, block
        self.rows, self.columns = (side // cell for side in image.shape[:2])  # of cells
        self.bins = scheme.bins
        self.depth = scheme.bins + 1  # the votes for the bin after the last are added to the first at the end
        width = self.columns * cell
        self.at_once = max(1, min(self.rows, _STRIP_PIXELS * 10 // max(self.depth, 10) // (cell * width)))
        differences = Differences(image, rows=self.at_once * cell, width=width, root=sqrt)
        self.votes = voting(differences, scheme, table=image.dtype == np.uint8 and not sqrt)
        self.shares = _shares(cell, block)

    def blocks(self) -> np.ndarray:
        """Return votes, (block columns, block rows, columns of cells, rows of cells, orientations)."""
        cell, block, reach = self.cell, self.block, self.block - 1
        line = self.columns * self.depth
        # By the column and the row of the cell in its block, the row of the block's last cell, the column of its first.
        pooled = np.zeros((block, block, self.rows + reach, line), np.float32)
        places, histograms = self._places(), scratch("histograms", (cell * cell * self.at_once * line + 1,))
        pairs = overlapping(histograms)
        for first in range(0, self.rows, self.at_once):
            last = min(first + self.at_once, self.rows)
            bins, votes = self.votes(first * cell, last * cell)
            histograms[:] = 0  # in two thirds of fill's time
            index = np.add(places[: len(bins)], bins, out=scratch("index", bins.shape, np.intp))
            np.add.at(pairs, index.reshape(-1), votes.reshape(-1))
            strip = self._pool(histograms[:-1])
            for step in range(block):
                lines = slice(first + reach - step, last + reach - step)
                pooled[:, :, lines] += strip[:, step, :, : last - first]
        rows, columns = self.rows - reach, self.columns - reach
        pooled = pooled.reshape(block, block, -1, self.columns, self.depth)[:, :, reach : reach + rows, :columns]
        pooled[..., 0] += pooled[..., self.bins]
        return np.array(pooled[..., : self.bins].transpose(3, 2, 0, 1, 4), order="C")

    def _places(self) -> np.ndarray:
        """Return where the histogram of each pixel of a strip begins."""
        y, x = np.arange(self.at_once * self.cell)[:, None], np.arange(self.columns * self.cell)
        down = (y % self.cell * self.at_once + y // self.cell) * self.columns
        across = x % self.cell * (self.cell * self.at_once * self.columns) + x // self.cell
        down, across = down * self.depth, across * self.depth
        return np.asarray(np.add(down, across, out=scratch("places", (y.size, x.size), np.intp)))

    def _pool(self, histograms: np.ndarray) -> np.ndarray:
        """Return (columns of cells, block rows that a cell is in, rows of cells, cell rows, cell columns x depth)."""
        cell, block = self.cell, self.block
        shares = self.shares.transpose(0, 2, 1).reshape(block * block, cell)
        size = histograms.size // cell
        across = scratch("across", (block, block, size))
        np.matmul(shares, histograms.reshape(cell, size), out=across.reshape(block * block, size))
        for step in range(1, block):  # a block's other cells, further to the right; the last ones are cut off later
            further = step * self.depth
            across[0, :, :-further] += across[step, :, further:]
        lines = across[0].reshape(block, cell, size // cell)
        both = np.matmul(shares, lines, out=scratch("both", (block, block * block, size // cell)))
        return both.reshape(block, block, block, self.at_once, -1)


@functools.lru_cache(maxsize=8)
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


def _normalize(blocks: np.ndarray) -> np.ndarray:
    """Return blocks divided by their length, clipped, and divided again (L2-Hys), with OpenCV's constants."""
    flat = blocks.reshape(-1, int(np.prod(blocks.shape[2:])))  # a view: one row a block
    flat /= np.sqrt(np.einsum("ij,ij->i", flat, flat))[:, None] + np.float32(0.1 * flat.shape[1])
    cv2.threshold(flat, CLIP, 0, cv2.THRESH_TRUNC, dst=flat)
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
