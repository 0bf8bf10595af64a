"""Filters of a neighborhood that are no convolution, by name: see `imgtool.filters.windows` for each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array
from imgtool.errors import ParameterError
from imgtool.filters.borders import border_number
from imgtool.filters.entry import both
from imgtool.filters.kernels import gaussian_radius
from imgtool.filters.masked import checked_mask, neighborhood_of_valid
from imgtool.filters.windows import NEIGHBORHOODS
from imgtool.names import unknown_name

TYPES = ("uint8", "uint16", "float32", "float64")


def neighborhood(
    image: ArrayLike,
    name: str,
    *,
    border: str = "reflect",
    border_value: float = 0.0,
    mask: ArrayLike | None = None,
    **parameters: Any,
) -> np.ndarray:
    """Apply a neighborhood filter: median, minimum, maximum, percentile, rank or bilateral.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, channels)
        Bool, integers or floats.
    name : {"median", "minimum", "maximum", "percentile", "rank", "bilateral"}
        Which filter.
    border : {"reflect", "clip", "wrap", "copy", "mirror"}
        What lies outside, as for `convolve`.
    border_value : float
        Value of the pixels outside a `clip` border (0), in the image's own units.
    mask : array_like of bool, (height, width), optional
        Pixels that count; the others stay as they are and are in no window. All True gives the same bits as no mask.
    **parameters : float
        All but bilateral: `size`, the window's side in pixels, or (rows, columns) (3). percentile: `percentile`, 0 to
        100 (50). rank: `rank`, 0 for the smallest value, -1 for the largest (0). bilateral: `sigma` in pixels (2),
        `sigma_color` as a share of white (0.1), and `truncate` in sigmas (4).

    Returns
    -------
    ndarray, shape of the image
        The types uint8, uint16, float32 and float64 are kept; other types give float64. bilateral gives float64 for a
        float64 image, else float32.

    Raises
    ------
    ImageError
        The image is not valid, or the window is too large for values to be ranked (more than 63x63 pixels, except for
        the median of 8 bits: odd sizes up to 255).
    ParameterError
        A name is unknown, or a parameter is unknown or out of range.

    Notes
    -----
    A window of n pixels reaches n // 2 before a pixel and (n - 1) // 2 after it, as SciPy's. Of an even number of
    values the median is the upper of the two middle ones. A percentile p of n values is that of rank int(n p / 100),
    and nothing between two values, as SciPy's. All but bilateral filter each channel separately, and NaN spreads to
    every window that contains it. The bilateral filter (Tomasi and Manduchi, 1998) weights by the
    sum of absolute differences over the channels, as OpenCV does; an infinite pixel stays and does not influence
    others.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> imgtool.neighborhood(np.array([[1, 9, 2, 3, 4]], np.uint8), "median", size=3)
    array([[1, 2, 3, 3, 4]], dtype=uint8)
    """
    if name not in NEIGHBORHOODS:
        raise unknown_name("neighborhood filter", name, NEIGHBORHOODS)
    array = image_array(image)
    entry = NEIGHBORHOODS[name]
    parameters = dict(entry.check(name, parameters))
    array = array if array.dtype.name in TYPES else array.astype(np.float64)
    outside = border, border_number(border_value, border, array.dtype)
    if mask is not None and border_value:
        raise ParameterError("border_value does not go with mask", parameters=("border_value", "mask"))
    if mask is not None and (counts := checked_mask(mask, array.shape)) is not None:
        return neighborhood_of_valid(array, counts, name, border, **{**entry.defaults, **parameters})
    return entry.make(array, outside, **parameters)


def reach(name: str, **parameters: Any) -> int | None:
    """Return how many rows away a filter of this name looks, None when all of the image may decide on its last bits."""
    entry = NEIGHBORHOODS[name]
    size = {**entry.defaults, **entry.check(name, parameters)}.get("size")
    return None if size is None else int(both(size)[0]) // 2


def radii(name: str, **parameters: Any) -> tuple[int, int]:
    """Return how many rows and how many columns away a filter of this name looks."""
    entry = NEIGHBORHOODS[name]
    own = {**entry.defaults, **entry.check(name, parameters)}
    if "size" not in own:
        return both(gaussian_radius(own["sigma"], own["truncate"]))
    rows, columns = both(own["size"])
    return int(rows) // 2, int(columns) // 2
