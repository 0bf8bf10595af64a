"""Histograms of oriented gradients.

Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005, as scikit-image computes them:
votes go whole to one orientation and one cell (the paper divides them among neighbours), and blocks have no Gaussian
window. Orientations are those of the gradient modulo 180 degrees, x to the right, y down; bin k holds angles from
180 k / O up to, not including, 180 (k + 1) / O.
"""

from __future__ import annotations

import numpy as np

from imgtool.errors import ImageError, ParameterError
from imgtool.filters.gradient import strongest_channel
from imgtool.image.color import split_alpha

NORMS = ("L1", "L1-sqrt", "L2", "L2-Hys", "none")
EPSILON = 1e-5
HUGE = 1e100  # squares of what is larger do not fit into float64
Pair = int | tuple[int, int]


def hog(
    image: np.ndarray,
    *,
    orientations: int = 9,
    cell: Pair = 8,
    block: Pair = 2,
    norm: str = "L2-Hys",
    sqrt: bool = False,
) -> np.ndarray:
    """Return the normalised blocks (block rows, block columns, rows, columns of cells, orientations) float32.

    image: (height, width[, channels]); alpha is left out, and of colors the channel with the largest gradient counts at
    each pixel. cell: pixels, block: cells, each a number or (rows, columns); blocks overlap, one cell apart.
    norm: L1, L1-sqrt, L2, L2-Hys or none; sqrt: take the square root of the image first (gamma compression).
    Raises ImageError when the image is smaller than one block, holds NaN or infinity, or is negative with sqrt.
    """
    if orientations < 1:
        raise ParameterError(f"orientations must be at least 1, got {orientations}")
    if norm not in NORMS:
        raise ParameterError(f"no norm {norm!r}; there are {', '.join(NORMS)}")
    cells, blocks = _pair(cell, "cell"), _pair(block, "block")
    color = split_alpha(image)[0]
    _require_block(color, cells, blocks)
    histograms = cell_histograms(*_differences(color, sqrt=sqrt), orientations, cells)
    return normalised_blocks(histograms, blocks, norm)


def _pair(value: Pair, name: str) -> tuple[int, int]:
    """Return (rows, columns)."""
    rows, columns = (value, value) if isinstance(value, int) else value
    if rows < 1 or columns < 1:
        raise ParameterError(f"{name} must be at least 1, got {value}")
    return rows, columns


def _require_block(image: np.ndarray, cell: tuple[int, int], block: tuple[int, int]) -> None:
    """Raise ImageError when not even one block fits."""
    rows, columns = cell[0] * block[0], cell[1] * block[1]
    height, width = image.shape[:2]
    if height < rows or width < columns:
        raise ImageError(f"is {width}x{height} pixels; one block of HoG needs {columns}x{rows}")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ImageError("holds NaN or infinity, which have no gradient")
    if image.dtype.kind == "f" and np.abs(image).max() > HUGE:
        raise ImageError(f"holds values too large for HoG, over {HUGE:g}")


def _differences(image: np.ndarray, *, sqrt: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return central differences (gx, gy), not halved, 0 on the first and last column or row."""
    values = image.astype(np.float64)
    if sqrt:
        if values.min() < 0:
            raise ImageError("has negative values, which have no square root; leave --sqrt out")
        values = np.sqrt(values)
    gx, gy = np.zeros_like(values), np.zeros_like(values)
    gx[:, 1:-1] = values[:, 2:] - values[:, :-2]
    gy[1:-1] = values[2:] - values[:-2]
    return strongest_channel(gx, gy)


def cell_histograms(gx: np.ndarray, gy: np.ndarray, orientations: int, cell: tuple[int, int]) -> np.ndarray:
    """Return the mean vote (cell rows, cell columns, orientations) float64; pixels that fill no cell are left out."""
    rows, columns = gx.shape[0] // cell[0], gx.shape[1] // cell[1]
    gx, gy = gx[: rows * cell[0], : columns * cell[1]], gy[: rows * cell[0], : columns * cell[1]]
    # Many gradients of 8-bit images lie exactly on the edge of a bin: degrees, modulo and comparison stand in this
    # order and in double precision, as in scikit-image, or pixels change their bin.
    angle = np.rad2deg(np.arctan2(gy, gx)) % 180.0
    edges = 180.0 / orientations * np.arange(1, orientations)
    bins = np.searchsorted(edges, angle, side="right")
    place = (np.arange(gx.shape[0]) // cell[0] * columns)[:, None] + np.arange(gx.shape[1]) // cell[1]
    votes = np.bincount(
        (place * orientations + bins).ravel(), np.hypot(gx, gy).ravel(), minlength=rows * columns * orientations
    )
    return np.asarray(votes.reshape(rows, columns, orientations) / (cell[0] * cell[1]))


def normalised_blocks(histograms: np.ndarray, block: tuple[int, int], norm: str) -> np.ndarray:
    """Return every block of cells, normalised, as float32."""
    windows = np.lib.stride_tricks.sliding_window_view(histograms, block, axis=(0, 1))
    blocks = windows.transpose(0, 1, 3, 4, 2)
    if norm == "L1-sqrt":
        return np.sqrt(_scaled(blocks, "L1")).astype(np.float32)
    if norm == "L2-Hys":
        blocks = np.minimum(_scaled(blocks, "L2"), 0.2)
        norm = "L2"
    return _scaled(blocks, norm).astype(np.float32)


def _scaled(blocks: np.ndarray, norm: str) -> np.ndarray:
    """Divide each block by its norm."""
    if norm == "none":
        return blocks
    if norm == "L1":
        return np.asarray(blocks / (np.abs(blocks).sum(axis=(2, 3, 4), keepdims=True) + EPSILON))
    return np.asarray(blocks / np.sqrt((blocks**2).sum(axis=(2, 3, 4), keepdims=True) + EPSILON**2))
