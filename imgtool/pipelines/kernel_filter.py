"""From a kernel, by name or as taps, to what it does to an image: alpha, nodata, range and depth included."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from imgtool.errors import ParameterError
from imgtool.names import unknown_name

if TYPE_CHECKING:
    import numpy as np

    from imgtool.filters.weighted import Weighted

    Compute = Callable[[np.ndarray], Any]
    Mask = np.ndarray | None
    Apply = Callable[[np.ndarray, Mask], np.ndarray]
    Weigh = Callable[[np.ndarray, np.ndarray, Mask], Weighted]


def filter_of(
    kernel: Any,
    border: str = "reflect",
    border_value: float = 0.0,
    method: str = "auto",
    correlate: bool = False,
    normalize: str = "none",
    range: str = "auto",
    depth: str = "keep",
    nodata: float | None = None,
    **parameters: Any,
) -> Compute:
    """Return the function from an image to pixels: a StripFilter, where strips of a large image give the same bits."""
    import numpy as np

    from imgtool.filters.borders import border_number
    from imgtool.filters.kernels import is_derivative
    from imgtool.filters.strip_filter import convolution_type
    from imgtool.pipelines.image_filter import ImageFilter

    _check_names(border, range, depth)
    border_number(border_value, border, np.dtype(np.float64))
    taps = taps_of(kernel, normalize, parameters)
    numbers_of = functools.partial(convolution_type, taps, range=range, depth=depth)
    weigh: Weigh | None
    if taps is None:
        apply, weigh, reach = _neighborhood(kernel, border, border_value, method, correlate, parameters)
    else:
        apply, weigh = _convolution(taps, border, border_value, method, correlate, numbers_of)
        reach = len(taps) // 2 if method != "gemm" else None  # the bits of a matrix product depend on its size
    signed = taps is not None and is_derivative(taps)
    size = 0.0 if taps is None else float(np.abs(taps).sum())
    if nodata is not None and border_value:
        raise ParameterError("border_value does not go with nodata", parameters=("border_value", "nodata"))
    if nodata is not None and weigh is None:
        text = "nodata goes with kernels whose taps add up to more than 0: differences with what is not there are none"
        raise ParameterError(text, parameters=("nodata", "kernel"))
    local = ImageFilter(apply, weigh, range, depth, size, signed, nodata).strip_filter(
        reach or 0, wraps=border == "wrap", narrow=numbers_of(np.dtype(np.uint8)) == np.uint8
    )
    return local.__call__ if reach is None else local


def _check_names(border: str, range: str, depth: str) -> None:
    """Raise ParameterError for a name that nothing has."""
    from imgtool.filters.borders import BORDERS
    from imgtool.image.pixels import DEPTH_TYPES, RANGE_NAMES

    for what, name, names in (
        ("border", border, BORDERS), ("range", range, RANGE_NAMES), ("depth", depth, ("keep", *DEPTH_TYPES)),
    ):  # fmt: skip
        if name not in names:
            raise unknown_name(what, name, names)


def taps_of(kernel: Any, normalize: str, parameters: dict[str, Any]) -> np.ndarray | None:
    """Return the taps of a convolution, None for a neighborhood filter, whose parameters are checked."""

    from imgtool.filters import kernels
    from imgtool.filters.windows import NEIGHBORHOODS

    if not isinstance(kernel, str):
        if parameters:
            name = min(parameters)
            raise ParameterError(f"{name} is for kernels by name: taps have their own size", parameters=(name,))
        return kernels.normalize_taps(kernels.tap_matrix(kernel), normalize)
    if kernel not in {**kernels.KERNELS, **NEIGHBORHOODS}:
        raise unknown_name("kernel", kernel, [*kernels.KERNELS, *NEIGHBORHOODS])
    if kernel not in NEIGHBORHOODS:
        return kernels.normalize_taps(kernels.kernel(kernel, **parameters), normalize)
    NEIGHBORHOODS[kernel].check(kernel, parameters)
    if normalize != "none":
        raise _no_convolution("normalize", kernel)
    return None


def _no_convolution(parameter: str, kernel: str) -> ParameterError:
    """Return the error for a parameter of convolutions."""
    text = f"{parameter} does not go with kernel {kernel}, which is no convolution"
    return ParameterError(text, parameters=(parameter, "kernel"))


def _convolution(
    taps: np.ndarray,
    border: str,
    value: float,
    method: str,
    correlate: bool,
    numbers_of: Callable[[np.dtype], np.dtype | None],
) -> tuple[Apply, Weigh | None]:
    """Return the convolution as a function of an image without alpha, and of color and alpha.

    The latter is None for taps that add up to 0 or less.
    """
    import numpy as np

    from imgtool.filters.convolve import convolve
    from imgtool.filters.kernels import is_derivative
    from imgtool.filters.masked import convolve_valid
    from imgtool.filters.weighted import Weighted, convolve_weighted
    from imgtool.image.pixels import white_level

    run = functools.partial(convolve, kernel=taps, border=border, method=method, correlate=correlate)
    exact, clip = functools.partial(run, dtype=np.float64), border == "clip"

    def apply(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        if mask is None:
            return run(image, dtype=numbers_of(image.dtype), border_value=value)
        numbers = convolve_valid(image, mask, exact, taps, clip=clip)  # also where all of a strip counts: the same bits
        return numbers.astype(np.float32) if image.dtype == np.float32 else numbers

    def weigh(color: np.ndarray, alpha: np.ndarray, mask: np.ndarray | None) -> Weighted:
        outside = lambda image, number: exact(image, border_value=number)  # noqa: E731
        if mask is None:
            return convolve_weighted(color, alpha, outside, taps, clip=clip, value=value)
        found = convolve_weighted(color, np.where(mask, alpha, alpha.dtype.type(0)), outside, taps, clip=clip)
        shares = convolve_valid(alpha / white_level(alpha.dtype), mask, exact, taps, clip=clip)
        return Weighted(found.colors, shares.clip(0, 1))

    return apply, weigh if taps.sum() > 0 and not is_derivative(taps) else None


def _neighborhood(
    name: str, border: str, value: float, method: str, correlate: bool, parameters: dict[str, Any]
) -> tuple[Apply, Weigh, int | None]:
    """Return the neighborhood filter as functions of an image, floating, and how many rows away it looks.

    None is for those that are not the same bits in strips. Options of convolutions are refused.
    """
    import numpy as np

    from imgtool.filters.neighborhood import neighborhood, radii, reach
    from imgtool.filters.weighted import neighborhood_of_visible

    if correlate or method != "auto":
        raise _no_convolution("correlate" if correlate else "method", name)

    def run(image: np.ndarray, mask: np.ndarray | None, outside: float) -> np.ndarray:
        return neighborhood(image, name, border=border, border_value=outside, mask=mask, **parameters)

    def apply(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        result = run(image, mask, value)
        return result if result.dtype.kind == "f" else result.astype(np.float32 if result.itemsize <= 2 else np.float64)

    def weigh(color: np.ndarray, alpha: np.ndarray, mask: np.ndarray | None) -> Weighted:
        ranks = reach(name, **parameters) is not None
        around = radii(name, **parameters)
        return neighborhood_of_visible(
            color, alpha, run, around, mask=mask, clip=border == "clip", ranks=ranks, value=value
        )

    return apply, weigh, reach(name, **parameters)
