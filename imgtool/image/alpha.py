"""Transparency: what an image looks like on a background. Color under alpha 0 does not exist.

Alpha is the share of a pixel that its color covers, from 0 to the white of its type; it is not premultiplied in arrays.
`flatten` is what everything sees that knows no transparency: descriptors, classifiers, gradients, gray.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import cast_rounding, image_array
from imgtool.errors import ImageError, ParameterError
from imgtool.image.pixels import BLOCK_VALUES, white_level

WHITE = "white"
ALPHA_CHANNELS = (2, 4)  # of images whose last channel is alpha
Color = str | Sequence[int]


def has_alpha(shape: tuple[int, ...]) -> bool:
    """Tell whether the last channel of an image of this shape is alpha."""
    return len(shape) == 3 and shape[2] in ALPHA_CHANNELS


def split_alpha(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return color (height, width[, 3]) and alpha (height, width), or None where there is none."""
    if has_alpha(image.shape):
        color = image[:, :, 0] if image.shape[2] == 2 else image[:, :, :3]
        return np.ascontiguousarray(color), np.ascontiguousarray(image[:, :, -1])
    if image.ndim == 3 and image.shape[2] == 1:
        return np.asarray(image[:, :, 0]), None
    return image, None


def join_alpha(color: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Return color with alpha as its last channel, scaled to the color's type."""
    if alpha is None:
        return color
    if alpha.dtype != color.dtype:
        scaled = alpha.astype(np.float64) * (white_level(color.dtype) / white_level(alpha.dtype))
        alpha = cast_rounding(scaled, color.dtype)
    return np.dstack([color, alpha])


def is_opaque(alpha: np.ndarray) -> bool:
    """Tell whether nothing shows through."""
    return bool(alpha.min() >= white_level(alpha.dtype))


def fit_alpha(image: np.ndarray, channels: Sequence[int], name: str, others: Sequence[str]) -> np.ndarray:
    """Return an image with alpha as a format that takes so many channels holds it; others: formats that hold alpha.

    Gray becomes color if the format has alpha beside color only. Raises ImageError where something is transparent and
    the format has no alpha.
    """
    color, alpha = split_alpha(image)
    assert alpha is not None
    if max(ALPHA_CHANNELS) in channels:
        return np.dstack([color, color, color, alpha])
    if not is_opaque(alpha):
        text = f"is transparent, and {name} cannot hold alpha; {', '.join(others)} can"
        raise ImageError(text, hint="background", parameters=("background",))
    return color


def parse_color(color: Color) -> tuple[float, float, float]:
    """Return red, green and blue, each 0..1.

    color: a name, such as "white", "#rrggbb", or numbers from 0 to 255: "255,128,0" or (255, 128, 0). Raises
    ParameterError.
    """
    if isinstance(color, str) and color == WHITE:  # the default needs no Pillow
        return 1.0, 1.0, 1.0
    numbers = color.split(",") if isinstance(color, str) and "," in color else color
    levels: tuple[int, ...] = ()
    try:
        if isinstance(numbers, str):
            from PIL import ImageColor

            levels = ImageColor.getrgb(numbers.strip())
        else:
            levels = tuple(int(each) for each in numbers)
    except (ValueError, TypeError):
        pass
    if len(levels) != 3 or not all(0 <= each <= 255 for each in levels):
        text = f"background {color!r} is no color: these are names such as white or black, #rrggbb, or R,G,B to 255"
        raise ParameterError(text, parameters=("background",))
    red, green, blue = (each / 255 for each in levels)
    return red, green, blue


def color_name(color: Color) -> str:
    """Return a color as text that is the same for the same color: white, or #rrggbb. Raises ParameterError."""
    text = "#" + "".join(f"{round(255 * level):02x}" for level in parse_color(color))
    return WHITE if text == "#ffffff" else text


def flatten(image: ArrayLike, background: Color = WHITE) -> np.ndarray:
    """Show an image on a background of one color.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, channels)
        The last of 2 or 4 channels is alpha.
    background : str or (int, int, int)
        A name ("white", "black", "gray" ...), "#rrggbb", "R,G,B", or three numbers from 0 to 255.

    Returns
    -------
    ndarray, (height, width) or (height, width, 3)
        Without alpha, in the image's type; integers are rounded half to even. Where alpha is 0 everywhere the
        background alone; what was opaque keeps its bits. Gray stays gray unless it shows a background that is not.

    Raises
    ------
    ImageError
        The image is not valid.
    ParameterError
        The background is no color.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> imgtool.flatten(np.array([[[255, 0, 0, 255], [0, 0, 0, 102], [9, 9, 9, 0]]], np.uint8)).tolist()
    [[[255, 0, 0], [153, 153, 153], [255, 255, 255]]]
    """
    levels = (1.0, 1.0, 1.0) if background is WHITE else parse_color(background)
    color, alpha = split_alpha(image_array(image))
    if alpha is None or is_opaque(alpha):
        return color
    if color.ndim == 2 and len(set(levels)) > 1:
        color = np.repeat(color[:, :, None], 3, axis=2)
    shown = np.asarray(levels if color.ndim == 3 else levels[0]) * white_level(color.dtype)
    result = np.empty_like(color)
    rows = max(1, BLOCK_VALUES // math.prod(color.shape[1:]))
    for begin in range(0, len(color), rows):
        part = slice(begin, begin + rows)
        result[part] = _blend(color[part], alpha[part], shown)
    return result


def _blend(color: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return color over a background, in the color's type; color under alpha 0 counts for nothing, NaN neither."""
    top = white_level(alpha.dtype)
    cover = np.clip(alpha.astype(np.float64), 0, top)
    cover = cover[:, :, None] if color.ndim == 3 else cover
    visible = np.where(cover > 0, color, 0).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mixed = (visible * cover + background * (top - cover)) / top
        mixed = np.where(cover >= top, visible, mixed)
        return cast_rounding(mixed, color.dtype)
