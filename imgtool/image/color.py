"""Color: gray, alpha, and conversions between color spaces.

Sources: ITU-R BT.601 (gray); IEC 61966-2-1 (sRGB); CIE 15:2004 (Lab and Luv, white point D65, 2 degrees); Smith, "Color
gamut transform pairs", SIGGRAPH 1978 (HSV); Joblove and Greenberg, "Color spaces for computer graphics", SIGGRAPH 1978
(HSL). Values are those of scikit-image: RGB, HSV, HSL, CMYK 0..1, L 0..100. CMYK takes as much black as it can.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

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
    hue = np.where(spread > 0, (hue / 6) % 1.0, 0.0)
    return np.stack([hue, _quotient(spread, high), high], axis=2)


def from_hsv(hsv: np.ndarray) -> np.ndarray:
    """Return unit RGB of hue, saturation and value."""
    h, s, v = np.moveaxis(hsv, 2, 0)
    k = (np.array([5.0, 3.0, 1.0]) + h[..., None] * 6) % 6
    return np.asarray(v[..., None] * (1 - s[..., None] * np.clip(np.minimum(k, 4 - k), 0, 1)))


def hsv_to_hsl(hsv: np.ndarray) -> np.ndarray:
    """Return hue, saturation and lightness of hue, saturation and value; the hue of a gray is kept."""
    hue, saturation, value = np.moveaxis(hsv, 2, 0)
    lightness = value * (1 - saturation / 2)
    room = 1 - np.abs(2 * lightness - 1)  # how far apart the channels can be at that lightness
    return np.stack([hue, _quotient(value * saturation, room), lightness], axis=2)


def hsl_to_hsv(hsl: np.ndarray) -> np.ndarray:
    """Return hue, saturation and value of hue, saturation and lightness; the hue of a gray is kept."""
    hue, saturation, lightness = np.moveaxis(hsl, 2, 0)
    value = lightness + saturation * np.minimum(lightness, 1 - lightness)
    return np.stack([hue, 2 * _quotient(value - lightness, value), value], axis=2)


def to_cmyk(rgb: np.ndarray) -> np.ndarray:
    """Return cyan, magenta, yellow and black, each 0..1, of unit RGB: k = 1 - max, c = (1 - r - k) / (1 - k)."""
    light = rgb.max(axis=2, keepdims=True)
    return np.concatenate([_quotient(light - rgb, light), 1 - light], axis=2)


def from_cmyk(cmyk: np.ndarray) -> np.ndarray:
    """Return unit RGB of cyan, magenta, yellow and black: (1 - c)(1 - k)."""
    return np.asarray((1 - cmyk[..., :3]) * (1 - cmyk[..., 3:]))


def to_xyz(rgb: np.ndarray) -> np.ndarray:
    """Return CIE XYZ, white with Y = 1, of unit sRGB; beyond 0..1 by the same curve, odd about 0."""
    size = np.abs(rgb)
    linear = np.where(size > 0.04045, ((size + 0.055) / 1.055) ** 2.4, size / 12.92)
    return np.asarray(np.copysign(linear, rgb) @ _XYZ_OF_RGB.T)


def from_xyz(xyz: np.ndarray) -> np.ndarray:
    """Return unit sRGB of CIE XYZ; what sRGB cannot show lies outside 0..1."""
    linear = xyz @ np.linalg.inv(_XYZ_OF_RGB).T
    size = np.abs(linear)
    curved = 1.055 * np.maximum(size, 0.0031308) ** (1 / 2.4) - 0.055
    return np.asarray(np.copysign(np.where(size > 0.0031308, curved, 12.92 * size), linear))


def xyz_to_lab(xyz: np.ndarray) -> np.ndarray:
    """Return CIE L*a*b* of CIE XYZ."""
    t = xyz / _WHITE
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=2)


def lab_to_xyz(lab: np.ndarray) -> np.ndarray:
    """Return CIE XYZ of CIE L*a*b*."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=2)
    return np.asarray(np.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787) * _WHITE)


def xyz_to_luv(xyz: np.ndarray) -> np.ndarray:
    """Return CIE L*u*v* of CIE XYZ."""
    y, total = xyz[..., 1], xyz @ (1.0, 15.0, 3.0)
    lightness = np.where(y > _EPSILON, 116 * np.cbrt(y) - 16, _KAPPA * y)
    u, v = _quotient(4 * xyz[..., 0], total), _quotient(9 * y, total)
    return np.stack([lightness, 13 * lightness * (u - _WHITE_U), 13 * lightness * (v - _WHITE_V)], axis=2)


def luv_to_xyz(luv: np.ndarray) -> np.ndarray:
    """Return CIE XYZ of CIE L*u*v*."""
    lightness = luv[..., 0]
    y = np.where(lightness > _KAPPA * _EPSILON, ((lightness + 16) / 116) ** 3, lightness / _KAPPA)
    u, v = (_quotient(luv[..., k], 13 * lightness) + white for k, white in ((1, _WHITE_U), (2, _WHITE_V)))
    share = _quotient(y, 4 * v)
    return np.stack([9 * u * share, y, (12 - 3 * u - 20 * v) * share], axis=2)


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return a quotient; 0 where the divisor is 0."""
    above, below = np.broadcast_arrays(above, below)
    return np.asarray(np.divide(above, below, out=np.zeros(above.shape), where=below != 0))


Step = Callable[[np.ndarray], np.ndarray]
# Spaces whose values are numbers, not pixels, and how many channels they have.
NUMBER_SPACES = {"hsv": 3, "hsl": 3, "luv": 3, "xyz": 3, "lab": 3, "cmyk": 4}
SPACES = ("gray", "rgb", *NUMBER_SPACES)
# The way from each space towards unit RGB, and back: two spaces meet where their ways do.
_TOWARDS_RGB: dict[str, tuple[str, Step, Step]] = {
    "lab": ("xyz", lab_to_xyz, xyz_to_lab),
    "luv": ("xyz", luv_to_xyz, xyz_to_luv),
    "xyz": ("rgb", from_xyz, to_xyz),
    "hsl": ("hsv", hsl_to_hsv, hsv_to_hsl),
    "hsv": ("rgb", from_hsv, to_hsv),
    "cmyk": ("rgb", from_cmyk, to_cmyk),
}


def change_space(values: np.ndarray, source: str, target: str) -> np.ndarray:
    """Return float64 values of one space of `NUMBER_SPACES`, or of unit RGB, in another, by the shortest way."""
    ahead = [target]
    while ahead[-1] != "rgb":
        ahead.append(_TOWARDS_RGB[ahead[-1]][0])
    while source not in ahead:
        source, step, _ = _TOWARDS_RGB[source]
        values = step(values)
    for space in reversed(ahead[: ahead.index(source)]):
        values = _TOWARDS_RGB[space][2](values)
    return values


@np.errstate(over="ignore", invalid="ignore")
def convert(
    image: ArrayLike,
    space: str,
    *,
    source: str = "rgb",
    gray: str = "rec601",
    background: Color = WHITE,
    dtype: DTypeLike | None = None,
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
    dtype : {"float32", "float64"}, optional
        Type of numbers; float64 for images of float64, else float32.

    Returns
    -------
    ndarray
        Of pixels, `rgb` is (height, width[, channels]) in the image's type, with its alpha, `gray` (height, width) in
        the image's type. All others are floats: (height, width, 3); `gray` (height, width), `cmyk` (height, width, 4).
        All but `rgb` are without alpha: they are those of the image on its background.

    Raises
    ------
    ImageError
        The image is not valid, or its values are not in the color space.
    ParameterError
        A space or type is unknown.

    Notes
    -----
    IEC 61966-2-1 (sRGB); CIE 15:2004 (Lab and Luv, D65, 2 degrees); Smith, SIGGRAPH 1978 (HSV); Joblove and Greenberg,
    SIGGRAPH 1978 (HSL). Values are scaled as in scikit-image: HSV, HSL and CMYK 0 to 1, lightness 0 to 100.

    Everything is computed in float64, by the shortest way: Lab to XYZ does not pass through RGB. Nothing is clipped:
    RGB of a color outside sRGB lies outside 0 to 1, on sRGB's curve continued oddly about 0 (as in CSS Color 4), and
    comes back as the same color. scikit-image clips it, and takes a negative f(Z) of Lab for 0.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> red = np.array([[[255, 0, 0]]], np.uint8)
    >>> imgtool.convert(red, "lab").round(1).tolist()
    [[[53.2..., 80.09..., 67.19...]]]
    >>> imgtool.convert([[[50.0, 100.0, 0.0]]], "xyz", source="lab").round(3).tolist()
    [[[0.432, 0.184, 0.201]]]
    """
    array = image_array(image, max_channels=MAX_CHANNELS)
    for each in (space, source):
        if each not in SPACES:
            raise unknown_name("color space", each, SPACES)
    numbers = _number_type(array.dtype, dtype)
    if source in NUMBER_SPACES:
        channels = NUMBER_SPACES[source]
        if array.shape[2:] != (channels,) or array.dtype.kind != "f":
            raise ImageError(f"holds no {source} numbers: these are {channels} floating point channels")
        unit = change_space(array.astype(np.float64), source, space if space in NUMBER_SPACES else "rgb")
        return np.asarray(to_gray(unit, gray) if space == "gray" else unit, numbers)
    if space == "gray":
        return to_gray(array, gray, background=background)
    if space in NUMBER_SPACES:
        return np.asarray(change_space(to_unit(to_rgb(flatten(array, background))), "rgb", space), numbers)
    color, alpha = split_alpha(array)
    return join_alpha(to_rgb(color), alpha)


def _number_type(dtype: np.dtype, wanted: DTypeLike | None) -> np.dtype:
    """Return the type of numbers that are made of an image of one type."""
    if wanted is None:
        return np.dtype(np.float64 if dtype == np.float64 else np.float32)
    if wanted not in (np.float32, np.float64, "float32", "float64"):
        raise ParameterError(f"dtype must be float32 or float64, got {wanted!r}")
    return np.dtype(wanted)


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
