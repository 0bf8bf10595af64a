"""Color: gray, alpha, and conversions between color spaces.

Sources: ITU-R BT.601 (gray); IEC 61966-2-1 (sRGB); CIE 15:2004 (Lab and Luv, white point D65, 2 degrees); Smith, "Color
gamut transform pairs", SIGGRAPH 1978 (HSV); Joblove and Greenberg, "Color spaces for computer graphics", SIGGRAPH 1978
(HSL). Values are those of scikit-image: RGB, HSV, HSL, CMYK 0..1, L 0..100. CMYK takes as much black as it can.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import cast_rounding, image_array
from imgtool.errors import ImageError, ParameterError
from imgtool.image.alpha import WHITE, Color, flatten, join_alpha, split_alpha
from imgtool.image.pixels import Extremes, extremes_of, white_level
from imgtool.names import unknown_name

MAX_CHANNELS = 4  # red, green, blue and alpha; or cyan, magenta, yellow and black
REC_601 = (0.299, 0.587, 0.114)
_XYZ_OF_RGB = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_WHITE = np.array([0.95047, 1.0, 1.08883])
_WHITE_U, _WHITE_V = (part / (_WHITE @ (1, 15, 3)) for part in (4 * _WHITE[0], 9 * _WHITE[1]))
_EPSILON, _KAPPA = 0.008856, 903.3  # where CIE's lightness turns from a line into a cube root, and the line's slope


def to_gray(image: ArrayLike, method: str = "rec601", *, background: Color = WHITE) -> np.ndarray:
    """Convert an image to gray.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Gray, gray with alpha, RGB or RGBA; bool, integers or floats.
    method : {"rec601", "mean"}
        0.299 R + 0.587 G + 0.114 B, or the plain mean.
    background : str or (int, int, int)
        Color that shows through what is transparent; see `flatten`.

    Returns
    -------
    ndarray, (height, width)
        In the image's type; integers are rounded half to even. A gray image without alpha is returned unchanged.

    Raises
    ------
    ImageError
        The image is no image, or has more than 4 channels.
    ParameterError
        The method is unknown.

    Notes
    -----
    ITU-R BT.601, applied to the stored (nonlinear) values. `skimage.color.rgb2gray` weighs by BT.709 (0.2125, 0.7154,
    0.0721) instead and gives floats; OpenCV and Pillow weigh by BT.601 too.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> imgtool.to_gray(np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8))
    array([[ 76, 150]], dtype=uint8)
    """
    color = flatten(image_array(image, max_channels=MAX_CHANNELS), background)
    if color.ndim == 2:
        return color
    if method not in ("rec601", "mean"):
        raise ParameterError(f"no gray {method!r}; there are rec601 and mean")
    weights = np.array(REC_601 if method == "rec601" else (1 / 3, 1 / 3, 1 / 3))
    with np.errstate(over="ignore", invalid="ignore"):  # of infinite pixels
        gray = color.astype(np.float64) @ weights
        if color.dtype.kind in "iu" and color.dtype.itemsize < 8:  # a mean lies within the type: nothing is clipped
            return np.asarray(np.rint(gray), color.dtype)
        return cast_rounding(gray, color.dtype)


def to_rgb(image: np.ndarray) -> np.ndarray:
    """Return (height, width, 3) of the same type; what is transparent is seen on white."""
    color = flatten(image)
    return np.repeat(color[:, :, None], 3, axis=2) if color.ndim == 2 else color


def to_unit(image: np.ndarray) -> np.ndarray:
    """Return the image as float64, white being 1.0; floats as they are."""
    return image.astype(np.float64) / white_level(image.dtype) if image.dtype.kind in "iu" else image.astype(np.float64)


def to_hsv(rgb: np.ndarray) -> np.ndarray:
    """Return hue, saturation and value, each 0..1, of unit RGB."""
    high, low = rgb.max(axis=2), rgb.min(axis=2)
    spread = high - low
    with np.errstate(divide="ignore", invalid="ignore"):
        r, g, b = np.moveaxis(rgb, 2, 0)
        hue = np.select([high == r, high == g], [(g - b) / spread, 2 + (b - r) / spread], 4 + (r - g) / spread)
        saturation = np.where(high > 0, spread / high, 0.0)
    hue = np.where(spread > 0, (hue / 6) % 1.0, 0.0)
    return np.stack([hue, saturation, high], axis=2)


def from_hsv(hsv: np.ndarray) -> np.ndarray:
    """Return unit RGB of hue, saturation and value."""
    h, s, v = np.moveaxis(hsv, 2, 0)
    k = (np.array([5.0, 3.0, 1.0]) + h[..., None] * 6) % 6
    return np.asarray(v[..., None] * (1 - s[..., None] * np.clip(np.minimum(k, 4 - k), 0, 1)))


def to_hsl(rgb: np.ndarray) -> np.ndarray:
    """Return hue, saturation and lightness, each 0..1, of unit RGB."""
    hue, _, high = np.moveaxis(to_hsv(rgb), 2, 0)
    low = rgb.min(axis=2)
    lightness = (high + low) / 2
    room = 1 - np.abs(2 * lightness - 1)  # how far apart the channels can be at that lightness
    saturation = np.divide(high - low, room, out=np.zeros_like(room), where=room > 0)
    return np.stack([hue, saturation, lightness], axis=2)


def from_hsl(hsl: np.ndarray) -> np.ndarray:
    """Return unit RGB of hue, saturation and lightness."""
    hue, saturation, lightness = np.moveaxis(hsl, 2, 0)
    value = lightness + saturation * np.minimum(lightness, 1 - lightness)
    ratio = np.divide(lightness, value, out=np.ones_like(value), where=value > 0)
    return from_hsv(np.stack([hue, 2 * (1 - ratio), value], axis=2))


def to_cmyk(rgb: np.ndarray) -> np.ndarray:
    """Return cyan, magenta, yellow and black, each 0..1, of unit RGB: k = 1 - max, c = (1 - r - k) / (1 - k)."""
    light = rgb.max(axis=2, keepdims=True)
    inks = np.divide(light - rgb, light, out=np.zeros_like(rgb), where=light > 0)
    return np.concatenate([inks, 1 - light], axis=2)


def from_cmyk(cmyk: np.ndarray) -> np.ndarray:
    """Return unit RGB of cyan, magenta, yellow and black: (1 - c)(1 - k)."""
    return np.asarray((1 - cmyk[..., :3]) * (1 - cmyk[..., 3:]))


def to_xyz(rgb: np.ndarray) -> np.ndarray:
    """Return CIE XYZ, white with Y = 1, of unit sRGB."""
    linear = np.where(rgb > 0.04045, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    return np.asarray(linear @ _XYZ_OF_RGB.T)


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Return CIE L*a*b* of unit sRGB."""
    t = to_xyz(rgb) / _WHITE
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=2)


def to_luv(rgb: np.ndarray) -> np.ndarray:
    """Return CIE L*u*v* of unit sRGB."""
    xyz = to_xyz(rgb)
    y = xyz[..., 1]
    lightness = np.where(y > _EPSILON, 116 * np.cbrt(y) - 16, _KAPPA * y)
    total = xyz @ (1.0, 15.0, 3.0)
    u, v = (np.divide(n * part, total, out=np.zeros_like(y), where=total > 0) for n, part in ((4, xyz[..., 0]), (9, y)))
    return np.stack([lightness, 13 * lightness * (u - _WHITE_U), 13 * lightness * (v - _WHITE_V)], axis=2)


def from_luv(luv: np.ndarray) -> np.ndarray:
    """Return unit sRGB of CIE L*u*v*, clipped to 0..1 where no such color can be shown."""
    lightness = luv[..., 0]
    y = np.where(lightness > _KAPPA * _EPSILON, ((lightness + 16) / 116) ** 3, lightness / _KAPPA)
    lit = lightness > 0
    u, v = (
        np.divide(luv[..., k], 13 * lightness, out=np.zeros_like(y), where=lit) + white
        for k, white in ((1, _WHITE_U), (2, _WHITE_V))
    )
    share = np.divide(y, 4 * v, out=np.zeros_like(y), where=lit & (v != 0))
    return from_xyz(np.stack([9 * u * share, y, (12 - 3 * u - 20 * v) * share], axis=2))


def from_xyz(xyz: np.ndarray) -> np.ndarray:
    """Return unit sRGB of CIE XYZ, clipped to 0..1 where no such color can be shown."""
    linear = xyz @ np.linalg.inv(_XYZ_OF_RGB).T
    curved = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.clip(np.where(linear > 0.0031308, curved, 12.92 * linear), 0, 1)


def from_lab(lab: np.ndarray) -> np.ndarray:
    """Return unit sRGB of CIE L*a*b*, clipped to 0..1 where no such color can be shown."""
    y = (lab[..., 0] + 16) / 116
    z = np.maximum(y - lab[..., 2] / 200, 0)  # as scikit-image has it, for blues that no light makes
    f = np.stack([y + lab[..., 1] / 500, y, z], axis=2)
    return from_xyz(np.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787) * _WHITE)


# Spaces whose values are numbers, not pixels: to it, back to RGB, how many channels.
NUMBER_SPACES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray], int]] = {
    "hsv": (to_hsv, from_hsv, 3),
    "hsl": (to_hsl, from_hsl, 3),
    "luv": (to_luv, from_luv, 3),
    "xyz": (to_xyz, from_xyz, 3),
    "lab": (to_lab, from_lab, 3),
    "cmyk": (to_cmyk, from_cmyk, 4),
}
SPACES = ("gray", "rgb", *NUMBER_SPACES)


@np.errstate(over="ignore", invalid="ignore")
def convert(
    image: ArrayLike, space: str, *, source: str = "rgb", gray: str = "rec601", background: Color = WHITE
) -> np.ndarray:
    """Convert an image to another color space.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Pixels (bool, integers or floats; white is the largest value of an integer type and 1.0 of others), or
        float values in the color space `source`.
    space : {"gray", "rgb", "hsv", "hsl", "luv", "xyz", "lab", "cmyk"}
        Target color space.
    source : {"rgb", "gray", "hsv", "hsl", "luv", "xyz", "lab", "cmyk"}
        Color space of the image: `rgb` and `gray` for pixels, or the space of its values.
    gray : {"rec601", "mean"}
        Formula for gray; see `to_gray`.
    background : str or (int, int, int)
        Color that shows through what is transparent; see `flatten`.

    Returns
    -------
    ndarray
        `rgb`: (height, width[, channels]) in the image's type, with its alpha; float32 from another space. `gray`:
        (height, width) in the image's type. Other spaces: (height, width, 3), for `cmyk` (height, width, 4), float32.
        All but `rgb` are without alpha: they are those of the image on its background.

    Raises
    ------
    ImageError
        The image is not valid, or its values are not in the color space.
    ParameterError
        A space is unknown.

    Notes
    -----
    IEC 61966-2-1 (sRGB); CIE 15:2004 (Lab and Luv, D65, 2 degrees); Smith, SIGGRAPH 1978 (HSV); Joblove and Greenberg,
    SIGGRAPH 1978 (HSL). Values are scaled as in scikit-image: HSV, HSL and CMYK 0 to 1, lightness 0 to 100. Colors
    outside sRGB are clipped in conversions from XYZ, Lab and Luv.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> red = np.array([[[255, 0, 0]]], np.uint8)
    >>> imgtool.convert(red, "lab").round(1).tolist()
    [[[53.2..., 80.09..., 67.19...]]]
    """
    array = image_array(image, max_channels=MAX_CHANNELS)
    for each in (space, source):
        if each not in SPACES:
            raise unknown_name("color space", each, SPACES)
    if source in NUMBER_SPACES:
        _, back, channels = NUMBER_SPACES[source]
        if array.shape[2:] != (channels,) or array.dtype.kind != "f":
            raise ImageError(f"holds no {source} numbers: these are {channels} floating point channels")
        array = np.asarray(back(array.astype(np.float64)), np.float32)
    if space == "gray":
        return to_gray(array, gray, background=background)
    if space in NUMBER_SPACES:
        return np.asarray(NUMBER_SPACES[space][0](to_unit(to_rgb(flatten(array, background)))), np.float32)
    color, alpha = split_alpha(array)
    return join_alpha(to_rgb(color), alpha)


def direction_picture(magnitude: np.ndarray, phase: np.ndarray, extremes: Extremes | None = None) -> np.ndarray:
    """Return an RGB uint8 picture of a gradient: hue is its direction (red points right), value its magnitude.

    The largest finite magnitude is brightest, infinity as bright; what is no number is black. extremes: those of all
    magnitudes, where this is a part of an image.
    """
    _, top = extremes or extremes_of(magnitude)
    top = np.maximum(top, 0)
    value = np.clip(np.nan_to_num(magnitude, nan=0.0, posinf=top) / (top or 1.0), 0, 1)
    hsv = np.stack([np.nan_to_num(phase / (2 * np.pi)) % 1.0, np.ones_like(value), value], axis=2)
    return np.asarray(np.rint(from_hsv(hsv) * 255), np.uint8)
