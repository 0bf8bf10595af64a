"""GIST: the energy of Gabor filters in the windows of a grid.

Oliva and Torralba, "Modeling the shape of the scene: a holistic representation of the spatial envelope", IJCV 42(3),
2001, as their program LMgist (LabelMe Toolbox) computes it. Order of the result: channel (with color), scale from the
finest, orientation, then the column of the window, its row fastest. Orientation j answers to gradients at -180 j / O
degrees, clockwise from the right: to upright edges first. A constant image, for which the original divides 0 by 0,
gives zeros.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array, real_number, whole_number, whole_numbers
from imgtool.errors import ParameterError
from imgtool.features.validation import require_finite
from imgtool.filters.borders import pad
from imgtool.image.alpha import flatten
from imgtool.image.color import MAX_CHANNELS, to_rgb
from imgtool.parameters import checks_options

PRESETS: dict[str, dict[str, Any]] = {
    "lmgist": {"size": 256, "orientations": (8, 8, 8, 8), "blocks": 4, "prefilter": 4.0, "color": False},
    # Douze et al., "Evaluation of GIST descriptors for web-scale image search", CIVR 2009
    "lear": {"size": 32, "orientations": (8, 8, 4), "blocks": 4, "prefilter": 4.0, "color": True},
    # Hays and Efros, "Scene completion using millions of photographs", SIGGRAPH 2007
    "hays-efros": {"size": 256, "orientations": (6, 6, 6, 6, 6), "blocks": 4, "prefilter": 4.0, "color": False},
}
MARGIN_PIXELS = 32  # pixels around the image while it is filtered with the Gabor bank
MAX_SIZE_PIXELS = 2048  # the bank grows with its square
MAX_FILTER_NUMBERS = 1 << 28  # of the bank

FLAT_SHARE = 1e-12  # of the largest value: differences below are rounding
_MIN_WAVE_SHARE = 1e-16  # of a wave: what passes of it is below rounding
_MIN_FILTER_SHARE = 1e-9  # of a filter's largest value: what it passes there is below rounding in float32
_bank_lock = threading.Lock()


@checks_options
def gist(
    image: ArrayLike,
    *,
    size: int = 256,
    orientations: Sequence[int] = (8, 8, 8, 8),
    blocks: int = 4,
    prefilter: float = 4.0,
    color: bool = False,
) -> np.ndarray:
    """Describe an image by its GIST: the energy of Gabor filters in the windows of a grid.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Bool, integers or floats of any size. Transparent images are seen on white; colors are averaged, unless `color`
        is true.
    size : int
        Side, in pixels, of the square that the image is resized and cropped to.
    orientations : sequence of int
        Number of orientations at each scale, finest first.
    blocks : int
        Windows per side of the grid.
    prefilter : float
        Cutoff of the local contrast normalization, in cycles per image.
    color : bool
        Describe R, G and B separately.

    Returns
    -------
    ndarray, (sum(orientations) * blocks^2,), float32
        With `color` three times as many. Order: channel, scale, orientation, column of the window, row (fastest).

    Raises
    ------
    ImageError
        The image is not valid, or contains NaN, infinity or values above 1e15.
    ParameterError
        A number is out of range.

    Notes
    -----
    Oliva and Torralba, IJCV 42(3), 2001, as their program LMgist (LabelMe Toolbox) computes it; `imgtool.features.gist`
    has settings from other papers as `PRESETS`. Orientation j responds to gradients at -180 j / O degrees, clockwise
    from the right; orientation 0 to vertical edges. A constant image, for which the original divides 0 by 0, gives
    zeros.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> imgtool.gist(np.zeros((48, 64), np.uint8), size=32, orientations=(8, 8, 4)).shape
    (320,)
    """
    size, blocks = whole_number(size, "size"), whole_number(blocks, "blocks")
    counts, prefilter = whole_numbers(orientations, "orientations"), real_number(prefilter, "prefilter")
    require_parameters(size, counts, blocks, prefilter)
    array = image_array(image, max_channels=MAX_CHANNELS)
    planes = stretch(square(array, size, color=color))
    if not planes.any():
        return np.zeros(len(planes) * sum(counts) * blocks**2, np.float32)
    return np.concatenate([energies(plane, counts, blocks) for plane in normalize_contrast(planes, prefilter)])


def require_parameters(size: int, orientations: Sequence[int], blocks: int, prefilter: float) -> None:
    """Raise ParameterError for settings that mean nothing, or ask for too much: they come from files, too."""
    if not orientations or min(orientations) < 1:
        raise ParameterError(f"orientations must be at least 1 at each scale, got {tuple(orientations)}")
    if not 1 <= blocks <= size or size > MAX_SIZE_PIXELS:
        raise ParameterError(f"blocks must be 1 to size and size up to {MAX_SIZE_PIXELS}, got {blocks} and {size}")
    numbers = sum(orientations) * (size + 2 * MARGIN_PIXELS) ** 2
    if numbers > MAX_FILTER_NUMBERS:
        raise ParameterError(f"the settings ask for {numbers} numbers of filters; there may be {MAX_FILTER_NUMBERS}")
    if not 0 < prefilter < math.inf:
        raise ParameterError(f"prefilter must be positive and finite, got {prefilter}")


def square(image: np.ndarray, size: int, *, color: bool = False) -> np.ndarray:
    """Return (1, size, size) float64, the plain mean of R, G and B, or (3, size, size), R, G and B.

    Resized as MATLAB's bilinear imresize with antialiasing does, until the shorter side is `size`; then the center is
    cut out.
    """
    image = to_rgb(image) if color else flatten(image)
    require_finite(image, "GIST")
    rows, columns = _resized_shape(image.shape, size)
    resized = _resample(image, rows, size)
    resized = _resample(resized.swapaxes(0, 1), columns, size).swapaxes(0, 1)
    if resized.ndim == 2:
        return resized[None]
    return np.moveaxis(resized, 2, 0) if color else resized.mean(axis=2)[None]


def resampling(shape: tuple[int, ...], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what `square` does to an image of this shape as two matrices, (size, height) and (size, width)."""
    matrices = []
    for old, new in zip(shape[:2], _resized_shape(shape, size), strict=True):
        taps, weights = _taps(old, new, size)
        matrix = np.zeros((size, old))
        np.add.at(matrix, (np.arange(size)[:, None], taps), weights)
        matrices.append(matrix)
    return matrices[0], matrices[1]


def _resized_shape(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """Return the rows and columns of the image whose shorter side is `size`."""
    scale = max(size / shape[0], size / shape[1])
    return max(size, math.floor(shape[0] * scale + 0.5)), max(size, math.floor(shape[1] * scale + 0.5))


def _resample(lines: np.ndarray, new: int, size: int) -> np.ndarray:
    """Resize the first axis to `new` lines; return the middle `size`."""
    old = len(lines)
    if new == old:
        first = (new - size) // 2
        return lines[first : first + size].astype(np.float64)
    result = np.zeros((size, *lines.shape[1:]))
    for tap, weight in zip(*(each.T for each in _taps(old, new, size)), strict=True):
        if weight.any():
            result += weight.reshape(-1, *[1] * (lines.ndim - 1)) * lines[tap]
    return result


def _taps(old: int, new: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for the middle `size` of `new` lines, which old lines they come from and their weights.

    The filter is a triangle, widened when shrinking.
    """
    scale, first = new / old, (new - size) // 2
    radius = 1 / min(scale, 1.0)
    center = (np.arange(first, first + size) + 0.5) / scale - 0.5
    taps = np.floor(center - radius).astype(int)[:, None] + np.arange(math.ceil(2 * radius) + 2)
    weights = np.maximum(0.0, 1 - np.abs(taps - center[:, None]) / radius)
    weights /= weights.sum(axis=1, keepdims=True)
    taps %= 2 * old
    return np.where(taps < old, taps, 2 * old - 1 - taps), weights  # symmetric beyond the ends


def stretch(planes: np.ndarray) -> np.ndarray:
    """Bring the values of all planes together to 0..255; constant ones become 0."""
    low, high = planes.min(), planes.max()
    if high - low <= FLAT_SHARE * max(abs(low), abs(high)):
        return np.zeros_like(planes)
    return np.asarray((planes - low) / (high - low) * 255)


def normalize_contrast(planes: np.ndarray, cutoff: float) -> np.ndarray:
    """Return the logarithm's high frequencies divided by their local deviation (the prefilter), (planes, size, size).

    Several planes share one deviation, that of their mean, as in Douze et al.'s program.
    """
    margin, size = 5, planes.shape[-1]
    factor = low_pass(size + 2 * margin + size % 2, cutoff)
    high = []
    for plane in planes:
        padded = pad(np.log(plane + 1), (margin, margin), (margin, margin), "reflect")
        padded = pad(padded, (0, size % 2), (0, size % 2), "reflect")  # to an even side
        high.append(padded - _smooth(padded, factor))
    deviation = np.sqrt(np.abs(_smooth(np.mean(high, axis=0) ** 2, factor)))
    inner = slice(margin, margin + size)
    return np.stack([(each / (0.2 + deviation))[inner, inner] for each in high])


def _smooth(plane: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Apply a low pass along both axes."""
    return np.asarray(factor @ (factor.T @ plane @ factor) @ factor.T)


@functools.lru_cache(maxsize=8)
def low_pass(side: int, cutoff: float) -> np.ndarray:
    """Return F (side, waves) so that F F^T x F F^T is a square x, periodic, under a Gaussian low pass.

    It falls to one half at the cutoff. F holds sines and cosines, each times the root of the share that passes; the few
    that pass at all make this much faster than a Fourier transform, and it keeps to real numbers.
    """
    waves = np.arange(side // 2 + 1)
    with np.errstate(over="ignore"):
        share = np.exp(-((waves / cutoff) ** 2) * math.log(2))
    waves, share = waves[share > _MIN_WAVE_SHARE], share[share > _MIN_WAVE_SHARE]
    alone = (waves == 0) | (2 * waves == side)  # cosines that have no sine beside them
    angle = 2 * math.pi / side * (np.arange(side)[:, None] * waves % side)
    height = np.sqrt(np.where(alone, 1, 2) / side * share)
    return np.hstack([np.cos(angle) * height, (np.sin(angle) * height)[:, ~alone]])


def _frequencies(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return whole frequencies along columns and down rows, in the order of an FFT."""
    f = np.fft.ifftshift(np.arange(-(side // 2), side - side // 2)).astype(np.float64)
    return f[None, :], f[:, None]


def gist_filters(*, size: int = 256, orientations: Sequence[int] = (8, 8, 8, 8)) -> np.ndarray:
    """Return the Gabor filters of GIST in the frequency domain.

    Parameters
    ----------
    size : int
        Side, in pixels, of the square that is described; it is filtered with a margin of 32 pixels on each side.
    orientations : sequence of int
        Number of orientations at each scale, finest first.

    Returns
    -------
    ndarray, (sum(orientations), size + 64, size + 64), float64
        What each filter passes of each frequency, 0 to 1: whole waves along the rows to the right, along the columns
        downwards, 0 in the middle (at index (size + 64) // 2). In the order of `gist`.

    Raises
    ------
    ParameterError
        A number is out of range.

    Examples
    --------
    >>> import imgtool
    >>> bank = imgtool.gist_filters(size=64, orientations=(4, 2))
    >>> bank.shape, int(bank[0, 64].argmax()) - 64  # upright edges: 0.3 cycles per pixel, 38 in 128 pixels
    ((6, 128, 128), 38)
    """
    size, counts = whole_number(size, "size"), whole_numbers(orientations, "orientations")
    require_parameters(size, counts, 1, 1.0)
    return np.fft.fftshift(gabor_bank(size + 2 * MARGIN_PIXELS, counts), axes=(1, 2))


def gabor_bank(side: int, orientations: tuple[int, ...]) -> np.ndarray:
    """Return the transfer functions (filters, side, side) float64 of the Gabor filters, in the order of an FFT."""
    fx, fy = _frequencies(side)
    radius, angle = np.hypot(fx, fy) / side, np.arctan2(fy, fx)
    angular = {count: [_sector(angle, j, count) for j in range(count)] for count in set(orientations)}
    bank = np.empty((sum(orientations), side, side))
    filters = iter(bank)
    for scale, count in enumerate(orientations):
        ring = np.exp(-3.5 * (radius / (0.3 / 1.85**scale) - 1) ** 2)
        for sector in angular[count]:
            np.multiply(ring, sector, out=next(filters))
    return bank


def _sector(angle: np.ndarray, orientation: int, count: int) -> np.ndarray:
    """Return how a filter falls off with the angle from its own, on one side of the spectrum only."""
    turned = angle + math.pi * orientation / count
    turned -= 2 * math.pi * (turned > math.pi)
    return np.asarray(np.exp(-2 * math.pi * (16 * count**2 / 1024) * turned**2))


class _Filter(NamedTuple):
    """What of a transfer function is not 0, the zero frequency in the middle of the whole; where that lies.

    values: (rows, columns, 2) float32, each twice, for a spectrum's real and imaginary parts.
    """

    box: tuple[slice, slice]
    values: np.ndarray


@functools.lru_cache(maxsize=4)
def _filters(side: int, orientations: tuple[int, ...]) -> list[_Filter]:
    """Return the bank, divided by side^2 as an inverse transform wants it, cut to where a filter passes anything."""
    filters = []
    for transfer in np.fft.fftshift(gabor_bank(side, orientations), axes=(1, 2)):
        transfer[transfer < _MIN_FILTER_SHARE * transfer.max()] = 0
        rows, columns = np.flatnonzero(transfer.any(axis=1)), np.flatnonzero(transfer.any(axis=0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        values = (transfer[box] / side**2).astype(np.float32)
        filters.append(_Filter(box, cv2.merge([values, values])))
    return filters


def energies(plane: np.ndarray, orientations: tuple[int, ...], blocks: int) -> np.ndarray:
    """Return the mean magnitude of each filter's response in each window of a square plane, as float32."""
    size = len(plane)
    with _bank_lock:  # so that threads that start together do not all build the bank
        filters = _filters(size + 2 * MARGIN_PIXELS, orientations)
    padded = pad(plane.astype(np.float32), (MARGIN_PIXELS, MARGIN_PIXELS), (MARGIN_PIXELS, MARGIN_PIXELS), "reflect")
    # Moving the zero frequency to the middle turns the phase of a response, not its magnitude.
    spectrum = np.fft.fftshift(cv2.dft(cv2.merge([padded, np.zeros_like(padded)])), axes=(0, 1))
    response = np.empty_like(spectrum)
    inner = response.view(np.complex64)[
        MARGIN_PIXELS : MARGIN_PIXELS + size, :, 0
    ]  # rows in whole, as they lie in memory
    magnitude = np.empty(inner.shape, np.float32)
    down = window_means(size, blocks)
    across = np.pad(down, ((0, 0), (MARGIN_PIXELS, MARGIN_PIXELS))).T
    result = np.empty((len(filters), blocks, blocks), np.float32)
    for (box, values), windows in zip(filters, result, strict=True):
        response.fill(0)
        np.multiply(spectrum[box], values, out=response[box])
        cv2.idft(response, dst=response)
        # Not cv2.magnitude, whose last bit depends on where in memory its arrays happen to lie.
        np.abs(inner, out=magnitude)
        windows[:] = (down @ magnitude @ across).T  # column of the window first
    return result.ravel()


def window_energies(values: np.ndarray, orientations: Sequence[int], blocks: int) -> np.ndarray:
    """Return a descriptor as (filters, window rows, window columns), the mean of the channels of a color one."""
    return np.asarray(values.reshape(-1, sum(orientations), blocks, blocks).mean(axis=0).swapaxes(1, 2))


def contrast_square(image: np.ndarray, size: int) -> np.ndarray:
    """Return what of an image is described, (size, size, 3) uint8, its contrast stretched as for the descriptor."""
    planes = stretch(square(image, size, color=True))
    return np.asarray(np.rint(np.moveaxis(planes, 0, 2)), np.uint8)


def window_means(size: int, blocks: int) -> np.ndarray:
    """Return the (blocks, size) matrix that takes means over the windows of one axis."""
    edges = np.linspace(0, size, blocks + 1).astype(int)
    matrix = np.zeros((blocks, size), np.float32)
    for row, (begin, end) in enumerate(itertools.pairwise(edges)):
        matrix[row, begin:end] = 1.0 / (end - begin)
    return matrix
