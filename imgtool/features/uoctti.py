"""Histograms of oriented gradients of UoCTTI, and VLFeat's own form of Dalal and Triggs'.

Felzenszwalb, Girshick, McAllester, Ramanan, "Object detection with discriminatively trained part-based models", PAMI
32(9), 2010, as VLFeat's vl_hog computes them. Votes go to the nearest of O undirected orientations, whose bins are
centered at 180 k / O degrees, x to the right, y down, and are divided linearly among the four nearest cells.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array, whole_number
from imgtool.errors import ImageError
from imgtool.features.differences import Differences
from imgtool.features.scratch import scratch
from imgtool.features.validation import require_finite
from imgtool.features.votes import Between, Nearest, overlapping, voting
from imgtool.image.alpha import flatten
from imgtool.image.color import MAX_CHANNELS
from imgtool.parameters import checks_options

CLIP = np.float32(0.2)
_STRIP_PIXELS = 1 << 15  # pixels worked on at once: the intermediate arrays stay in the processor's cache


@checks_options
def uoctti(image: ArrayLike, *, orientations: int = 9, cell: int = 8, bilinear: bool = False) -> np.ndarray:
    """Describe an image by UoCTTI's histograms of oriented gradients, as VLFeat computes them.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Bool, integers or floats on the scale 0 to 255. Transparent images are seen on white; in color images, the
        channel with the largest gradient magnitude is used at each pixel.
    orientations : int
        Number O of undirected orientations.
    cell : int
        Side of a cell in pixels; the number of cells is rounded to the nearest.
    bilinear : bool
        Divide votes between the two nearest orientations.

    Returns
    -------
    ndarray, (cell rows, cell columns, 3 orientations + 4), float32
        For each cell, 2 O directed orientations, O undirected ones, and 4 sums over orientations, one for each of the
        blocks that normalize it.

    Raises
    ------
    ImageError
        The image is not valid, is smaller than half a cell, or contains NaN or infinity.
    ParameterError
        A number is out of range.

    Notes
    -----
    Felzenszwalb, Girshick, McAllester, Ramanan, PAMI 32(9), 2010, as VLFeat's `vl_hog` computes it. Votes go to the
    nearest of O undirected orientations, whose bins are centered at 180 k / O degrees, x to the right, y down, and are
    divided linearly among the four nearest cells.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> imgtool.uoctti(np.zeros((64, 80), np.uint8)).shape
    (8, 10, 31)
    """
    orientations = whole_number(orientations, "orientations")
    histograms, factors = _cells(image, orientations, cell, bilinear)
    everything = np.concatenate([histograms, _undirected(histograms)])
    half = np.zeros_like(everything)
    energies = []
    for factor in factors:
        clipped = np.minimum(everything * factor, CLIP)
        half += clipped
        energies.append(clipped[2 * orientations :].sum(axis=0) / np.float32(np.sqrt(18)))
    half *= np.float32(0.5)
    return np.ascontiguousarray(np.concatenate([half, energies]).transpose(1, 2, 0))


def vlfeat_dalal_triggs(
    image: ArrayLike, *, orientations: int = 9, cell: int = 8, bilinear: bool = False
) -> np.ndarray:
    """Return (cell rows, cell columns, 4 orientations) float32: a cell's undirected votes, normalized by four blocks.

    The blocks in which the cell lies at the bottom right, bottom left, top right and top left follow one another.
    Parameters and errors are those of `uoctti`.
    """
    orientations = whole_number(orientations, "orientations")
    histograms, factors = _cells(image, orientations, cell, bilinear)
    undirected = _undirected(histograms)
    clipped = np.concatenate([np.minimum(undirected * factor, CLIP) for factor in factors])
    return np.ascontiguousarray(clipped.transpose(1, 2, 0))


def _cells(image: ArrayLike, orientations: int, cell: int, bilinear: bool) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return directed histograms (2 orientations, cell rows, cell columns) and the four factors that normalize them."""
    cell = whole_number(cell, "cell")
    array = flatten(image_array(image, max_channels=MAX_CHANNELS))
    rows, columns = ((side + cell // 2) // cell for side in array.shape[:2])
    if min(rows, columns) < 1:
        half = cell - cell // 2
        raise ImageError(f"is {array.shape[1]}x{array.shape[0]} pixels; one cell of HoG needs {half}x{half}")
    require_finite(array, "HoG")
    directions = 2 * orientations
    scheme = Between(directions, directions, 0.0) if bilinear and orientations > 1 else Nearest(orientations)
    histograms = _Grid(array, scheme, cell).histograms()[:, 1:-1, 1:-1]
    return histograms, _factors(_undirected(histograms))


class _Grid:
    """Votes of pixels, each divided among the four nearest cells.

    The shares are products of one for the pixel's row and one for its column. Between the centers of two cells, where
    pixels share them, one addition to a pair of neighbors adds both columns' shares; rows at the same place between two
    centers stand side by side, so that one product of matrices pools them.
    """

    def __init__(self, image: np.ndarray, scheme: Between | Nearest, cell: int) -> None:
        self.height, self.width = image.shape[:2]
        self.cell, self.bins, self.both = cell, scheme.bins, isinstance(scheme, Between)
        self.rows, self.columns = ((side + cell // 2) // cell + 2 for side in image.shape[:2])  # with a ring of cells
        self.at_once = max(1, min(self.rows, _STRIP_PIXELS // (cell * self.width)))  # rows of gaps between centers
        differences = Differences(image, rows=self.at_once * cell, width=self.width)
        self.votes = voting(differences, scheme, table=image.dtype == np.uint8)

    def histograms(self) -> np.ndarray:
        """Return the votes, (bins, cell rows, cell columns), with a ring of cells around that is to be cut off."""
        line = self.bins * self.columns
        result = np.zeros((self.rows, line), np.float32)
        lines = scratch("histograms", (self.cell * self.at_once * line + 1,))
        pairs, places, across, down = overlapping(lines), self._places(), self._across(), self._down()
        for gap in range(0, self.rows - 1, self.at_once):
            next_gap = min(gap + self.at_once, self.rows - 1)
            begin = self.cell * (gap - 1) + self.cell // 2
            end = self.cell * (next_gap - 1) + self.cell // 2
            # The outermost pixels have no neighbor on one side, and no vote.
            first, last = max(begin, 1), min(end, self.height - 1)
            if first >= last:
                continue
            lines[:] = 0  # in two thirds of fill's time
            for bins, votes in self._of_columns(*self.votes(first, last)):
                votes *= across
                index = np.multiply(bins, self.columns, out=scratch("index", bins.shape, np.intp), dtype=np.intp)
                index += places[first - begin : last - begin]
                np.add.at(pairs, index.reshape(-1), votes.view(np.complex64).reshape(-1))
            upper, lower = (down @ lines[:-1].reshape(self.cell, -1)).reshape(2, self.at_once, line)
            result[gap:next_gap] += upper[: next_gap - gap]
            result[gap + 1 : next_gap + 1] += lower[: next_gap - gap]
        return result.reshape(self.rows, self.bins, self.columns).transpose(1, 0, 2)

    def _of_columns(self, bins: np.ndarray, votes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield bins and twice what each gets, (rows, 2 columns); in turn for a bin and the next, if both get votes."""
        parts = votes.view(np.float32).reshape(*bins.shape, 2)
        if not self.both:
            yield bins, parts.reshape(len(bins), -1)
            return
        next_bins = np.roll(np.arange(self.bins, dtype=bins.dtype), -1).take(bins)
        for each, part in zip((bins, next_bins), cv2.split(parts), strict=True):
            yield each, cv2.merge([part, part]).reshape(len(bins), -1)

    def _places(self) -> np.ndarray:
        """Return where in the histograms the first bin of each pixel of a strip is, in the cell on the left."""
        y, x = np.arange(self.at_once * self.cell)[:, None], np.arange(self.width)
        lines = (y % self.cell * self.at_once + y // self.cell) * (self.bins * self.columns)
        cells = _doubled(x, self.cell) // (2 * self.cell)
        return np.asarray(np.add(lines, cells, out=scratch("places", (y.size, x.size), np.intp)))

    def _across(self) -> np.ndarray:
        """Return each column's shares in the cell on the left and in that on the right, one after the other."""
        right = _doubled(np.arange(self.width), self.cell) % (2 * self.cell) / (2 * self.cell)
        shares = np.stack([1 - right, right], axis=1)
        shares[[0, -1]] = 0
        return shares.astype(np.float32).reshape(-1)

    def _down(self) -> np.ndarray:
        """Return the shares of the rows between two centers in the cell above and in that below, (2, rows)."""
        below = (_doubled(np.arange(self.cell) + self.cell // 2, self.cell) - 2 * self.cell) / (2 * self.cell)
        return np.stack([1 - below, below]).astype(np.float32)


def _doubled(pixels: np.ndarray, cell: int) -> np.ndarray:
    """Return twice the distance of pixels' centers from the center of the ring's first cell."""
    return 2 * pixels + 1 + cell


def _undirected(histograms: np.ndarray) -> np.ndarray:
    return np.asarray(sum(np.split(histograms, 2)))


def _factors(undirected: np.ndarray) -> list[np.ndarray]:
    """Return 1 / length of the four blocks of 2 x 2 cells around each cell; beyond the edge its cells are repeated."""
    energy = np.pad(np.square(undirected).sum(axis=0), 1, mode="edge")
    blocks = energy[1:, 1:] + energy[:-1, 1:] + energy[1:, :-1] + energy[:-1, :-1]
    factors = 1 / np.sqrt(blocks + np.float32(1e-4))
    return [factors[:-1, :-1], factors[:-1, 1:], factors[1:, :-1], factors[1:, 1:]]
