"""Histograms of oriented gradients of UoCTTI, and VLFeat's own form of Dalal and Triggs'.

Felzenszwalb, Girshick, McAllester, Ramanan, "Object detection with discriminatively trained part-based models", PAMI
32(9), 2010, as VLFeat's vl_hog computes them. Votes go to the nearest of O undirected orientations, whose bins are
centered at 180 k / O degrees, x to the right, y down, and are divided linearly among the four nearest cells.
"""

from __future__ import annotations

import numpy as np

from imgtool.errors import ImageError, ParameterError
from imgtool.features.limits import require_finite
from imgtool.filters.gradient import gradient, magnitude, strongest_channel
from imgtool.image.color import split_alpha

CLIP = 0.2


def uoctti(image: np.ndarray, *, orientations: int = 9, cell: int = 8, bilinear: bool = False) -> np.ndarray:
    """Return (cell rows, cell columns, 3 orientations + 4) float32.

    The numbers of a cell are 2 O directed orientations, O undirected ones, and 4 sums over orientations, one for each
    of the blocks that normalize it. image: (height, width[, channels]) on the scale 0..255; alpha is left out, of
    colors the channel with the largest gradient counts. cell: pixels a side; there are as many as fit best. bilinear:
    divide votes between the two nearest orientations. Raises ImageError when the image is smaller than half a cell, or
    holds NaN or infinity.
    """
    histograms, factors = _cells(image, orientations, cell, bilinear)
    undirected = histograms[..., :orientations] + histograms[..., orientations:]
    clipped = [np.minimum(np.dstack([histograms, undirected]) * factor, CLIP) for factor in factors]
    energies = [each[..., 2 * orientations :].sum(axis=2) / np.sqrt(18) for each in clipped]
    return np.dstack([0.5 * sum(clipped), *energies]).astype(np.float32)


def vlfeat_dalal_triggs(
    image: np.ndarray, *, orientations: int = 9, cell: int = 8, bilinear: bool = False
) -> np.ndarray:
    """Return (cell rows, cell columns, 4 orientations) float32: a cell's undirected votes, normalized by four blocks.

    The blocks in which the cell lies at the bottom right, bottom left, top right and top left follow one another.
    Parameters and errors are those of `uoctti`.
    """
    histograms, factors = _cells(image, orientations, cell, bilinear)
    undirected = histograms[..., :orientations] + histograms[..., orientations:]
    return np.dstack([np.minimum(undirected * factor, CLIP) for factor in factors]).astype(np.float32)


def _cells(image: np.ndarray, orientations: int, cell: int, bilinear: bool) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return directed histograms (cell rows, cell columns, 2 orientations) and the four factors that normalize them."""
    if min(orientations, cell) < 1:
        raise ParameterError(f"orientations and cell must be at least 1, got {orientations} and {cell}")
    image = split_alpha(image)[0]
    rows, columns = ((side + cell // 2) // cell for side in image.shape[:2])
    if min(rows, columns) < 1:
        half = cell - cell // 2
        raise ImageError(f"is {image.shape[1]}x{image.shape[0]} pixels; one cell of HoG needs {half}x{half}")
    require_finite(image, "HoG")
    gx, gy = strongest_channel(*gradient(image.astype(np.float32), operator="central", border="mirror"))
    inner = slice(1, -1), slice(1, -1)  # the outermost pixels have no neighbor on one side, and no vote
    histograms = np.zeros((rows + 2, columns + 2, 2 * orientations))  # with a ring of cells that is cut off
    for bins, votes in _votes(gx[inner], gy[inner], orientations, bilinear):
        _add(histograms, bins, votes, cell)
    histograms = histograms[1:-1, 1:-1]
    return histograms, _factors(histograms, orientations)


def _votes(gx: np.ndarray, gy: np.ndarray, orientations: int, bilinear: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return pairs of directed bins and votes: one a pixel, or two if bilinear."""
    # In single precision, as in VLFeat: an upright gradient is as near to 80 as to 100 degrees, and the first wins.
    angles = (np.arange(orientations) * np.pi / orientations).astype(np.float32)
    products = gx[..., None] * np.cos(angles) + gy[..., None] * np.sin(angles)
    size = magnitude(gx, gy)
    nearness = np.abs(products)
    best = nearness.argmax(axis=2)
    if not bilinear or orientations == 1:
        return [(_directed(products, best), size)]
    cosine = np.take_along_axis(nearness, best[..., None], 2)[..., 0] / np.maximum(size, np.float32(1e-10))
    share = np.arccos(np.minimum(cosine, 1)) * np.float32(orientations / np.pi)
    np.put_along_axis(nearness, best[..., None], -1, 2)
    second = nearness.argmax(axis=2)
    return [(_directed(products, best), size * (1 - share)), (_directed(products, second), size * share)]


def _directed(products: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Return bins of O orientations as bins of 2 O directions."""
    against = np.take_along_axis(products, bins[..., None], 2)[..., 0] < 0
    return np.asarray(bins + against * products.shape[2])


def _add(histograms: np.ndarray, bins: np.ndarray, votes: np.ndarray, cell: int) -> None:
    """Add each pixel's vote to the four cells around it, by its nearness to their centers."""
    rows, columns, depth = histograms.shape
    (top, down), (left, right) = (_between(side, cell) for side in bins.shape)
    for row, of_row in ((top, 1 - down), (top + 1, down)):
        for column, of_column in ((left, 1 - right), (left + 1, right)):
            places = (np.minimum(row, rows - 1)[:, None] * columns + np.minimum(column, columns - 1)) * depth + bins
            shares = votes * of_row[:, None] * of_column
            histograms += np.bincount(places.ravel(), shares.ravel(), histograms.size).reshape(histograms.shape)


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
