"""Histograms of oriented gradients of UoCTTI, and VLFeat's own form of Dalal and Triggs'.

Felzenszwalb, Girshick, McAllester, Ramanan, "Object detection with discriminatively trained part-based models", PAMI
32(9), 2010, as VLFeat's vl_hog computes them. Votes go to the nearest of O undirected orientations, whose bins are
centered at 180 k / O degrees, x to the right, y down, and are divided linearly among the four nearest cells.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array, whole_number
from imgtool.errors import ImageError
from imgtool.features.validation import require_finite
from imgtool.filters.gradient import gradient, magnitude, strongest_channel
from imgtool.image.alpha import flatten
from imgtool.image.color import MAX_CHANNELS

CLIP = 0.2
_STRIP_PIXELS = 1 << 14  # pixels worked on at once: the intermediate arrays stay in the processor's cache


def uoctti(image: ArrayLike, *, orientations: int = 9, cell: int = 8, bilinear: bool = False) -> np.ndarray:
    """Describe an image by UoCTTI's histograms of oriented gradients, as VLFeat computes them.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Bool, integers or floats on the scale 0 to 255. Alpha is ignored; in color images, the channel with the
        largest gradient magnitude is used at each pixel.
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
    undirected = histograms[..., :orientations] + histograms[..., orientations:]
    clipped = [np.minimum(np.dstack([histograms, undirected]) * factor, CLIP) for factor in factors]
    energies = [each[..., 2 * orientations :].sum(axis=2) / np.sqrt(18) for each in clipped]
    return np.dstack([0.5 * sum(clipped), *energies]).astype(np.float32)


def vlfeat_dalal_triggs(
    image: ArrayLike, *, orientations: int = 9, cell: int = 8, bilinear: bool = False
) -> np.ndarray:
    """Return (cell rows, cell columns, 4 orientations) float32: a cell's undirected votes, normalized by four blocks.

    The blocks in which the cell lies at the bottom right, bottom left, top right and top left follow one another.
    Parameters and errors are those of `uoctti`.
    """
    orientations = whole_number(orientations, "orientations")
    histograms, factors = _cells(image, orientations, cell, bilinear)
    undirected = histograms[..., :orientations] + histograms[..., orientations:]
    return np.dstack([np.minimum(undirected * factor, CLIP) for factor in factors]).astype(np.float32)


def _cells(image: ArrayLike, orientations: int, cell: int, bilinear: bool) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return directed histograms (cell rows, cell columns, 2 orientations) and the four factors that normalize them."""
    cell = whole_number(cell, "cell")
    array = flatten(image_array(image, max_channels=MAX_CHANNELS))
    rows, columns = ((side + cell // 2) // cell for side in array.shape[:2])
    if min(rows, columns) < 1:
        half = cell - cell // 2
        raise ImageError(f"is {array.shape[1]}x{array.shape[0]} pixels; one cell of HoG needs {half}x{half}")
    require_finite(array, "HoG")
    gx, gy = strongest_channel(*gradient(array.astype(np.float32), operator="central", border="mirror"))
    gx, gy = gx[1:-1, 1:-1], gy[1:-1, 1:-1]  # the outermost pixels have no neighbor on one side, and no vote
    histograms = np.zeros((rows + 2, columns + 2, 2 * orientations))  # with a ring of cells that is cut off
    (top, down), (left, right) = (_between(side, cell) for side in gx.shape)
    at_once = max(1, _STRIP_PIXELS // max(gx.shape[1], 1))
    for first in range(0, len(gx), at_once):
        strip = slice(first, first + at_once)
        for bins, votes in _votes(gx[strip], gy[strip], orientations, bilinear):
            _add(histograms, bins, votes, (top[strip], down[strip]), (left, right))
    histograms = histograms[1:-1, 1:-1]
    return histograms, _factors(histograms, orientations)


def _votes(gx: np.ndarray, gy: np.ndarray, orientations: int, bilinear: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return pairs of directed bins and votes: one a pixel, or two if bilinear."""
    gx, gy, size = np.ascontiguousarray(gx), np.ascontiguousarray(gy), magnitude(gx, gy)
    bilinear = bilinear and orientations > 1
    nearest, next_nearest = _nearest(gx, gy, orientations, both=bilinear)
    if not bilinear:
        return [(nearest.to_directions(orientations), size)]
    cosine = nearest.sizes / np.maximum(size, np.float32(1e-10))
    share = np.arccos(np.minimum(cosine, 1)) * np.float32(orientations / np.pi)
    return [
        (nearest.to_directions(orientations), size * (1 - share)),
        (next_nearest.to_directions(orientations), size * share),
    ]


class _Near(NamedTuple):
    """An orientation for each pixel, the gradient's product with it, and the size of that."""

    bins: np.ndarray
    products: np.ndarray
    sizes: np.ndarray

    def take(self, other: _Near, where: np.ndarray) -> None:
        """Take another's orientation where a mask of bytes says so."""
        for own, its in zip(self, other, strict=True):
            cv2.copyTo(its, where, own)

    def to_directions(self, orientations: int) -> np.ndarray:
        """Return bins of O orientations as bins of 2 O directions."""
        return np.asarray(self.bins + (self.products < 0) * np.int32(orientations))


def _nearest(gx: np.ndarray, gy: np.ndarray, orientations: int, *, both: bool) -> tuple[_Near, _Near]:
    """Return the nearest orientation of each pixel and, if asked for, the next nearest.

    In single precision, as in VLFeat: an upright gradient is as near to 80 as to 100 degrees, and the first wins.
    """
    angles = (np.arange(orientations) * np.pi / orientations).astype(np.float32)
    nearest, next_nearest = (
        _Near(np.zeros(gx.shape, np.int32), np.zeros(gx.shape, np.float32), np.full(gx.shape, -1, np.float32))
        for _ in range(2)
    )
    for k, (cosine, sine) in enumerate(zip(np.cos(angles), np.sin(angles), strict=True)):
        products = gx * cosine
        products += gy * sine
        one = _Near(np.full(gx.shape, k, np.int32), products, np.abs(products))
        nearer = cv2.compare(one.sizes, nearest.sizes, cv2.CMP_GT)
        if both:
            other = _Near(*(each.copy() for each in one))
            other.take(nearest, nearer)  # which gives way
            next_nearest.take(other, cv2.compare(one.sizes, next_nearest.sizes, cv2.CMP_GT))
        nearest.take(one, nearer)
    return nearest, next_nearest


def _add(
    histograms: np.ndarray,
    bins: np.ndarray,
    votes: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray],
    columns: tuple[np.ndarray, np.ndarray],
) -> None:
    """Add each pixel's vote to the four cells around it, by its nearness to their centers; see `_between`."""
    (top, down), (left, right), (_, across, depth) = rows, columns, histograms.shape
    places = top[:, None] * (across * depth) + left * depth + bins
    for step, of_row in ((0, 1 - down), (across * depth, down)):
        of_row_votes = votes * of_row[:, None]
        for next_step, of_column in ((step, 1 - right), (step + depth, right)):
            np.add.at(histograms.reshape(-1), (places + next_step).ravel(), (of_row_votes * of_column).ravel())


def _between(pixels: int, cell: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cell before each inner pixel, in the ringed array, and how far the pixel is on its way to the next."""
    place = (np.arange(1, pixels + 1) + 0.5) / cell - 0.5
    before = np.floor(place)
    return before.astype(np.intp) + 1, place - before


def _factors(histograms: np.ndarray, orientations: int) -> list[np.ndarray]:
    """Return 1 / length of the four blocks of 2 x 2 cells around each cell; beyond the edge its cells are repeated."""
    undirected = histograms[..., :orientations] + histograms[..., orientations:]
    energy = np.pad(np.square(undirected).sum(axis=2), 1, mode="edge")
    blocks = energy[1:, 1:] + energy[:-1, 1:] + energy[1:, :-1] + energy[:-1, :-1]
    factors = (1 / np.sqrt(blocks + 1e-4))[..., None]
    return [factors[:-1, :-1], factors[:-1, 1:], factors[1:, :-1], factors[1:, 1:]]
