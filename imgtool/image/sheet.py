"""Pictures side by side: what an image looks like, panels, contact sheets. Arrays in, RGB uint8 out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from imgtool.image.color import to_rgb
from imgtool.image.pixels import to_pixels
from imgtool.image.resize import resize

GAP_PIXELS = 8  # pixels between two panels
FRAME_COLOR = (220, 40, 40)  # around the image that was looked for


def contact_sheet(images: Sequence[np.ndarray | None], side: int) -> np.ndarray:
    """Return thumbnails in rows, the first in a frame: what was looked for; None leaves its place empty.

    side: pixels that a thumbnail has at most, in either direction.
    """
    columns = math.ceil(math.sqrt(len(images)))
    rows, cell = -(-len(images) // columns), side + GAP_PIXELS
    sheet = np.full((rows * cell + GAP_PIXELS, columns * cell + GAP_PIXELS, 3), 255, np.uint8)
    for index, image in enumerate(images):
        if image is None:
            continue
        top, left = GAP_PIXELS + index // columns * cell, GAP_PIXELS + index % columns * cell
        factor = side / max(image.shape[:2])
        height, width = (max(1, round(factor * length)) for length in image.shape[:2])
        top, left = top + (side - height) // 2, left + (side - width) // 2
        if index == 0:
            sheet[top - 4 : top + height + 4, left - 4 : left + width + 4] = FRAME_COLOR
        sheet[top : top + height, left : left + width] = resize(to_viewable(image), height, width)
    return sheet


def to_viewable(image: np.ndarray) -> np.ndarray:
    """Return RGB uint8 without alpha; floating point values are stretched from black to white."""
    color = to_rgb(image)
    if color.dtype == np.uint8:
        return color
    shown = "stretch" if color.dtype.kind == "f" else "clip"
    return to_pixels(color.astype(np.float64), shown, depth="8", like=color.dtype).pixels


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return two pictures of one height side by side, a white gap between them."""
    gap = np.full((len(left), GAP_PIXELS, 3), 255, np.uint8)
    return np.hstack([left, gap, right.astype(np.uint8)])
