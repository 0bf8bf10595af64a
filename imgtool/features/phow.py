"""PHOW: dense SIFT at several scales, of gray or of color channels.

Bosch, Zisserman and Munoz, "Image classification using random forests and ferns", ICCV 2007, as VLFeat's `vl_phow`
computes it: the image is smoothed for each bin size, and the first centers of all sizes coincide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array, real_number, whole_numbers
from imgtool.errors import ImageError, ParameterError
from imgtool.features.sift import Descriptors, dense_sift, gray_of, resolve_bounds
from imgtool.features.validation import require_finite
from imgtool.filters.kernels import gaussian_taps
from imgtool.image.color import MAX_CHANNELS, convert, to_gray, to_rgb
from imgtool.image.pixels import white_level
from imgtool.names import unknown_name
from imgtool.parameters import checks_options

COLORS = {"gray": 1, "rgb": 3, "hsv": 3, "opponent": 3}  # channels that are described


@checks_options
def phow(
    image: ArrayLike,
    *,
    sizes: Sequence[int] = (4, 6, 8, 10),
    step: int = 2,
    window: str = "flat",
    window_size: float = 1.5,
    contrast: float = 0.005,
    color: str = "gray",
    bounds: tuple[int, int, int, int] | None = None,
    vlfeat_angles: bool = False,
) -> Descriptors:
    """Compute SIFT descriptors on regular grids, at several scales one after the other.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Floats in 0..1, bool, or integers, which are divided by the largest value of their type. Transparent
        images are seen on white.
    sizes : sequence of int
        Bin sizes in pixels; for each the image is smoothed by a Gaussian of sigma size / 6. Sizes that do not fit
        the image are skipped.
    step : int
        Pixels between centers; the first centers of all sizes coincide.
    window : {"flat", "gaussian"}
        As for `dense_sift`.
    window_size : float
        Standard deviation of the window, in bins.
    contrast : float
        Descriptors with a smaller norm are set to zero.
    color : {"gray", "rgb", "hsv", "opponent"}
        Channels to describe: gray (Rec. 601), or three, whose descriptors stand side by side (384 numbers). The norm is
        then the mean over red, green and blue; that of the value in HSV; that of the intensity in opponent colors.
    bounds : (int, int, int, int), optional
        x0, y0, x1, y1 (inclusive) of the region to describe.
    vlfeat_angles : bool
        Use VLFeat's approximate arctangent instead of the exact one.

    Returns
    -------
    Descriptors
        `frames` (N, 3): x, y of the centers and bin size in pixels; `values` (N, 128) float32 of unit length, zeros
        where flat, or three such side by side (N, 384); `norms` (N,): contrast.

    Raises
    ------
    ImageError
        The image is not valid, contains NaN or infinity, or is too small for all sizes.
    ParameterError
        A window or color is unknown, or a number is out of range.

    Notes
    -----
    Bosch, Zisserman and Munoz, ICCV 2007, as VLFeat's `vl_phow` computes it. Opponent colors are intensity
    i = 0.3 R + 0.59 G + 0.11 B, (R - G) / sqrt(2) + 0.01 i, and (R + G - 2 B) / sqrt(6) + 0.01 i (van de Sande, Gevers
    and Snoek, PAMI 2010, with VLFeat's hundredth, so that gray regions have a descriptor).

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> found = imgtool.phow(np.zeros((32, 32), np.uint8), sizes=(4, 6), step=8)
    >>> sorted(set(found.frames[:, 2].tolist())), len(found.values)
    ([4.0, 6.0], 13)
    """
    sizes, contrast = whole_numbers(sizes, "sizes"), real_number(contrast, "contrast")
    if not contrast >= 0:
        raise ParameterError(f"contrast must be 0 or more, got {contrast}")
    grid = {"step": step, "window": window, "window_size": window_size, "vlfeat_angles": vlfeat_angles}
    channels = [_describe(plane, sizes, bounds, grid) for plane in color_planes(image, color)]
    return join_channels(channels, color, contrast)


def _describe(
    plane: np.ndarray, sizes: Sequence[int], bounds: tuple[int, int, int, int] | None, grid: dict[str, Any]
) -> Descriptors:
    """Return the descriptors of one channel at all scales."""
    parts = [
        dense_sift(smooth(plane, size / 6), bin_size=size, bounds=region, **grid)
        for size, region in scales(plane.shape, sizes, bounds)
    ]
    return Descriptors(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("frames", "values", "norms"))
    )


def color_planes(image: ArrayLike, color: str) -> list[np.ndarray]:
    """Return the channels (height, width) float32 that are described, of pixels in 0..1; transparent ones on white."""
    if color not in COLORS:
        raise unknown_name("color", color, COLORS)
    array = image_array(image, max_channels=MAX_CHANNELS)
    if color == "gray":
        return [unit_gray_of(array)]
    require_finite(array, "SIFT")
    rgb = to_rgb(array).astype(np.float32)
    if array.dtype.kind != "f":
        rgb /= np.float32(white_level(array.dtype))
    if color == "hsv":
        rgb = convert(rgb, "hsv").astype(np.float32)
    planes = [np.ascontiguousarray(plane) for plane in np.moveaxis(rgb, 2, 0)]
    return _opponents(*planes) if color == "opponent" else planes


def _opponents(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> list[np.ndarray]:
    """Return intensity, red against green, and both against blue, with VLFeat's hundredth of the intensity in each."""
    intensity = np.float32(0.3) * red + np.float32(0.59) * green + np.float32(0.11) * blue
    trace = np.float32(0.01) * intensity
    return [
        intensity,
        (red - green) / np.float32(np.sqrt(2)) + trace,
        (red + green - 2 * blue) / np.float32(np.sqrt(6)) + trace,
    ]


def join_channels(channels: Sequence[Descriptors], color: str, contrast: float) -> Descriptors:
    """Return the channels' descriptors side by side (N, 128 each); those whose contrast is too small are zero.

    The contrast is the mean over red, green and blue; that of the value in HSV; that of the intensity otherwise.
    """
    norms = channels[2 if color == "hsv" else 0].norms
    if color == "rgb":
        norms = np.stack([each.norms for each in channels]).mean(axis=0)
    values = np.hstack([each.values for each in channels]) if len(channels) > 1 else channels[0].values
    values[norms < contrast] = 0
    return Descriptors(channels[0].frames, values, norms)


def unit_gray_of(image: ArrayLike) -> np.ndarray:
    """Return (height, width) float32, integers divided by the largest value of their type."""
    array = image_array(image, max_channels=MAX_CHANNELS)
    if array.dtype.kind == "f":
        return gray_of(array)
    return to_gray(array).astype(np.float32) / np.float32(white_level(array.dtype))


def scales(
    shape: tuple[int, ...], sizes: Sequence[int], bounds: tuple[int, int, int, int] | None
) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Return the bin sizes that fit into an image, each with its bounds, so that the first centers agree.

    Raises ImageError when none fits.
    """
    x0, y0, x1, y1 = resolve_bounds(shape, bounds)
    found = []
    for size in sizes:
        first = int(np.floor(1 + 1.5 * (max(sizes) - size))) - 1
        if min(x1 - x0, y1 - y0) - first >= 3 * size:
            found.append((size, (x0 + first, y0 + first, x1, y1)))
    if not found:
        side = 3 * min(sizes) + 1 + int(1.5 * (max(sizes) - min(sizes)))
        raise ImageError(f"is {shape[1]}x{shape[0]} pixels; SIFT at bin sizes {tuple(sizes)} needs {side}x{side}")
    return found


def smooth(gray: np.ndarray, sigma: float) -> np.ndarray:
    """Return the image smoothed by a Gaussian of radius ceil(4 sigma), edge pixels repeated."""
    taps = smoothing_taps(sigma)
    return np.asarray(cv2.sepFilter2D(gray, -1, taps, taps, borderType=cv2.BORDER_REPLICATE))


def smoothing_taps(sigma: float) -> np.ndarray:
    """Return the weights of the Gaussian that `smooth` applies along each axis, float32."""
    radius = int(np.ceil(4 * sigma))
    return gaussian_taps(sigma, radius / sigma).astype(np.float32)
