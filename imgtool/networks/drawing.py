"""Pictures of networks: where an answer comes from, feature maps, kernels. Arrays in, RGB uint8 pictures out."""

from __future__ import annotations

import math

import cv2
import numpy as np

from imgtool.image.resize import resize
from imgtool.image.sheet import side_by_side, to_viewable

UNSEEN_LIGHT = 0.35  # of the pixels that a network does not see
HEAT_OPACITY = 0.75  # at most: the image stays visible
PICTURE_PIXELS = (256, 512)  # the longer side of an image is at least and at most shown so
TILE_PIXELS, SHEET_PIXELS = 128, 1024  # up to which the longer sides of maps, kernels and their sheets are magnified
BRIGHTEST = 99.9  # per cent of the values are below white, so that one outlier does not darken the rest
TILE_GAP_PIXELS = 2


def shown_size(rows: int, columns: int) -> tuple[int, int]:
    """Return rows and columns that an image of this size is shown with."""
    longest = max(rows, columns)
    scale = min(max(longest, PICTURE_PIXELS[0]), PICTURE_PIXELS[1]) / longest
    return max(round(scale * rows), 1), max(round(scale * columns), 1)


def heat_picture(image: np.ndarray, heat: np.ndarray, seen: tuple[slice, slice]) -> np.ndarray:
    """Return the image and, at its right, the same in gray with heat over it; what is not seen is dark.

    heat: (rows, columns) of the image, 0 to 1; seen: the rows and columns that the network sees.
    """
    left = to_viewable(image)
    gray = np.repeat(left.mean(axis=2, keepdims=True), 3, axis=2)
    light = np.full((*heat.shape, 1), UNSEEN_LIGHT)
    light[seen] = 1
    opacity = HEAT_OPACITY * heat[..., None]
    return side_by_side(left, np.rint((1 - opacity) * gray * light + opacity * _colors(heat)))


def _colors(values: np.ndarray) -> np.ndarray:
    """Return numbers from 0 to 1 as colors from black through red to pale yellow, RGB."""
    colors = cv2.applyColorMap(np.rint(255 * values).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.asarray(colors[..., ::-1])


def maps_picture(maps: np.ndarray) -> np.ndarray:
    """Return feature maps (channels, rows, columns) in rows of tiles, on one scale.

    Black is 0 and white the largest value; where values are below 0, which not every layer gives, 0 is gray.
    """
    tiles, longest = _shades(maps, signed=bool((maps < 0).any())), max(maps.shape[1:])
    if longest > TILE_PIXELS:
        size = [max(round(side * TILE_PIXELS / longest), 1) for side in maps.shape[1:]]
        tiles = np.stack([resize(tile, *size) for tile in tiles])
    return tiled(tiles)


def kernels_picture(kernels: np.ndarray) -> np.ndarray:
    """Return kernels (n, 1 or 3, rows, columns) in rows of tiles, in gray or color, 0 as mid-gray.

    Each has a scale of its own: where batch normalization is folded in, some are a hundred times as large as others.
    """
    return tiled(np.stack([_shades(kernel, signed=True) for kernel in kernels]).transpose(0, 2, 3, 1))


def tiled(tiles: np.ndarray) -> np.ndarray:
    """Return pictures of one size (n, rows, columns[, 1 or 3]) uint8, magnified, in a sheet about as wide as high."""
    count, rows, columns = tiles.shape[:3]
    across = max(round(math.sqrt(count * rows / columns)), 1)
    longest = max(rows, columns)
    zoom = max(min(TILE_PIXELS // longest, SHEET_PIXELS // (across * longest)), 1)
    large = tiles.reshape(count, rows, columns, -1).repeat(zoom, axis=1).repeat(zoom, axis=2)
    gap = TILE_GAP_PIXELS
    height, width = rows * zoom + gap, columns * zoom + gap
    sheet = np.full((-(-count // across) * height + gap, across * width + gap, 3), 255, np.uint8)
    for index, tile in enumerate(large):
        top, left = gap + index // across * height, gap + index % across * width
        sheet[top : top + height - gap, left : left + width - gap] = tile
    return sheet


def _shades(values: np.ndarray, *, signed: bool) -> np.ndarray:
    """Return numbers as uint8: 0 is black, or mid-gray where they have a sign."""
    sizes = np.abs(values)
    top = float(np.percentile(sizes[sizes > 0], BRIGHTEST)) if sizes.any() else 1.0
    scaled = 127.5 + 127.5 * (values / top) if signed else 255 * (values / top)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
