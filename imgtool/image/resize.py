"""Resize with antialiasing, as Pillow does: two passes, rounded to 8 bits after each."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from imgtool.arrays import cast_rounding, image_array, whole_number
from imgtool.errors import ParameterError
from imgtool.names import unknown_name

RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
PROBE_IMAGES = 16
LONGEST = 32  # times the short side that a resized image is long at most, if only a window of it is wanted
Window = tuple[slice, slice]
_PILLOW_CHANNELS = ((), (2,), (3,), (4,))  # of 8-bit images that Pillow resizes at once


@np.errstate(over="ignore", invalid="ignore")
def resize(image: ArrayLike, height: int, width: int, *, resample: str = "bilinear") -> np.ndarray:
    """Resize an image (antialiased when it shrinks, but for `nearest`).

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, channels)
        Bool, integers or floats; the last of 2 or 4 channels is alpha.
    height, width : int
        Size of the result in pixels, at least 1.
    resample : {"bilinear", "nearest", "box", "bicubic"}
        Filter: a triangle, the pixel whose center is nearest, a box, or a cubic with a = -0.5.

    Returns
    -------
    ndarray, (height, width) or (height, width, channels)
        In the image's type. Integers are rounded half to even; uint8 is rounded half up, as by Pillow.

    Raises
    ------
    ImageError
        The image is not valid, or has no pixels.
    ParameterError
        A size is not an integer, or is below 1; the filter is unknown.

    Notes
    -----
    A filter that widens when the image shrinks, as Pillow's of the same name. For uint8 the result equals Pillow's,
    byte for byte; other types are computed in float32, channel by channel, but for `nearest`, which copies pixels.
    Colors are weighted by alpha (not by `nearest`): they are premultiplied before and unpremultiplied after resizing.
    A cubic may go beyond the image's values; what alpha it makes below 0 counts as 0.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> imgtool.resize(np.array([[0, 100, 200, 100]], np.uint8), 1, 2)
    array([[ 71, 143]], dtype=uint8)
    """
    array = image_array(image)
    height, width = whole_number(height, "height"), whole_number(width, "width")
    if resample not in RESAMPLE:
        raise unknown_name("resample", resample, RESAMPLE)
    if array.dtype == np.uint8 and array.shape[2:] in _PILLOW_CHANNELS:
        return np.asarray(Image.fromarray(array).resize((width, height), RESAMPLE[resample]))
    if resample == "nearest":
        rows, columns = (_nearest(size, count) for size, count in zip(array.shape, (height, width), strict=False))
        return np.asarray(array[rows][:, columns])
    planes = [array] if array.ndim == 2 else list(np.moveaxis(array, 2, 0))
    if len(planes) in (2, 4):
        result = _resize_with_alpha(planes, height, width, resample)
    else:
        result = [_resize_plane(plane, height, width, resample) for plane in planes]
    return cast_rounding(result[0] if array.ndim == 2 else np.dstack(result), array.dtype)


def _nearest(size: int, count: int) -> np.ndarray:
    """Return which of `size` pixels lies at the center of each of `count`.

    Steps are added up one by one, as Pillow does: where a center lies between two pixels, their rounding decides.
    """
    steps = np.full(count, size / count)
    steps[0] /= 2
    return np.minimum(np.cumsum(steps).astype(np.intp), size - 1)


def _resize_plane(plane: np.ndarray, height: int, width: int, resample: str) -> np.ndarray:
    """Return one channel in another size, as float32."""
    single = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(single.resize((width, height), RESAMPLE[resample]))


def _resize_with_alpha(planes: list[np.ndarray], height: int, width: int, resample: str) -> list[np.ndarray]:
    """Return colors and alpha in another size; where nothing is opaque, colors are 0."""
    *colors, alpha = (plane.astype(np.float64) for plane in planes)
    weight = np.maximum(_resize_plane(alpha, height, width, resample), 0)
    visible = weight > 0
    premultiplied = (np.where(alpha == 0, 0, color * alpha) for color in colors)  # NaN under alpha 0 is nothing either
    weighted = (_resize_plane(color, height, width, resample) for color in premultiplied)
    return [*(np.divide(c, weight, out=np.zeros_like(weight), where=visible) for c in weighted), weight]


def fit_crop(image: np.ndarray, short: int, crop: int, *, resample: str = "bilinear") -> np.ndarray:
    """Return a centered square of crop x crop pixels after the shorter side was resized to `short`.

    The long side is truncated to a whole number, the offsets are rounded half to even, as torchvision does.
    """
    height, width, window = fitted(image.shape[0], image.shape[1], short, crop)
    return np.ascontiguousarray(_resized_window(image, height, width, window, resample))


def _is_long(height: int, width: int) -> bool:
    """Tell whether most of a resized image would be made in vain, as a square of it is wanted."""
    return max(height, width) > LONGEST * min(height, width)


def _resized_window(image: np.ndarray, height: int, width: int, window: Window, resample: str) -> np.ndarray:
    """Return a window of a resized image; of one that would be very long, only the part around the window is resized.

    The part is chosen so that its pixels lie where they would in the whole, but for the rounding of numbers.
    """
    if not _is_long(height, width) or image.dtype != np.uint8:
        return resize(image, height, width, resample=resample)[window]
    wide = width > height
    size, count, each = (image.shape[1], width, window[1]) if wide else (image.shape[0], height, window[0])
    begin, end = each.start * size / count, each.stop * size / count
    margin = 2 * max(1, size / count) + 1  # the cubic reaches as far
    first, last = max(0, int(begin - margin)), min(size, int(end + margin) + 1)
    part = np.ascontiguousarray(image[:, first:last] if wide else image[first:last])
    box = (begin - first, 0, end - first, len(part)) if wide else (0, begin - first, part.shape[1], end - first)
    across = (each.stop - each.start, height) if wide else (width, each.stop - each.start)
    resized = np.asarray(Image.fromarray(part).resize(across, RESAMPLE[resample], box=box))
    return resized[window[0]] if wide else resized[:, window[1]]


def fit_crops(image: np.ndarray, short: int, crop: int, *, resample: str = "bilinear") -> np.ndarray:
    """Return ten squares of crop x crop pixels after the shorter side was resized to `short`, (10, crop, crop[, 3]).

    The four corners, the square of `fit_crop`, and these five mirrored left to right.
    """
    height, width, center = fitted(image.shape[0], image.shape[1], short, crop)
    edges = [(top, left) for top in (0, height - crop) for left in (0, width - crop)]
    corners = [(slice(top, top + crop), slice(left, left + crop)) for top, left in edges]
    five = np.stack([_resized_window(image, height, width, each, resample) for each in (*corners, center)])
    return np.concatenate([five, five[:, :, ::-1]])


def fit_crop_stack(images: np.ndarray, short: int, crop: int, *, resample: str = "bilinear") -> np.ndarray:
    """Return what `fit_crop` gives for each of many uint8 images (n, height, width[, 3]) of one size, in less time.

    Pillow's two passes go over all images at once: along rows, with the images below each other, and along columns,
    which are rows of the transposed images. It rounds to 8 bits between them in any case, so the bits are the same.
    """
    height, width, (rows, columns) = fitted(images.shape[1], images.shape[2], short, crop)
    rows_first = None if _is_long(height, width) else _takes_rows_first(images.shape[1:], height, width, resample)
    if rows_first is None:
        return np.stack([fit_crop(image, short, crop, resample=resample) for image in images])
    return np.ascontiguousarray(_resize_stack(images, height, width, resample, rows_first=rows_first)[:, rows, columns])


@functools.lru_cache(maxsize=16)
def _takes_rows_first(shape: tuple[int, ...], height: int, width: int, resample: str) -> bool | None:
    """Return which axis Pillow resizes first, found on random images: versions differ. None: neither gives its bits."""
    probes = np.random.default_rng(0).integers(0, 256, (PROBE_IMAGES, *shape), dtype=np.uint8)
    expected = np.stack([resize(probe, height, width, resample=resample) for probe in probes])
    for rows_first in (True, False):
        if np.array_equal(_resize_stack(probes, height, width, resample, rows_first=rows_first), expected):
            return rows_first
    return None


def _resize_stack(images: np.ndarray, height: int, width: int, resample: str, *, rows_first: bool) -> np.ndarray:
    """Return many images resized along both axes."""
    if rows_first:
        return _resize_rows(_resize_rows(images, width, resample).swapaxes(1, 2), height, resample).swapaxes(1, 2)
    return _resize_rows(_resize_rows(images.swapaxes(1, 2), height, resample).swapaxes(1, 2), width, resample)


def _resize_rows(images: np.ndarray, width: int, resample: str) -> np.ndarray:
    """Return many images (n, height, width[, channels]) with their rows resized."""
    n, height, *rest = images.shape
    tall = resize(np.ascontiguousarray(images).reshape(n * height, *rest), n * height, width, resample=resample)
    return tall.reshape(n, height, width, *rest[1:])


def fitted(rows: int, columns: int, short: int, crop: int) -> tuple[int, int, tuple[slice, slice]]:
    """Return height and width after the shorter side was brought to `short`, and where the centered square lies."""
    if crop > short:
        raise ParameterError(f"cannot crop {crop} pixels out of {short}")
    if rows <= columns:
        height, width = short, int(short * columns / rows)
    else:
        height, width = int(short * rows / columns), short
    top, left = round((height - crop) / 2), round((width - crop) / 2)
    return height, width, (slice(top, top + crop), slice(left, left + crop))
