"""Pictures of kernels, of what a border makes of an image, and of directions. Arrays in, RGB uint8 out."""

from __future__ import annotations

import numpy as np

from imgtool.filters.borders import pad
from imgtool.image.color import direction_picture
from imgtool.image.sheet import FRAME_COLOR, fitted, text_width, to_viewable, with_texts

MARGIN_SHARE = 0.3  # of the shorter side, that is shown outside an image at least
FRAME_PIXELS = 2
NUMBERED_TAPS = 7  # a side, up to which a kernel's numbers stand in its picture
GRID_PIXELS = 8  # of a tap's square, from which on lines divide the taps
GRID_SHADE = 90
QUARTERS = ((1, 0, "0"), (0, 1, "90"), (-1, 0, "180"), (0, -1, "-90"))  # where degrees stand: x right, y down


def padded_picture(
    image: np.ndarray, border: str, side: int, *, reach: tuple[int, int] = (0, 0), value: float = 0.0
) -> np.ndarray:
    """Return an image with what a border puts around it, and a frame where the image ends.

    side: pixels of the picture's longer side; reach: rows and columns outside that are shown at least; value: of the
    pixels outside a `clip` border.
    """
    least = max(1, round(MARGIN_SHARE * min(image.shape[:2])))
    down, across = (max(each, least) for each in reach)
    height, width = image.shape[:2]
    padded = pad(image, (down, down), (across, across), border, value)
    picture = np.array(fitted(to_viewable(padded), side))
    scale = len(picture) / (height + 2 * down)
    top, bottom = round(down * scale), round((down + height) * scale)
    left, right = round(across * scale), round((across + width) * scale)
    _draw_frame(picture, (top, bottom, left, right))
    return picture


def _draw_frame(picture: np.ndarray, edges: tuple[int, int, int, int]) -> None:
    """Draw lines just outside a rectangle: its first and the row after its last, and so its columns."""
    top, bottom, left, right = edges
    outer = slice(max(top - FRAME_PIXELS, 0), bottom + FRAME_PIXELS)
    across = slice(max(left - FRAME_PIXELS, 0), right + FRAME_PIXELS)
    for rows in (slice(outer.start, top), slice(bottom, outer.stop)):
        picture[rows, across] = FRAME_COLOR
    for columns in (slice(across.start, left), slice(right, across.stop)):
        picture[outer, columns] = FRAME_COLOR


def signed_picture(numbers: np.ndarray) -> tuple[np.ndarray, float]:
    """Return numbers (height, width) as a picture whose mid-gray is 0, and the magnitude that is black or white."""
    top = float(np.abs(numbers).max()) or 1.0
    shades = np.rint(127.5 + 127.5 * (numbers / top)).astype(np.uint8)
    return np.repeat(shades[:, :, None], 3, axis=2), top


def color_wheel(side: int) -> np.ndarray:
    """Return a disc whose colors stand for directions from its center, as in the picture of a phase; with degrees."""
    place = (np.arange(side) + 0.5) * 2 / side - 1
    radius, angle = np.hypot(place[None, :], place[:, None]), np.arctan2(place[:, None], place[None, :])
    wheel = direction_picture(np.ones_like(angle), angle)
    wheel[radius > 1] = 255
    return with_texts(wheel, ((side * (0.5 + 0.42 * x), side * (0.5 + 0.42 * y), text) for x, y, text in QUARTERS))


def kernel_picture(taps: np.ndarray, side: int) -> np.ndarray:
    """Return a kernel as squares, 0 as mid-gray, the tap of largest magnitude as black or white; small ones numbered.

    side: pixels of the longer side.
    """
    picture = np.array(fitted(signed_picture(taps)[0], side))
    cell = len(picture) / len(taps)
    if cell >= GRID_PIXELS:
        picture[:: int(cell)] = GRID_SHADE
        picture[:, :: int(cell)] = GRID_SHADE
        picture[-1], picture[:, -1] = GRID_SHADE, GRID_SHADE
    texts = [[f"{tap + 0.0:.2g}" for tap in row] for row in taps]
    fits = max(taps.shape) <= NUMBERED_TAPS and max(text_width(text) for row in texts for text in row) < cell - 2
    if not fits:
        return picture
    places = ((x, y, text) for y, row in enumerate(texts) for x, text in enumerate(row))
    return with_texts(picture, (((x + 0.5) * cell, (y + 0.5) * cell, text) for x, y, text in places))
