"""A confusion matrix as a picture: a row for each class, a column for each name that was said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgtool.evaluation.confusion import Confusion
from imgtool.evaluation.table import visible
from imgtool.image.sheet import CAPTION_PIXELS, GAP_PIXELS, caption_picture, text_width, with_texts

PLOT_PIXELS = 720  # that the cells take, where they are not at their least or largest
CELL_PIXELS = (2, 44)  # sides of a cell, at least and at most
NAMED_CELL_PIXELS = CAPTION_PIXELS  # from which on rows and columns have names
COUNTED_CELL_PIXELS = 22  # from which on cells have counts
NAME_PIXELS = 150  # of the longest name
RIGHT_COLOR, WRONG_COLOR = (12, 80, 140), (217, 95, 2)  # of all images of a class
LINE_COLOR = (225, 225, 225)


def confusion_picture(confusion: Confusion) -> np.ndarray:
    """Return the picture, RGB uint8.

    What is right is blue, what is wrong is orange, and the darker, the larger a part of its class it is. Rows and
    columns have names where there is room (up to 45 classes), and cells have counts (up to 32).
    """
    side = int(np.clip(PLOT_PIXELS // len(confusion.said), *CELL_PIXELS))
    cells = _cells(confusion, side)
    title = f"{visible(confusion.model)}: rows are classes, columns what was said; wrong on {_wrong(confusion)}"
    if side < NAMED_CELL_PIXELS:
        return _framed(cells, title)
    left, top = _names(confusion.classes, side, to_right=True), np.rot90(_names(confusion.said, side))
    corner = np.full((len(top), left.shape[1], 3), 255, np.uint8)
    return _framed(np.vstack([np.hstack([corner, top]), np.hstack([left, cells])]), title)


def _wrong(confusion: Confusion) -> str:
    """Return how many images are labeled wrong, in words."""
    return f"{int(confusion.mistakes.sum()):,} of {int(confusion.counts.sum()):,}"


def _cells(confusion: Confusion, side: int) -> np.ndarray:
    """Return the colored cells, with their counts where there is room."""
    counts = confusion.counts
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = np.eye(*counts.shape)[..., None] > 0
    ink = np.where(right, RIGHT_COLOR, WRONG_COLOR)
    colors = np.rint(255 - np.sqrt(share)[..., None] * (255 - ink)).astype(np.uint8)
    picture: np.ndarray = colors.repeat(side, axis=0).repeat(side, axis=1)
    if side >= NAMED_CELL_PIXELS:
        picture[::side] = picture[:, ::side] = LINE_COLOR
    if side < COUNTED_CELL_PIXELS:
        return picture
    texts: list[tuple[float, float, str]] = [
        ((column + 0.5) * side, (row + 0.5) * side, str(counts[row, column]))
        for row, column in zip(*np.nonzero(counts), strict=True)
        if text_width(str(counts[row, column])) < side
    ]
    return with_texts(picture, texts)


def _names(names: Sequence[str], side: int, *, to_right: bool = False) -> np.ndarray:
    """Return names below each other, each in the middle of a cell's height, beside a gap."""
    texts = [visible(name) for name in names]
    width = min(NAME_PIXELS, max(int(text_width(text)) + 1 for text in texts))
    picture = np.full((side * len(texts), width + GAP_PIXELS, 3), 255, np.uint8)
    for place, text in enumerate(texts):
        top, own = place * side + (side - CAPTION_PIXELS) // 2, min(width, int(text_width(text)) + 1)
        start = width - own if to_right else GAP_PIXELS
        picture[top : top + CAPTION_PIXELS, start : start + own] = caption_picture(text, own)
    return picture


def _framed(picture: np.ndarray, title: str) -> np.ndarray:
    """Return a picture below its title, with white around."""
    width = max(picture.shape[1], int(text_width(title)) + 1)
    picture = np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255)
    gap = np.full((GAP_PIXELS, width, 3), 255, np.uint8)
    whole = np.vstack([caption_picture(title, width), gap, picture])
    return np.pad(whole, ((GAP_PIXELS, GAP_PIXELS), (GAP_PIXELS, GAP_PIXELS), (0, 0)), constant_values=255)
