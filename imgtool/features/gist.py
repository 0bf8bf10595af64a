"""GIST: the energy of Gabor filters in the windows of a grid.

Oliva and Torralba, "Modeling the shape of the scene: a holistic representation of the spatial envelope", IJCV 42(3),
2001, as their program LMgist (LabelMe Toolbox) computes it. Order of the result: scale, orientation, then the column of
the window, its row fastest. A constant image, for which the original divides 0 by 0, gives zeros.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from imgtool.errors import ImageError, ParameterError
from imgtool.filters.borders import pad
from imgtool.image.color import split_alpha, to_rgb

MARGIN = 32  # pixels around the image while it is filtered with the Gabor bank
PRESETS: dict[str, dict[str, Any]] = {
    "lmgist": {"size": 256, "orientations": (8, 8, 8, 8), "blocks": 4, "prefilter": 4.0, "color": False},
    "lear": {"size": 32, "orientations": (8, 8, 4), "blocks": 4, "prefilter": 4.0, "color": True},
    "hays-efros": {"size": 256, "orientations": (6, 6, 6, 6, 6), "blocks": 4, "prefilter": 4.0, "color": False},
}


def gist(
    image: np.ndarray,
    *,
    size: int = 256,
    orientations: Sequence[int] = (8, 8, 8, 8),
    blocks: int = 4,
    prefilter: float = 4.0,
    color: bool = False,
) -> np.ndarray:
    """Return the descriptor, sum(orientations) * blocks^2 numbers float32, three times as many with color.

    image: (height, width[, channels]) of any size, alpha left out; size: side of the square it is brought to;
    orientations: how many at each scale, finest first; blocks: windows a side; prefilter: cutoff of the local
    contrast normalisation in cycles per image; color: describe R, G and B apart instead of their mean.
    """
    _require(size, orientations, blocks, prefilter)
    planes = np.moveaxis(to_rgb(image), 2, 0) if color else [mean_gray(image)]
    parts = [_of_plane(np.asarray(plane, np.float64), size, tuple(orientations), blocks, prefilter) for plane in planes]
    return np.concatenate(parts)


def _require(size: int, orientations: Sequence[int], blocks: int, prefilter: float) -> None:
    """Raise ParameterError for settings that mean nothing."""
    if not orientations or min(orientations) < 1:
        raise ParameterError(f"orientations must be at least 1 at each scale, got {tuple(orientations)}")
    if not 1 <= blocks <= size or size > 2048:
        raise ParameterError(f"size must be up to 2048 and hold the blocks, got size {size} and {blocks} blocks")
    if not prefilter > 0:
        raise ParameterError(f"prefilter must be positive, got {prefilter}")


def mean_gray(image: np.ndarray) -> np.ndarray:
    """Return the plain mean of R, G and B in float64, as the original does (not luma)."""
    color = split_alpha(image)[0].astype(np.float64)
    return np.asarray(color.mean(axis=2)) if color.ndim == 3 else color


def _of_plane(plane: np.ndarray, size: int, orientations: tuple[int, ...], blocks: int, prefilter: float) -> np.ndarray:
    """Describe one plane."""
    if not np.isfinite(plane).all():
        raise ImageError("holds NaN or infinity, which GIST cannot describe")
    stretched = stretch(square(plane, size))
    if not stretched.any():
        return np.zeros(sum(orientations) * blocks**2, np.float32)
    return energies(normalised_contrast(stretched, prefilter), orientations, blocks)


def square(plane: np.ndarray, size: int) -> np.ndarray:
    """Resize as MATLAB's bilinear imresize with antialiasing does, then crop the center to size x size."""
    rows, columns = plane.shape
    scale = max(size / rows, size / columns)
    height, width = (max(size, math.floor(side * scale + 0.5)) for side in (rows, columns))
    if (height, width) != (rows, columns):
        plane = _resampling(rows, height) @ plane @ _resampling(columns, width).T
    top, left = (height - size) // 2, (width - size) // 2
    return plane[top : top + size, left : left + size]


def _resampling(old: int, new: int) -> np.ndarray:
    """Return the (new, old) matrix of a triangle filter, widened when shrinking, symmetric at the ends."""
    scale = new / old
    radius = 1 / min(scale, 1.0)
    center = (np.arange(new) + 0.5) / scale - 0.5
    first = np.floor(center - radius).astype(int)
    taps = first[:, None] + np.arange(math.ceil(2 * radius) + 2)
    weights = np.maximum(0.0, 1 - np.abs(taps - center[:, None]) / radius)
    weights /= weights.sum(axis=1, keepdims=True)
    inside = taps % (2 * old)
    inside = np.where(inside < old, inside, 2 * old - 1 - inside)
    matrix = np.zeros((new, old))
    np.add.at(matrix, (np.arange(new)[:, None], inside), weights)
    return matrix


def stretch(plane: np.ndarray) -> np.ndarray:
    """Bring the values to 0..255; a constant plane becomes 0."""
    shifted = plane - plane.min()
    top = shifted.max()
    return shifted * (255 / top) if top > 0 else shifted


def normalised_contrast(plane: np.ndarray, cutoff: float) -> np.ndarray:
    """Return the logarithm's high frequencies divided by their local deviation (the prefilter)."""
    margin = 5
    height, width = plane.shape
    side = max(height, width) + 2 * margin
    side += side % 2
    around = [(margin, side - n - margin) for n in (height, width)]
    # the original pads symmetrically by 5 first, and from there to an even square
    inner = pad(np.log(plane + 1), (margin, margin), (margin, margin), "reflect")
    padded = pad(inner, (0, around[0][1] - margin), (0, around[1][1] - margin), "reflect")
    low_pass = _low_pass(side, cutoff)
    high = padded - _filtered(padded, low_pass)
    deviation = np.sqrt(np.abs(_filtered(high**2, low_pass)))
    return np.asarray((high / (0.2 + deviation))[margin : margin + height, margin : margin + width])


def _filtered(plane: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Multiply the spectrum by a real, even transfer function."""
    spectrum = cv2.dft(plane, flags=cv2.DFT_COMPLEX_OUTPUT)
    return np.asarray(cv2.idft(spectrum * transfer[:, :, None], flags=cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT))


def _frequencies(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return whole frequencies along columns and down rows, in the order of an FFT."""
    f = np.fft.ifftshift(np.arange(-(side // 2), side - side // 2)).astype(np.float64)
    return f[None, :], f[:, None]


@functools.lru_cache(maxsize=8)
def _low_pass(side: int, cutoff: float) -> np.ndarray:
    """Return the Gaussian that falls to one half at the cutoff."""
    fx, fy = _frequencies(side)
    return np.exp(-(fx**2 + fy**2) * math.log(2) / cutoff**2)


@functools.lru_cache(maxsize=4)
def gabor_bank(side: int, orientations: tuple[int, ...]) -> np.ndarray:
    """Return the transfer functions (filters, side, side) float64 of the Gabor filters, in the order of an FFT."""
    fx, fy = _frequencies(side)
    radius, angle = np.hypot(fx, fy) / side, np.arctan2(fy, fx)
    angle[0, 0] = 0.0
    bank = []
    for scale, count in enumerate(orientations):
        radial = -3.5 * (radius / (0.3 / 1.85**scale) - 1) ** 2
        for orientation in range(count):
            turned = angle + math.pi * orientation / count
            turned += 2 * math.pi * ((turned < -math.pi).astype(float) - (turned > math.pi))
            bank.append(np.exp(radial - 2 * math.pi * (16 * count**2 / 1024) * turned**2))
    return np.stack(bank)


@functools.lru_cache(maxsize=4)
def _bank_pairs(side: int, orientations: tuple[int, ...]) -> np.ndarray:
    """Return the bank as float32, each value twice: for a spectrum's real and imaginary parts."""
    return np.repeat(gabor_bank(side, orientations).astype(np.float32)[..., None], 2, axis=3)


def energies(plane: np.ndarray, orientations: tuple[int, ...], blocks: int) -> np.ndarray:
    """Return the mean magnitude of each filter's response in each window."""
    size = len(plane)
    side = size + 2 * MARGIN
    padded = pad(plane.astype(np.float32), (MARGIN, MARGIN), (MARGIN, MARGIN), "reflect")
    spectrum = cv2.dft(padded, flags=cv2.DFT_COMPLEX_OUTPUT)
    mean = _window_means(size, blocks)
    result = []
    for transfer in _bank_pairs(side, orientations):
        response = cv2.idft(cv2.multiply(spectrum, transfer), flags=cv2.DFT_SCALE)
        inner = response[MARGIN : MARGIN + size, MARGIN : MARGIN + size]
        magnitude = cv2.magnitude(inner[:, :, 0], inner[:, :, 1])
        result.append((mean @ magnitude @ mean.T).T.ravel())
    return np.concatenate(result).astype(np.float32)


def _window_means(size: int, blocks: int) -> np.ndarray:
    """Return the (blocks, size) matrix that takes means over the windows of one axis."""
    edges = np.linspace(0, size, blocks + 1).astype(int)
    matrix = np.zeros((blocks, size), np.float32)
    for row, (begin, end) in enumerate(itertools.pairwise(edges)):
        matrix[row, begin:end] = 1.0 / (end - begin)
    return matrix
