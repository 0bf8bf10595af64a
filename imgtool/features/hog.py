"""Histograms of oriented gradients.

Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005, as scikit-image computes them:
votes go whole to one orientation and one cell (the paper divides them among neighbors), and blocks have no Gaussian
window. Orientations are those of the gradient modulo 180 degrees, x to the right, y down; bin k holds angles from
180 k / O up to, not including, 180 (k + 1) / O.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array, whole_number, whole_pair
from imgtool.errors import ImageError
from imgtool.features.differences import SIDE, Differences
from imgtool.features.validation import require_finite, require_roots
from imgtool.image.alpha import flatten
from imgtool.image.color import MAX_CHANNELS
from imgtool.names import unknown_name
from imgtool.parameters import checks_options

NORMS = ("L1", "L1-sqrt", "L2", "L2-Hys", "none")
EPSILON = np.float32(1e-5)
CLIP = 0.2
Pair = int | tuple[int, int]

_ANGLE_ERROR = 0.4  # degrees
_STRIP_PIXELS = 1 << 14  # pixels worked on at once: the intermediate arrays stay in the processor's cache


@checks_options
def hog(
    image: ArrayLike,
    *,
    orientations: int = 9,
    cell: Pair = 8,
    block: Pair = 2,
    norm: str = "L2-Hys",
    sqrt: bool = False,
) -> np.ndarray:
    """Describe an image by histograms of oriented gradients, as scikit-image computes them.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Bool, integers or floats. Transparent images are seen on white; in color images, the channel with the largest
        gradient magnitude is used at each pixel.
    orientations : int
        Number of bins over 180 degrees.
    cell : int or (int, int)
        Size of a cell in pixels: its side, or (rows, columns).
    block : int or (int, int)
        Size of a block in cells: its side, or (rows, columns). Blocks overlap and are one cell apart.
    norm : {"L2-Hys", "L2", "L1", "L1-sqrt", "none"}
        Normalization of a block.
    sqrt : bool
        Take the square root of the image first (gamma compression).

    Returns
    -------
    ndarray, (block rows, block columns, rows of cells, columns of cells, orientations), float32

    Raises
    ------
    ImageError
        The image is not valid, is smaller than one block, contains NaN or infinity, or has negative values with `sqrt`.
    ParameterError
        A norm is unknown, or a number is out of range.

    Notes
    -----
    Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005, as `skimage.feature.hog`
    computes it with `feature_vector=False` (to 1e-6): a vote counts for one orientation and one cell, and blocks have
    no Gaussian window. `dalal_triggs` follows the paper. Bin k holds angles from 180 k / O degrees on, x to the right,
    y down. Pixels at the right and bottom that do not fill a cell are left out.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> imgtool.hog(np.zeros((64, 64), np.uint8)).shape
    (7, 7, 2, 2, 9)
    """
    if norm not in NORMS:
        raise unknown_name("norm", norm, NORMS)
    array = image_array(image, max_channels=MAX_CHANNELS)
    (rows, columns), (high, wide) = whole_pair(cell, "cell"), whole_pair(block, "block")
    height, width = array.shape[:2]
    if height < rows * high or width < columns * wide:
        raise ImageError(f"is {width}x{height} pixels; one block of HoG needs {columns * wide}x{rows * high}")
    histograms = cell_histograms(array, orientations=orientations, cell=(rows, columns), sqrt=sqrt)
    return normalize_blocks(histograms, (high, wide), norm)


def cell_histograms(image: ArrayLike, *, orientations: int = 9, cell: Pair = 8, sqrt: bool = False) -> np.ndarray:
    """Return the mean magnitude that votes for each orientation, (cell rows, cell columns, orientations) float64.

    Parameters and errors are those of `hog`. Pixels at the right and bottom that do not fill a cell are left out.
    """
    orientations = whole_number(orientations, "orientations")
    high, wide = whole_pair(cell, "cell")
    image = flatten(image_array(image, max_channels=MAX_CHANNELS))
    require_finite(image, "HoG")
    if sqrt:
        require_roots(image)
    rows, columns = image.shape[0] // high, image.shape[1] // wide
    if not (rows and columns):
        return np.zeros((rows, columns, orientations))
    vote = _table_votes if image.dtype == np.uint8 and not sqrt else _direct_votes
    at_once = max(1, min(rows, _STRIP_PIXELS // (high * image.shape[1])))
    cells = np.arange(at_once * high)[:, None] // high * columns + np.arange(columns * wide) // wide
    cells *= orientations
    result = np.zeros((rows, columns * orientations))
    # Differences of float32 are rounded to float32, as in scikit-image; those of 8 bits are exact in it.
    kind = np.float32 if image.dtype == np.float32 or vote is _table_votes else np.float64
    differences = Differences(image, rows=len(cells), width=columns * wide, dtype=kind, root=sqrt, keep=True)
    for first in range(0, rows, at_once):
        last = min(first + at_once, rows)
        bins, magnitudes = vote(differences, first * high, last * high, orientations)
        places = cells[: len(bins)] + bins
        # Quicker than bincount, which looks for the largest place first, as long as both sides are of one type.
        np.add.at(result[first:last].reshape(-1), places.ravel(), magnitudes.ravel().astype(np.float64, copy=False))
    result /= high * wide
    return result.reshape(rows, columns, orientations)


def _table_votes(differences: Differences, first: int, last: int, orientations: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's bin and magnitude, those of its strongest channel, for 8-bit images: bins from a table."""
    square, place = differences.squares_and_places(first, last)
    return _table(orientations).take(np.abs(place, out=place).astype(np.int32)), np.sqrt(square, out=square)


@functools.lru_cache(maxsize=8)
def _table(orientations: int) -> np.ndarray:
    """Return the bin of every gradient of 8-bit values, by |511 gy + gx|: the opposite gradient has the same."""
    gy, gx = np.mgrid[-255:256, -255:256].astype(np.float64).reshape(2, -1)[:, SIDE**2 // 2 :]
    # Of a small type, as it competes with the image for the processor's cache.
    return _bins(gx, gy, orientations).astype(np.min_scalar_type(orientations))


def _direct_votes(differences: Differences, first: int, last: int, orientations: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's bin and magnitude, those of its strongest channel, for any image."""
    (gx, gy), *others = differences.each(first, last)
    if others:
        gx, gy = _strongest([(gx, gy), *others])
    # Not cv2.magnitude, whose last bit depends on where in memory its arrays happen to lie.
    return _quick_bins(gx, gy, orientations), np.sqrt(gx * gx + gy * gy)


def _strongest(gradients: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient of the channel with the largest magnitude, the first on ties."""
    best, *others = ((gx, gy, np.hypot(gx, gy)) for gx, gy in gradients)
    for other in others:
        stronger = other[2] > best[2]
        for kept, new in zip(best, other, strict=True):
            np.copyto(kept, new, where=stronger)
    return best[:2]


def _quick_bins(gx: np.ndarray, gy: np.ndarray, orientations: int) -> np.ndarray:
    """Return what `_bins` does, taking its slow arctangent only near the edge of a bin.

    OpenCV's angles are off by less than _ANGLE_ERROR degrees (its documentation says about 0.3).
    """
    x, y = gx.astype(np.float32, copy=False), gy.astype(np.float32, copy=False)
    place = np.asarray(cv2.phase(x, y, angleInDegrees=True)) * np.float32(orientations / 180)
    place -= np.float32(orientations) * (place >= orientations)  # from a whole turn to half of one
    level = gy == 0  # as many gradients are: they stand at the beginning of the first bin, and need no arctangent
    whole = np.floor(place) * ~level
    place -= whole + np.float32(0.5)  # from the middle of the bin
    near = np.abs(place, out=place) > np.float32(0.5 - _ANGLE_ERROR * orientations / 180)
    doubtful = np.flatnonzero(near & ~level)
    x, y = gx.ravel()[doubtful].astype(np.float64), gy.ravel()[doubtful].astype(np.float64)
    bins: np.ndarray = whole.astype(np.int32)
    bins.ravel()[doubtful] = _bins(x, y, orientations)
    return bins


def _bins(gx: np.ndarray, gy: np.ndarray, orientations: int) -> np.ndarray:
    """Return the orientation bin of each gradient."""
    # Many gradients of 8-bit images lie exactly on the edge of a bin: degrees, modulo and comparison stand in this
    # order and in double precision, as in scikit-image, or pixels change their bin.
    angle = np.rad2deg(np.arctan2(gy, gx)) % 180.0
    edges = 180.0 / orientations * np.arange(1, orientations)
    return np.asarray(np.searchsorted(edges, angle, side="right"))


def normalize_blocks(histograms: np.ndarray, block: tuple[int, int], norm: str) -> np.ndarray:
    """Return every block of cells, normalized, as float32."""
    windows = np.lib.stride_tricks.sliding_window_view(histograms.astype(np.float32), block, axis=(0, 1))
    blocks = np.array(windows.transpose(0, 1, 3, 4, 2), order="C")
    flat = blocks.reshape(len(blocks) * blocks.shape[1], -1)  # a view: one row a block
    if norm.startswith("L1"):
        flat /= flat.sum(axis=1, keepdims=True) + EPSILON
    elif norm.startswith("L2"):
        _divide_by_length(flat)
    if norm == "L1-sqrt":
        np.sqrt(flat, out=flat)
    elif norm == "L2-Hys":
        cv2.threshold(flat, CLIP, 0, cv2.THRESH_TRUNC, dst=flat)
        _divide_by_length(flat)
    return blocks


def _divide_by_length(rows: np.ndarray) -> None:
    """Divide each row by its Euclidean length, in place."""
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows) + EPSILON**2)[:, None]
