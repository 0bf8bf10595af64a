"""What samples mean: scaling to the full range, CMYK, YCbCr, CIELab, premultiplied alpha.

Sources: Adobe, "TIFF Revision 6.0", 1992, sections 16, 20, 21, 23; ITU-R BT.601 (YCbCr).
"""

from __future__ import annotations

import numpy as np

from imgtool.image.color import change_space

REC_601 = (0.299, 0.587, 0.114)
FULL_RANGE = ((0, 255), (128, 255), (128, 255))  # black and white of Y, of Cb, of Cr


def scale_samples(samples: np.ndarray, top: int) -> np.ndarray:
    """Scale 0..top to all of uint8, or of uint16 where top is above 255; rounded to the nearest."""
    full, dtype = (255, np.uint8) if top <= 255 else (65535, np.uint16)
    if top == full:
        return samples.astype(dtype)
    levels = (np.arange(top + 1, dtype=np.uint64) * (2 * full) + top) // (2 * top)
    return np.asarray(levels.astype(dtype)[samples])


def cmyk_to_rgb(inks: np.ndarray) -> np.ndarray:
    """Return (1 - c)(1 - k) of (height, width, 4) uint8 or uint16."""
    top = np.iinfo(inks.dtype).max
    light = (top - inks).astype(np.uint32 if top == 255 else np.uint64)
    product = np.multiply(light[:, :, :3], light[:, :, 3:])
    return np.asarray((product + top // 2) // top, inks.dtype)


def ycbcr_to_rgb(
    image: np.ndarray,
    weights: tuple[float, ...] = REC_601,
    ranges: tuple[tuple[float, float], ...] = FULL_RANGE,
) -> np.ndarray:
    """Return RGB of (height, width, 3) uint8 luma and color differences.

    weights: what red, green and blue add to luma; ranges: the levels of black and white (no difference and the
    largest) of each channel. In fixed point of 16 bits, as the IJG's libjpeg and libtiff compute it.
    """
    red, green, blue = weights
    levels = np.arange(256)
    y, cb, cr = (
        np.trunc((levels - int(low)) * span / ((int(high) - int(low)) or 1)).astype(np.int64)
        for (low, high), span in zip(ranges, (255, 127, 127), strict=True)
    )
    of_red, of_blue = 2 - 2 * red, 2 - 2 * blue
    r = (_to_fixed_point(of_red) * cr + _HALF) >> 16
    b = (_to_fixed_point(of_blue) * cb + _HALF) >> 16
    g_cb, g_cr = -_to_fixed_point(blue * of_blue / green) * cb + _HALF, -_to_fixed_point(red * of_red / green) * cr
    luma = y[image[:, :, 0]]
    rgb = np.empty(image.shape, np.uint8)
    rgb[:, :, 0] = np.clip(luma + r[image[:, :, 2]], 0, 255)
    rgb[:, :, 1] = np.clip(luma + ((g_cb[image[:, :, 1]] + g_cr[image[:, :, 2]]) >> 16), 0, 255)
    rgb[:, :, 2] = np.clip(luma + b[image[:, :, 1]], 0, 255)
    return rgb


_HALF = 1 << 15


def _to_fixed_point(number: float) -> int:
    """Return a number in fixed point of 16 bits."""
    return int(number * 65536 + 0.5)


def cielab_to_rgb(image: np.ndarray) -> np.ndarray:
    """Return sRGB of (height, width, 3) CIELab in 8 or 16 bits: L* unsigned, a* and b* signed."""
    bits = 8 * image.itemsize
    signed = image[:, :, 1:].view(f"i{image.itemsize}")
    lightness = image[:, :, :1] * (100 / np.iinfo(image.dtype).max)
    lab = np.concatenate([lightness, signed / float(1 << (bits - 8))], axis=2)
    rgb = np.clip(change_space(lab, "lab", "rgb"), 0, 1)
    return np.asarray(np.rint(rgb * np.iinfo(image.dtype).max), image.dtype)


def unpremultiply(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Divide color by its alpha; black where alpha is 0."""
    if color.dtype.kind == "f":
        return np.where(alpha > 0, color / np.where(alpha > 0, alpha, 1), 0).astype(color.dtype)
    top = np.iinfo(color.dtype).max
    divided = color.astype(np.float64) * top / np.maximum(alpha, 1)
    return np.where(alpha > 0, np.clip(np.rint(divided), 0, top), 0).astype(color.dtype)
