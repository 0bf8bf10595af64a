"""Pictures of descriptors: strokes for HoG, rosettes and filters for GIST, keypoints and matches for SIFT.

Arrays in, RGB uint8 pictures out.

x points right and y down, so angles grow clockwise. A HoG stroke runs along the edge, a quarter turn from the gradient,
as in Dalal and Triggs (CVPR 2005), figure 6. A GIST rosette is a polar plot over spatial frequency, as in Oliva and
Torralba (IJCV 2001), figure 7: its petals point along the gradient, a quarter turn from the edge.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from imgtool.image.color import from_hsv
from imgtool.image.resize import resize
from imgtool.image.sheet import GAP_PIXELS, Panel, fitted, panel_pixels, panel_sheet, side_by_side, stacked, to_viewable

MIN_CELL_PIXELS = 16  # pixels that a cell should have, or its strokes cannot be told apart
ROSETTE_PIXELS = 128  # pixels of a rosette's side
BANK_COLUMNS = 8  # of a sheet of filters
AXIS_SHADE = 0.8  # of the lines through frequency 0
MAX_SIDE_PIXELS = 2048  # pixels up to which a small image is magnified for that
FRACTION_BITS = 4  # bits of a pixel's fractions that OpenCV draws with
FRACTIONS = 1 << FRACTION_BITS


def hog_picture(
    histograms: np.ndarray, cell: tuple[int, int], image: np.ndarray, angles: Sequence[float] | None = None
) -> np.ndarray:
    """Return the image and, at its right, a star of strokes for each cell.

    histograms: (cell rows, cell columns, orientations); cell: its (rows, columns) in pixels; angles: of each bin's
    gradient in radians, by default pi (k + 1/2) / orientations. A stroke is as bright as its bin is large; the largest
    one per cent are white. Small images are magnified by a whole number so that strokes can be told apart.
    """
    factor = _magnification(image.shape[:2], cell)
    rows, columns, orientations = histograms.shape
    if angles is None:
        angles = [np.pi * (k + 0.5) / orientations for k in range(orientations)]
    height, width = cell[0] * factor, cell[1] * factor
    stars = np.zeros((rows, height, columns, width), np.float32)
    brightness = _brightness(histograms)
    for k, stroke in enumerate(strokes(angles, height, width)):
        np.maximum(stars, brightness[:, None, :, None, k] * stroke[:, None, :], out=stars)
    left = np.repeat(np.repeat(to_viewable(image), factor, axis=0), factor, axis=1)
    right = np.zeros_like(left)
    drawn = np.rint(255 * stars.reshape(rows * height, columns * width))[: right.shape[0], : right.shape[1], None]
    right[: drawn.shape[0], : drawn.shape[1]] = drawn
    return side_by_side(left, right)


def _magnification(shape: tuple[int, ...], cell: tuple[int, int]) -> int:
    """Return the whole number by which a picture is enlarged."""
    wanted = -(-MIN_CELL_PIXELS // min(cell))
    return max(1, min(wanted, MAX_SIDE_PIXELS // max(shape)))


def _brightness(histograms: np.ndarray) -> np.ndarray:
    """Bring votes to 0..1; one per cent is cut off at the top, so that one sharp corner does not darken the rest."""
    votes = histograms[histograms > 0]
    top = np.percentile(votes, 99) if votes.size else 1.0
    return np.sqrt(np.minimum(histograms / top, 1)).astype(np.float32)


def strokes(angles: Sequence[float], height: int, width: int) -> np.ndarray:
    """Return soft-edged lines through the center of a cell, each perpendicular to a gradient, (n, height, width)."""
    angle = np.reshape(angles, (-1, 1, 1))
    y = (np.arange(height) - (height - 1) / 2)[:, None]
    x = (np.arange(width) - (width - 1) / 2)[None, :]
    across = np.abs(x * np.cos(angle) + y * np.sin(angle))  # distance from the line, measured along the gradient
    along = np.abs(y * np.cos(angle) - x * np.sin(angle))
    thickness, length = max(min(height, width) / 16, 0.5), min(height, width) / 2
    return np.asarray(np.clip(thickness + 0.5 - across, 0, 1) * np.clip(length - along, 0, 1), np.float32)


def gist_picture(energies: np.ndarray, orientations: Sequence[int], image: np.ndarray) -> np.ndarray:
    """Return the image and, at its right, a rosette for each window.

    energies: (filters, window rows, window columns), scale by scale from the finest; orientations: how many of each
    scale; image: the square that was described. A ring is a scale, the outermost the finest; a sector's brightness is
    its filter's energy, the largest of each scale, in all windows, being full.
    """
    filters, rows, columns = energies.shape
    scale = np.repeat(np.arange(len(orientations)), orientations)
    tops = np.array([energies[scale == each].max() for each in range(len(orientations))])
    brightness = energies / np.where(tops > 0, tops, 1)[scale, None, None]
    colors = _scale_colors(len(orientations))[scale]
    shapes = (sectors(orientations, ROSETTE_PIXELS)[..., None] * colors[:, None, None, :]).reshape(filters, -1)
    tiles = (brightness.reshape(filters, -1).T @ shapes).reshape(rows, columns, ROSETTE_PIXELS, ROSETTE_PIXELS, 3)
    tiles[:, :, :1] = tiles[:, :, :, :1] = 0.3  # lines between the windows
    right = np.rint(255 * tiles.transpose(0, 2, 1, 3, 4).reshape(rows * ROSETTE_PIXELS, columns * ROSETTE_PIXELS, 3))
    return side_by_side(resize(to_viewable(image), *right.shape[:2]), right)


def bank_picture(bank: np.ndarray, orientations: Sequence[int]) -> np.ndarray:
    """Return a sheet of transfer functions: all at once, in the colors of scales as in rosettes, then each alone.

    bank: (filters, side, side), 0 to 1, the frequency 0 in the middle, scale by scale from the finest; orientations:
    how many of each scale. Of all at once it shows the largest at each frequency, and the lines where each is one half.
    """
    scale = np.repeat(np.arange(len(orientations)), orientations)
    colors, large = _scale_colors(len(orientations)), panel_pixels(3)
    together = bank.max(axis=0)[:, :, None] * colors[scale[bank.argmax(axis=0)]]
    lines = np.ones((*bank.shape[1:], 3))
    middle = len(lines) // 2
    lines[[0, middle, -1]], lines[:, [0, middle, -1]] = AXIS_SHADE, AXIS_SHADE
    for transfer, color in zip(bank, colors[scale], strict=True):
        lines[_outline(transfer >= 0.5)] = color
    above = [
        Panel(
            fitted(_bytes(together), large),
            f"the {len(bank)} filters, in the middle frequency 0,\nat the edges 0.5 waves a pixel",
        ),
        Panel(fitted(_bytes(lines), large), "where each passes one half;\nbelow each alone, scale: degrees"),
    ]
    small = panel_pixels(BANK_COLUMNS)
    panels = [
        Panel(fitted(_bytes(transfer[:, :, None] * colors[own]), small), f"{own + 1}: {angle:.4g}\N{DEGREE SIGN}")
        for transfer, own, angle in zip(bank, scale, _angles(orientations), strict=True)
    ]
    ends = np.cumsum([0, *orientations]).tolist()
    rows = [
        panels[begin : min(begin + BANK_COLUMNS, last)]
        for first, last in itertools.pairwise(ends)
        for begin in range(first, last, BANK_COLUMNS)
    ]
    return stacked([panel_sheet([above]), panel_sheet(rows)])


def _angles(orientations: Sequence[int]) -> list[float]:
    """Return the direction that each filter responds to, in degrees, clockwise from the right."""
    return [-180 * j / count + 0.0 for count in orientations for j in range(count)]


def _outline(mask: np.ndarray) -> np.ndarray:
    """Return which pixels of a mask have a neighbor outside it."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inner)


def _bytes(unit: np.ndarray) -> np.ndarray:
    """Return colors from 0 to 1 as RGB uint8."""
    return np.asarray(np.rint(255 * unit), np.uint8)


def _scale_colors(count: int) -> np.ndarray:
    """Return a color (count, 3) for each scale, from 0 to 1, red for the finest."""
    hsv = np.stack([np.arange(count) / count, np.full(count, 0.8), np.ones(count)], axis=1)
    return np.asarray(from_hsv(hsv[None])[0])


def sectors(orientations: Sequence[int], side: int) -> np.ndarray:
    """Return the place of each filter in a rosette, (filters, side, side), 0 to 1 with soft edges.

    Filter j of a scale with O orientations lies at -180 j / O degrees, clockwise from the right, and opposite.
    """
    fine = 4 * side  # drawn in fourfold size, then averaged
    place = (np.arange(fine) + 0.5) / fine * 2 - 1
    radius = np.hypot(place[None, :], place[:, None]) / 0.96
    angle = np.arctan2(place[:, None], place[None, :])
    ring = np.floor((1 - radius) * (len(orientations) + 0.5))  # the half is a hole in the middle
    shapes = []
    for scale, count in enumerate(orientations):
        for j in range(count):
            turned = (angle + np.pi * j / count + np.pi / 2) % np.pi - np.pi / 2
            shapes.append((ring == scale) & (np.abs(turned) <= 0.9 * np.pi / (2 * count)))
    return np.asarray(np.stack(shapes).reshape(-1, side, 4, side, 4).mean(axis=(2, 4)))


def keypoints_picture(image: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Return the image with a circle of each keypoint's size, and a line from its center along its angle.

    frames: (N, 4): x, y, diameter in pixels, angle in degrees clockwise from the right.
    """
    import cv2

    picture = np.array(to_viewable(image), order="C")
    for index, (x, y, diameter, angle) in enumerate(frames.tolist()):
        color, radius = _color(index), max(diameter / 2, 1.0)
        tip = x + radius * math.cos(math.radians(angle)), y + radius * math.sin(math.radians(angle))
        cv2.circle(picture, _fine(x, y), round(radius * FRACTIONS), color, 1, cv2.LINE_AA, FRACTION_BITS)
        cv2.line(picture, _fine(x, y), _fine(*tip), color, 1, cv2.LINE_AA, FRACTION_BITS)
    return picture


def matches_picture(left: np.ndarray, right: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return two images side by side, a line between the points of each pair; pairs: (M, 4), x and y left and right."""
    import cv2

    height = max(len(left), len(right))
    halves = [
        np.pad(to_viewable(each), ((0, height - len(each)), (0, 0), (0, 0)), constant_values=255)
        for each in (left, right)
    ]
    picture, shift = np.ascontiguousarray(side_by_side(*halves)), left.shape[1] + GAP_PIXELS
    for index, (x, y, across, down) in enumerate(pairs.tolist()):
        cv2.line(picture, _fine(x, y), _fine(across + shift, down), _color(index), 1, cv2.LINE_AA, FRACTION_BITS)
    return picture


def _fine(x: float, y: float) -> tuple[int, int]:
    """Return a point in the sixteenths of a pixel that OpenCV draws with."""
    return round(x * FRACTIONS), round(y * FRACTIONS)


def _color(index: int) -> tuple[int, ...]:
    """Return one of many bright colors, neighbors of which differ."""
    hue = index * 0.618034 % 1.0  # the golden ratio's part
    return tuple(int(each) for each in np.rint(255 * from_hsv(np.array([[[hue, 0.9, 1.0]]]))[0, 0]))
