"""Kernels: numbers only, they know no image.

Each is meant for convolution, in which the kernel is flipped: `sobel-x` is positive where brightness rises to the
right, `sobel-y` where it rises downwards. Smoothing kernels add up to 1, derivative kernels stand as printed in the
literature.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgtool.errors import ParameterError

MAX_TAPS = 4096


@dataclass(frozen=True)
class Kernel:
    """How a named kernel is made, what it is, and where it comes from; takes lists its parameters."""

    make: Callable[..., np.ndarray]
    help: str
    source: str
    takes: tuple[str, ...] = ()


def gaussian_taps(sigma: float, truncate: float = 4.0) -> np.ndarray:
    """Return 2 r + 1 Gaussian weights that add up to 1, r = int(truncate sigma + 0.5). sigma is in pixels."""
    _require_positive(sigma=sigma, truncate=truncate)
    radius = int(truncate * sigma + 0.5)
    if 2 * radius + 1 > MAX_TAPS:
        raise ParameterError(f"sigma {sigma:g} needs {2 * radius + 1} taps a side, more than {MAX_TAPS}")
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return np.asarray(weights / weights.sum())


def box(size: int = 3) -> np.ndarray:
    """Return the mean over size x size pixels."""
    if not 1 <= size <= MAX_TAPS:
        raise ParameterError(f"size must be 1 to {MAX_TAPS}, got {size}")
    return np.full((size, size), 1.0 / size**2)


def gaussian(sigma: float = 1.0, truncate: float = 4.0) -> np.ndarray:
    """Return the outer product of two rows of Gaussian weights."""
    taps = gaussian_taps(sigma, truncate)
    return np.outer(taps, taps)


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


def _fixed(*rows: str) -> Callable[[], np.ndarray]:
    """Return a function that makes this matrix."""
    return lambda: np.array([row.split() for row in rows], dtype=np.float64)


def _transposed(*rows: str) -> Callable[[], np.ndarray]:
    """Return a function that makes the transpose of this matrix."""
    return lambda: np.ascontiguousarray(_fixed(*rows)().T)


_SMOOTH = ("sigma", "truncate")
_SOBEL = ("1 0 -1", "2 0 -2", "1 0 -1")
_SCHARR = ("3 0 -3", "10 0 -10", "3 0 -3")
_PREWITT = ("1 0 -1", "1 0 -1", "1 0 -1")

KERNELS = {
    "box": Kernel(box, "mean over size x size pixels", "Gonzalez and Woods, Digital Image Processing", ("size",)),
    "gaussian": Kernel(gaussian, "Gaussian, radius 4 sigma", "Gonzalez and Woods, Digital Image Processing", _SMOOTH),
    "sobel-x": Kernel(_fixed(*_SOBEL), "smoothed derivative to the right", "Sobel and Feldman, 1968"),
    "sobel-y": Kernel(_transposed(*_SOBEL), "smoothed derivative downwards", "Sobel and Feldman, 1968"),
    "scharr-x": Kernel(_fixed(*_SCHARR), "Sobel with better rotation symmetry", "Scharr, thesis, Heidelberg 2000"),
    "scharr-y": Kernel(_transposed(*_SCHARR), "the same downwards", "Scharr, thesis, Heidelberg 2000"),
    "prewitt-x": Kernel(_fixed(*_PREWITT), "derivative to the right, box smoothed", "Prewitt, 1970"),
    "prewitt-y": Kernel(_transposed(*_PREWITT), "the same downwards", "Prewitt, 1970"),
    "laplacian-4": Kernel(_fixed("0 1 0", "1 -4 1", "0 1 0"), "second derivative, 4 neighbours", "Gonzalez and Woods"),
    "laplacian-8": Kernel(_fixed("1 1 1", "1 -8 1", "1 1 1"), "second derivative, 8 neighbours", "Gonzalez and Woods"),
    "log": Kernel(laplacian_of_gaussian, "Laplacian of Gaussian", "Marr and Hildreth, 1980", _SMOOTH),
    "dog": Kernel(difference_of_gaussians, "difference of Gaussians, 1.6 : 1", "Marr and Hildreth, 1980", _SMOOTH),
    "sharpen": Kernel(_fixed("0 -1 0", "-1 5 -1", "0 -1 0"), "image minus its Laplacian", "Gonzalez and Woods"),
    "forward-x": Kernel(_fixed("1 -1"), "f(x+1) - f(x)", "forward difference"),
    "forward-y": Kernel(_transposed("1 -1"), "f(y+1) - f(y)", "forward difference"),
    "backward-x": Kernel(_fixed("0 1 -1"), "f(x) - f(x-1)", "backward difference"),
    "backward-y": Kernel(_transposed("0 1 -1"), "f(y) - f(y-1)", "backward difference"),
    "central-x": Kernel(_fixed("1 0 -1"), "f(x+1) - f(x-1), not halved", "central difference"),
    "central-y": Kernel(_transposed("1 0 -1"), "f(y+1) - f(y-1), not halved", "central difference"),
}


def kernel(name: str, **parameters: float) -> np.ndarray:
    """Return a named kernel (rows, columns) float64. Raises ParameterError for a parameter that it does not take."""
    if name not in KERNELS:
        raise ParameterError(f"no kernel {name!r}; there are {', '.join(KERNELS)}")
    entry = KERNELS[name]
    if wrong := set(parameters) - set(entry.takes):
        takes = ", ".join(f"--{each}" for each in entry.takes) or "no parameters"
        raise ParameterError(f"--{min(wrong)} does not go with --kernel {name}, which takes {takes}")
    return entry.make(**parameters)


def is_derivative(taps: np.ndarray) -> bool:
    """Tell whether the taps add up to zero, so that results are signed around 0."""
    return bool(abs(taps.sum()) <= 1e-9 * np.abs(taps).sum())


def normalized(taps: np.ndarray, how: str) -> np.ndarray:
    """Return the taps as they are (`none`), divided by their sum (`sum`) or by the sum of absolute values (`abs`)."""
    if how == "none":
        return taps
    divisor = taps.sum() if how == "sum" else np.abs(taps).sum()
    if divisor == 0 or (how == "sum" and is_derivative(taps)):
        raise ParameterError(f"--normalize {how}: the taps add up to 0; --normalize abs divides by their absolute sum")
    return np.asarray(taps / divisor)


def parse_matrix(text: str) -> np.ndarray:
    """Return the matrix that text such as "1 0 -1; 2 0 -2; 1 0 -1" holds; commas may stand for blanks."""
    rows = [row.replace(",", " ").split() for row in text.strip().strip(";").replace("\n", ";").split(";")]
    return _checked([row for row in rows if row])


def load_kernel(path: str) -> np.ndarray:
    """Return the matrix in a txt, csv, npy or json file. Raises ParameterError when it holds anything else."""
    suffix = Path(path).suffix.lower()
    try:
        if suffix == ".npy":
            return _checked(np.load(path, allow_pickle=False).tolist())
        text = Path(path).read_text("utf-8-sig")
        return _checked(json.loads(text)) if suffix == ".json" else parse_matrix(text)
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from None
    except OSError as error:
        raise ParameterError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, EOFError, RecursionError):
        raise ParameterError(f"{path}: holds no kernel: rows of numbers in a txt, csv, npy or json file") from None


def _checked(rows: object) -> np.ndarray:
    """Return rows of numbers as a matrix; anything else is refused."""
    if not isinstance(rows, list) or not rows:
        raise ParameterError("a kernel needs rows of numbers")
    lines = rows if all(isinstance(row, list) for row in rows) else [rows]
    if len({len(row) for row in lines}) != 1:
        raise ParameterError("a kernel's rows must have the same length")
    if any(isinstance(each, list | dict | bool | type(None)) for row in lines for each in row):
        raise ParameterError("a kernel holds numbers only")
    try:
        taps = np.array([[float(each) for each in row] for row in lines])
    except (TypeError, ValueError):
        raise ParameterError("a kernel holds numbers only") from None
    if not taps.size or not np.isfinite(taps).all():
        raise ParameterError("a kernel's taps must be finite numbers")
    if max(taps.shape) > MAX_TAPS:
        raise ParameterError(f"a kernel may have {MAX_TAPS} taps a side, not {max(taps.shape)}")
    return taps


def _require_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not (number > 0 and np.isfinite(number)):
            raise ParameterError(f"{name} must be positive, got {number}")
