"""Depths and ranges of whole images: integers of any type and floats become pixels, alpha is scaled along."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array
from imgtool.image.alpha import join_alpha, split_alpha
from imgtool.image.color import MAX_CHANNELS
from imgtool.image.pixels import DEPTH_TYPES, Pixels, extremes_of, to_pixels
from imgtool.names import unknown_name
from imgtool.parameters import checks_options


@checks_options
def convert_depth(image: ArrayLike, depth: str = "8", *, range: str = "clip") -> np.ndarray:
    """Convert an image to another depth: numbers of any type to pixels of 8 or 16 bits, or to floats.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Bool, integers or floats; the last of 2 or 4 channels is alpha.
    depth : {"8", "16", "float", "keep"}
        uint8, uint16, float32, or the image's own type.
    range : {"clip", "abs", "center", "stretch"}
        0 to the largest value of the type (1.0 of floats) becomes black to white, and what lies beyond is clipped; or
        absolute values; or 0 is mid-gray; or the smallest value becomes black, the largest white.

    Returns
    -------
    ndarray, of the image's shape
        Integers are rounded half to even. NaN becomes 0, infinity black or white. Alpha is scaled only.

    Raises
    ------
    ImageError
        The image is not valid.
    ParameterError
        A depth or range is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> imgtool.convert_depth(np.array([[-5, 0, 16384, 32767]], np.int16))
    array([[  0,   0, 128, 255]], dtype=uint8)
    >>> imgtool.convert_depth([[-0.5, 0.0, 1.5]], range="stretch")
    array([[  0,  64, 255]], dtype=uint8)
    """
    if depth not in ("keep", *DEPTH_TYPES):
        raise unknown_name("depth", depth, ("keep", *DEPTH_TYPES))
    return to_range(image_array(image, max_channels=MAX_CHANNELS), range, depth).pixels


def to_range(image: np.ndarray, range: str, depth: str) -> Pixels:
    """Return pixels in another range and depth with their counts; negative integers count even where they round to 0.

    range: as `to_pixels` takes it.
    """
    exact = np.float32 if image.dtype.itemsize <= 2 else np.float64
    if range == "raw":
        return to_pixels(image.astype(exact), range, depth=depth, like=image.dtype)
    color, alpha = split_alpha(image)
    numbers, extremes = color.astype(np.float64), None
    if range == "stretch" and alpha is not None:
        extremes = extremes_of(np.where(alpha > 0 if color.ndim == 2 else alpha[:, :, None] > 0, numbers, np.nan))
    stored = to_pixels(numbers, range, depth=depth, like=image.dtype, extremes=extremes)
    clipped = stored.clipped
    if image.dtype.kind == "i" and stored.pixels.dtype.kind == "u" and range in ("auto", "clip"):
        clipped = int(np.count_nonzero(color < 0))
    return stored._replace(pixels=join_alpha(stored.pixels, alpha).reshape(image.shape), clipped=clipped)
