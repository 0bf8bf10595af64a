"""Gradient of an image: x to the right, y downwards, magnitude and phase.

Both derivatives are convolutions, positive where brightness rises in the direction of the axis. Angles therefore
grow clockwise on the screen, from 0 at the right.

Where the derivatives lie: at the pixel, but half a pixel after it (`forward`) or before it (`backward`) along their own
axis, and for `roberts` half a pixel to the right of it and below. Its two derivatives run along the diagonals; they are
turned by 45 degrees to x and y, which leaves the magnitude as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import gradient_arrays, image_array
from imgtool.filters.convolve import convolve
from imgtool.filters.kernels import gaussian, kernel, normalize_taps
from imgtool.filters.weighted import noise_level
from imgtool.names import unknown_name
from imgtool.parameters import checks_options

OPERATORS = ("sobel", "scharr", "prewitt", "roberts", "central", "forward", "backward", "gaussian")
CHANNELS = ("max", "mean", "each")
NORMALIZE = ("none", "abs")


@checks_options
def gradient(
    image: ArrayLike,
    *,
    operator: str = "sobel",
    border: str = "reflect",
    sigma: float | None = None,
    normalize: str = "none",
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the derivatives of an image to the right and downwards.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, channels)
        Bool, integers or floats; each channel is processed separately.
    operator : {"sobel", "scharr", "prewitt", "roberts", "central", "forward", "backward", "gaussian"}
        Derivative kernels, as printed in the literature (not normalized).
    border : {"reflect", "clip", "wrap", "copy", "mirror"}
        What lies outside, as for `convolve`.
    sigma : float, optional
        In pixels. For `gaussian`, sigma of the derivative of a Gaussian (default 1); for the other operators, sigma of
        a Gaussian that smooths the image first (0 or None: no smoothing).
    normalize : {"none", "abs"}
        "abs" divides each kernel by the sum of its absolute taps: derivatives of an image in 0..1 then lie in
        -0.5..0.5, and magnitudes in 0..1.

    Returns
    -------
    gx, gy : ndarray, shape of the image
        float32 for a float32 image, else float64.

    Raises
    ------
    ImageError
        The image is not valid, or has no pixels.
    ParameterError
        A name is unknown, or sigma is out of range.

    Notes
    -----
    Both are convolutions, positive where brightness increases in the direction of the axis (x to the right, y down).
    They are centered at the pixel, except for `forward` (half a pixel after it along the axis), `backward` (half a
    pixel before it) and `roberts` (half a pixel to the right and half a pixel below). Roberts' two derivatives run
    along the diagonals and are rotated by 45 degrees to x and y, which preserves the magnitude.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> gx, gy = imgtool.gradient(np.array([[0, 0, 9], [0, 0, 9], [0, 0, 9]]), operator="central")
    >>> gx[1].tolist(), gy[1].tolist()
    ([0.0, 9.0, 9.0], [0.0, 0.0, 0.0])
    """
    array = image_array(image)
    if sigma and operator != "gaussian":
        array = convolve(array, gaussian(sigma), border=border)
    gx, gy = (convolve(array, taps, border=border) for taps in operator_kernels(operator, sigma, normalize))
    return gx, gy


def operator_kernels(
    operator: str, sigma: float | None = None, normalize: str = "none"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the two kernels that an operator's gx and gy are convolutions with. sigma: of `gaussian`."""
    if operator not in OPERATORS:
        raise unknown_name("operator", operator, OPERATORS)
    if normalize not in NORMALIZE:
        raise unknown_name("normalize", normalize, NORMALIZE)
    if operator == "roberts":
        southeast, northeast = kernel("roberts-se"), kernel("roberts-ne")
        across, down = np.sqrt(0.5) * (southeast + northeast), np.sqrt(0.5) * (southeast - northeast)
    else:
        own = {"sigma": sigma} if operator == "gaussian" and sigma is not None else {}
        across, down = kernel(f"{operator}-x", **own), kernel(f"{operator}-y", **own)
    return normalize_taps(across, normalize), normalize_taps(down, normalize)


@np.errstate(over="ignore", invalid="ignore")
def color_gradient(
    image: np.ndarray,
    channel: str = "max",
    *,
    operator: str = "sobel",
    border: str = "reflect",
    sigma: float | None = None,
    normalize: str = "none",
) -> tuple[np.ndarray, np.ndarray]:
    """Return (gx, gy) of an image in color: see `gradient`.

    channel: `max`, those of the channel whose gradient is largest at each pixel; `mean`, those of the channels' mean
    (as of the gradients, which is the same); both (height, width). `each`: those of each channel.
    """
    if channel not in CHANNELS:
        raise unknown_name("channel", channel, CHANNELS)
    if channel == "mean" and image.ndim == 3:
        image = image.mean(axis=2, dtype=np.float32 if image.dtype == np.float32 else np.float64)
    gx, gy = gradient(image, operator=operator, border=border, sigma=sigma, normalize=normalize)
    return strongest_channel(gx, gy) if channel == "max" else (gx, gy)


def reach(operator: str, sigma: float | None = None) -> int:
    """Return how many rows above or below a pixel its gradient may depend on."""
    smoothing = len(gaussian(sigma)) // 2 if sigma and operator != "gaussian" else 0
    return smoothing + max(map(len, operator_kernels(operator, sigma))) // 2


@np.errstate(over="ignore", invalid="ignore")
def magnitude(gx: ArrayLike, gy: ArrayLike) -> np.ndarray:
    """Return the length of the gradient, sqrt(gx^2 + gy^2).

    Parameters
    ----------
    gx, gy : array_like, (height, width) or (height, width, channels)
        Derivatives, as returned by `gradient`.

    Returns
    -------
    ndarray, shape of gx
        float32 if both are, else float64.

    Raises
    ------
    ParameterError
        They are not arrays of real numbers of the same shape.

    Examples
    --------
    >>> import imgtool
    >>> imgtool.magnitude([[3.0, 0.0]], [[4.0, 0.0]])
    array([[5., 0.]])
    """
    gx, gy = gradient_arrays(gx, gy)
    return np.asarray(np.hypot(gx, gy))


def phase(gx: ArrayLike, gy: ArrayLike, *, floor: float = 0.0) -> np.ndarray:
    """Return the direction of the gradient, atan2(gy, gx).

    Parameters
    ----------
    gx, gy : array_like, (height, width) or (height, width, channels)
        Derivatives, as returned by `gradient`.
    floor : float
        Gradients shorter than this count as none; `noise_floor` tells what rounding may make of a flat image.

    Returns
    -------
    ndarray, shape of gx
        Radians in (-pi, pi], 0 at the right, increasing clockwise on the screen; 0 where both are 0.
        float32 if both are, else float64.

    Raises
    ------
    ParameterError
        They are not arrays of real numbers of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> np.degrees(imgtool.phase([[1.0, 0.0, -1.0]], [[0.0, 1.0, 0.0]]))
    array([[  0.,  90., 180.]])
    """
    gx, gy = gradient_arrays(gx, gy)
    angles = np.asarray(np.arctan2(gy + 0.0, gx + 0.0))  # + 0.0 turns -0 into 0, so that flat pixels have the angle 0
    if floor > 0:
        angles[np.hypot(gx, gy) < floor] = 0
    return angles


def noise_floor(operator: str, sigma: float | None, peak: float, dtype: np.dtype, normalize: str = "none") -> float:
    """Return below which length a gradient is rounding noise: 8 eps x sum of absolute taps x largest pixel.

    peak: the largest magnitude of a pixel of the image; dtype: in which the gradient was computed.
    """
    kernels = operator_kernels(operator, sigma, normalize)
    return noise_level(max(float(np.abs(taps).sum()) for taps in kernels), peak, dtype)


def strongest_channel(gx: np.ndarray, gy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (gx, gy) of the channel with the largest magnitude at each pixel, the first on ties."""
    if gx.ndim == 2:
        return gx, gy
    best = magnitude(gx, gy).argmax(axis=2)[:, :, None]
    return np.take_along_axis(gx, best, 2)[:, :, 0], np.take_along_axis(gy, best, 2)[:, :, 0]
