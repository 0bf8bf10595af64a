"""Kernels: numbers only, they know no image.

Each is meant for convolution, in which the kernel is flipped: `sobel-x` is positive where brightness rises to the
right, `sobel-y` where it rises downwards. Smoothing kernels add up to 1, derivative kernels stand as printed in the
literature. x points right and y down, so angles grow clockwise on the screen; they are in degrees. A Gaussian reaches
`truncate` sigmas.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import argument_array, real_number, whole_number
from imgtool.errors import ParameterError
from imgtool.filters.entry import Entry, both
from imgtool.filters.sobel import laplacian, sobel_x, sobel_y
from imgtool.names import unknown_name

MAX_TAPS = 4096
MAX_FLOAT = float(np.finfo(np.float64).max)
Sigma = float | tuple[float, float]
MIN_POSITIVE = 1e-60  # whose fourth power is still a number above 0


def box(size: int | tuple[int, int] = 3) -> np.ndarray:
    """Return the mean over a window; size: its side, or rows and columns."""
    rows, columns = map(require_size, both(size))
    return np.full((rows, columns), 1.0 / (rows * columns))


def gaussian_taps(sigma: float, truncate: float = 4.0) -> np.ndarray:
    """Return 2 r + 1 Gaussian weights that add up to 1, r = int(truncate sigma + 0.5). sigma is in pixels."""
    radius = gaussian_radius(sigma, truncate)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum())


def gaussian(sigma: Sigma = 1.0, truncate: float = 4.0) -> np.ndarray:
    """Return the outer product of two rows of Gaussian weights; sigma: of both, or of rows (along y) and columns."""
    down, across = (gaussian_taps(each, truncate) for each in both(sigma))
    return np.outer(down, across)


def _slope(sigma: float, truncate: float) -> np.ndarray:
    """Return the derivative of Gaussian weights, as convolution wants it: flipped."""
    taps = gaussian_taps(sigma, truncate)
    x = np.arange(len(taps)) - len(taps) // 2
    return np.asarray(-x / sigma**2 * taps)


def _bend(sigma: float, truncate: float) -> np.ndarray:
    """Return the second derivative of Gaussian weights."""
    taps = gaussian_taps(sigma, truncate)
    x = np.arange(len(taps)) - len(taps) // 2
    return np.asarray((x**2 / sigma**2 - 1) / sigma**2 * taps)


def gaussian_x(sigma: Sigma = 1.0, truncate: float = 4.0) -> np.ndarray:
    """Return the derivative of a Gaussian to the right, -x / sigma^2 times it."""
    y, x = both(sigma)
    return np.outer(gaussian_taps(y, truncate), _slope(x, truncate))


def gaussian_y(sigma: Sigma = 1.0, truncate: float = 4.0) -> np.ndarray:
    """Return the derivative of a Gaussian downwards."""
    return np.ascontiguousarray(gaussian_x(both(sigma)[::-1], truncate).T)


def gaussian_xx(sigma: Sigma = 1.0, truncate: float = 4.0) -> np.ndarray:
    """Return the second derivative of a Gaussian along x, less its mean."""
    y, x = both(sigma)
    values = np.outer(gaussian_taps(y, truncate), _bend(x, truncate))
    return np.asarray(values - values.mean())


def gaussian_yy(sigma: Sigma = 1.0, truncate: float = 4.0) -> np.ndarray:
    """Return the second derivative of a Gaussian along y, less its mean."""
    return np.ascontiguousarray(gaussian_xx(both(sigma)[::-1], truncate).T)


def gaussian_xy(sigma: Sigma = 1.0, truncate: float = 4.0) -> np.ndarray:
    """Return the mixed derivative of a Gaussian."""
    return np.outer(*(_slope(each, truncate) for each in both(sigma)))


def laplacian_of_gaussian(sigma: float = 1.0, truncate: float = 4.0) -> np.ndarray:
    """Return the sampled Laplacian of a Gaussian, shifted so that it adds up to 0 (Marr and Hildreth, 1980)."""
    taps = gaussian(sigma, truncate)
    x = np.arange(len(taps)) - len(taps) // 2
    squares = x[:, None] ** 2 + x**2
    values = (squares - 2 * sigma**2) / sigma**4 * taps
    return np.asarray(values - values.mean())


def difference_of_gaussians(sigma: float = 1.0, truncate: float = 4.0) -> np.ndarray:
    """Return Gaussian(1.6 sigma) - Gaussian(sigma), which comes close to the Laplacian of Gaussian (Marr)."""
    wide, narrow = gaussian(1.6 * sigma, truncate), gaussian(sigma, truncate)
    return np.asarray(wide - np.pad(narrow, (len(wide) - len(narrow)) // 2))


def gabor(
    sigma: float = 2.0,
    wavelength: float = 4.0,
    angle: float = 0.0,
    aspect: float = 1.0,
    phase: float = 0.0,
    truncate: float = 4.0,
) -> np.ndarray:
    """Return the real part of a Gabor filter: a wave of this length in pixels under a Gaussian of volume 1.

    angle: the direction in which the wave runs, across its stripes; aspect: how many times the Gaussian is narrower
    along the stripes than sigma; phase: of the wave at the middle, 0 even, 90 odd (as a derivative's).
    """
    require_positive(wavelength=wavelength, aspect=aspect)
    require_finite(angle=angle, phase=phase)
    along, across = _rotate(gaussian_radius(sigma * max(1.0, 1 / aspect), truncate), angle)
    envelope = np.exp(-(along**2 + (aspect * across) ** 2) / (2 * sigma**2)) * aspect / (2 * np.pi * sigma**2)
    return np.asarray(envelope * np.cos(2 * np.pi * along / wavelength + np.radians(phase)))


def motion(size: int = 9, angle: float = 0.0) -> np.ndarray:
    """Return the blur of a camera that moves by size pixels in the direction of angle.

    A tap's weight is 1 minus its distance from the line, none beyond 1 pixel; together they are 1.
    """
    require_size(size)
    require_finite(angle=angle)
    half = (size - 1) / 2
    along, across = _rotate(int(np.ceil(half)), angle)
    distance = np.hypot(np.maximum(np.abs(along) - half, 0), across)
    weights = np.where(distance < 1 - 1e-12, 1 - distance, 0.0)
    rows, columns = weights.any(axis=1), weights.any(axis=0)
    return np.asarray(weights[rows][:, columns] / weights.sum())


def _rotate(radius: int, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each tap lies in the direction of an angle, and how far to its side, clockwise."""
    x = np.arange(-radius, radius + 1)
    c, s = _cosine_sine(angle)
    return x * c + x[:, None] * s, x[:, None] * c - x * s


def _cosine_sine(angle: float) -> tuple[float, float]:
    """Return cosine and sine of degrees, exact at quarter turns."""
    turned = np.radians(angle % 360)
    c, s = float(np.cos(turned)), float(np.sin(turned))
    return (round(c), round(s)) if angle % 90 == 0 else (c, s)


def _constant(*rows: str) -> Callable[[], np.ndarray]:
    """Return a function that makes this matrix."""
    return lambda: np.array([row.split() for row in rows], dtype=np.float64)


def _transpose(*rows: str) -> Callable[[], np.ndarray]:
    """Return a function that makes the transpose of this matrix."""
    return lambda: np.ascontiguousarray(_constant(*rows)().T)


_SCHARR = ("3 0 -3", "10 0 -10", "3 0 -3")
_PREWITT = ("1 0 -1", "1 0 -1", "1 0 -1")
_BOOK = "Gonzalez and Woods, Digital Image Processing, 2018"
_SOBEL_AND_FELDMAN = "Sobel and Feldman, 1968; printed in Duda and Hart, 1973"
_THESIS = "Scharr, Optimale Operatoren, thesis, Heidelberg 2000"
_PSYCHOPICTORICS = "Prewitt, Object enhancement and extraction, 1970"
_SOLIDS = "Roberts, Machine perception of solids, MIT thesis, 1963"
_EDGES = "Marr and Hildreth, Theory of edge detection, 1980"
_STEERED = "Freeman and Adelson, The design and use of steerable filters, 1991"
_SECOND = "(x^2 / sigma^2 - 1) / sigma^2 gaussian(x, y)\nless its mean"
_SIGMA = ("sigma",)
_CANNY = "Canny, A computational approach to edge detection, 1986"

KERNELS = {
    "box": Entry(box, "mean of a window", _BOOK, "1 / number of taps", ("size",)),
    "gaussian": Entry(gaussian, "Gaussian", _BOOK, "exp(-(x^2 + y^2) / (2 sigma^2)), divided by its sum", _SIGMA),
    "gaussian-x": Entry(
        gaussian_x, "derivative of a Gaussian to the right", _CANNY, "-x / sigma^2 gaussian(x, y)", _SIGMA
    ),
    "gaussian-y": Entry(
        gaussian_y, "derivative of a Gaussian downwards", _CANNY, "-y / sigma^2 gaussian(x, y)", _SIGMA
    ),
    "gaussian-xx": Entry(gaussian_xx, "second derivative of a Gaussian along x", _STEERED, _SECOND, _SIGMA),
    "gaussian-yy": Entry(
        gaussian_yy, "second derivative of a Gaussian along y", _STEERED, _SECOND.replace("x^2", "y^2", 1), _SIGMA
    ),
    "gaussian-xy": Entry(
        gaussian_xy, "mixed derivative of a Gaussian", _STEERED, "x y / sigma^4 gaussian(x, y)", _SIGMA
    ),
    "sobel-x": Entry(sobel_x, "derivative to the right, smoothed across", _SOBEL_AND_FELDMAN),
    "sobel-y": Entry(sobel_y, "derivative downwards, smoothed across", _SOBEL_AND_FELDMAN),
    "scharr-x": Entry(_constant(*_SCHARR), "derivative to the right, of truer direction", _THESIS),
    "scharr-y": Entry(_transpose(*_SCHARR), "derivative downwards, of truer direction", _THESIS),
    "prewitt-x": Entry(_constant(*_PREWITT), "derivative to the right, averaged across", _PSYCHOPICTORICS),
    "prewitt-y": Entry(_transpose(*_PREWITT), "derivative downwards, averaged across", _PSYCHOPICTORICS),
    "roberts-se": Entry(_constant("1 0", "0 -1"), "f(x+1, y+1) - f(x, y): to the lower right", _SOLIDS),
    "roberts-ne": Entry(_constant("0 -1", "1 0"), "f(x+1, y) - f(x, y+1): to the upper right", _SOLIDS),
    "forward-x": Entry(_constant("1 -1"), "f(x+1) - f(x)", _BOOK),
    "forward-y": Entry(_transpose("1 -1"), "f(y+1) - f(y)", _BOOK),
    "backward-x": Entry(_constant("0 1 -1"), "f(x) - f(x-1)", _BOOK),
    "backward-y": Entry(_transpose("0 1 -1"), "f(y) - f(y-1)", _BOOK),
    "central-x": Entry(_constant("1 0 -1"), "f(x+1) - f(x-1), not halved", _BOOK),
    "central-y": Entry(_transpose("1 0 -1"), "f(y+1) - f(y-1), not halved", _BOOK),
    "laplacian-4": Entry(_constant("0 1 0", "1 -4 1", "0 1 0"), "second derivatives, 4 neighbors", _BOOK),
    "laplacian-8": Entry(_constant("1 1 1", "1 -8 1", "1 1 1"), "second derivatives, 8 neighbors", _BOOK),
    "laplacian": Entry(laplacian, "second derivatives, smoothed across: Sobel's", "OpenCV, Laplacian"),
    "log": Entry(
        laplacian_of_gaussian,
        "Laplacian of a Gaussian",
        _EDGES,
        "((x^2 + y^2) / sigma^2 - 2) / sigma^2 gaussian(x, y)\nless its mean",
    ),
    "dog": Entry(difference_of_gaussians, "difference of Gaussians", _EDGES, "gaussian(1.6 sigma) - gaussian(sigma)"),
    "gabor": Entry(
        gabor,
        "wave along the angle under a Gaussian, real part",
        "Daugman, Uncertainty relation for resolution, 1985",
        "cos(2 pi u / wavelength + phase) aspect / (2 pi sigma^2)\n"
        "exp(-(u^2 + (aspect v)^2) / (2 sigma^2)), u along angle",
    ),
    "sharpen": Entry(_constant("0 -1 0", "-1 5 -1", "0 -1 0"), "the image less its Laplacian", _BOOK),
    "emboss": Entry(
        _constant("2 1 0", "1 1 -1", "0 -1 -2"),
        "the image and its derivative to the lower right: relief",
        "GIMP manual, Convolution Matrix (as a correlation)",
    ),
    "motion": Entry(
        motion,
        "blur of a camera that moves size pixels along the angle",
        "MATLAB, fspecial, as its page defines it",
        "1 - distance from the line, at least 0; scaled to sum 1",
    ),
}


def kernel(name: str, **parameters: float) -> np.ndarray:
    """Return a named kernel, for convolution.

    Parameters
    ----------
    name : str
        One of `imgtool.filters.kernels.KERNELS`: box, gaussian, gaussian-x, gaussian-y, gaussian-xx, gaussian-yy,
        gaussian-xy, sobel-x, sobel-y, scharr-x, scharr-y, prewitt-x, prewitt-y, roberts-se, roberts-ne, forward-x,
        forward-y, backward-x, backward-y, central-x, central-y, laplacian-4, laplacian-8, laplacian, log, dog, gabor,
        sharpen, emboss, motion.
    **parameters : float
        Parameters of some kernels: `size` in taps (box, motion; sobel and laplacian: 3, 5 or 7); `sigma` in pixels and
        `truncate` in sigmas (gaussian and its derivatives, log, dog, gabor); `angle` in degrees, clockwise from the
        right (gabor, motion); `wavelength` in pixels, `aspect`, and `phase` in degrees (gabor). The size of a box, and
        sigma of a Gaussian and its derivatives, may be two numbers: for rows and for columns.

    Returns
    -------
    ndarray, (rows, columns), float64

    Raises
    ------
    ParameterError
        The kernel is unknown, does not have a parameter, or a value is out of range.

    Notes
    -----
    The taps of smoothing kernels add up to 1; derivative kernels are those printed in the literature, so that Sobel of
    a step of 200 gives 800. In a convolution, which flips the kernel, `sobel-x` is positive where brightness increases
    to the right, and `sobel-y` where it increases downwards. The mean of `log` and of second derivatives is
    subtracted, so that flat areas give 0; they differ from SciPy's by it.

    Examples
    --------
    >>> import imgtool
    >>> imgtool.kernel("sobel-x")
    array([[ 1.,  0., -1.],
           [ 2.,  0., -2.],
           [ 1.,  0., -1.]])
    >>> imgtool.kernel("gaussian", sigma=1.5).shape
    (13, 13)
    """
    if name not in KERNELS:
        raise unknown_name("kernel", name, KERNELS)
    entry = KERNELS[name]
    return entry.make(**entry.check(name, parameters))


def is_derivative(taps: np.ndarray) -> bool:
    """Tell whether the taps add up to zero, so that results are signed around 0."""
    return bool(abs(taps.sum()) <= 1e-9 * np.abs(taps).sum())


def tap_matrix(kernel: ArrayLike) -> np.ndarray:
    """Return the taps as float64. Raises ParameterError unless they are a matrix of numbers."""
    if type(kernel) is np.ndarray and kernel.dtype == np.float64 and kernel.ndim == 2 and kernel.size:
        return kernel
    taps = argument_array(kernel, "the kernel", dimensions=2).astype(np.float64)
    if not taps.size:
        raise ParameterError(f"a kernel needs at least one tap, got the shape {taps.shape}")
    return taps


def require_sum(taps: np.ndarray) -> None:
    """Raise ParameterError for taps that are not finite, or so large that they cannot be added up."""
    if not np.isfinite(taps).all():
        raise ParameterError("a kernel's taps must be finite numbers")
    with np.errstate(over="ignore"):
        if not np.isfinite(np.abs(taps).sum()):
            raise ParameterError("a kernel's taps are too large to be added up")


def normalize_taps(taps: np.ndarray, how: str) -> np.ndarray:
    """Return the taps as they are (`none`), divided by their sum (`sum`) or by the sum of absolute values (`abs`).

    Raises ParameterError for taps that cannot be added up, or whose sum is 0.
    """
    require_sum(taps)
    if how == "none":
        return taps
    divisor = taps.sum() if how == "sum" else np.abs(taps).sum()
    if divisor == 0 or (how == "sum" and is_derivative(taps)):
        text = f"normalize {how}: the taps add up to 0; abs divides by their absolute sum"
        raise ParameterError(text, parameters=("normalize",))
    return np.asarray(taps / divisor)


def gaussian_radius(sigma: float, truncate: float) -> int:
    """Return how many pixels a Gaussian reaches. Raises ParameterError where it would be too large."""
    require_positive(sigma=sigma, truncate=truncate)
    radius = truncate * sigma + 0.5
    if 2 * radius + 1 > MAX_TAPS + 1:
        raise ParameterError(f"sigma {sigma:g} needs more than {MAX_TAPS} taps a side")
    return int(radius)


def require_size(size: int) -> int:
    """Return a size. Raises ParameterError unless it is a whole number from 1 to MAX_TAPS."""
    return whole_number(size, "size", high=MAX_TAPS)


def require_positive(**numbers: float) -> None:
    """Raise ParameterError for a number that is not above 0, infinite, or so small that its powers are 0."""
    for name, number in numbers.items():
        number = real_number(number, name.replace("_", " "))
        if not 0 < number <= MAX_FLOAT:
            raise ParameterError(f"{name.replace('_', ' ')} must be positive, got {number}")
        if number < MIN_POSITIVE:
            raise ParameterError(f"{name.replace('_', ' ')} must be at least {MIN_POSITIVE:g}, got {number}")


def require_finite(**numbers: float) -> None:
    """Raise ParameterError for NaN and infinity."""
    for name, number in numbers.items():
        if not abs(real_number(number, name)) <= MAX_FLOAT:
            raise ParameterError(f"{name} must be a finite number, got {number}")
