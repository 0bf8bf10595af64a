"""What lies outside an image: five borders, and their names elsewhere.

An index i outside 0..n-1 becomes
clip: no pixel, value 0; wrap: i mod n; copy: the nearest; reflect: j = i mod 2n, then 2n-1-j where j >= n;
mirror: j = i mod 2(n-1), then 2(n-1)-j where j >= n. A kernel may reach past the image more than once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgtool.errors import ParameterError


@dataclass(frozen=True)
class Border:
    """A border as letters, and as SciPy, NumPy, OpenCV, PyTorch and ImageMagick call it (None: they have it not)."""

    letters: str
    scipy: str
    numpy: str
    opencv: str | None
    torch: str | None
    imagemagick: str | None


BORDERS = {
    "reflect": Border("cba|abc|cba", "reflect", "symmetric", "REFLECT", None, "Mirror"),
    "clip": Border("000|abc|000", "constant", "constant", "CONSTANT", "zeros", "Black"),
    "wrap": Border("abc|abc|abc", "wrap", "wrap", None, "circular", "Tile"),
    "copy": Border("aaa|abc|ccc", "nearest", "edge", "REPLICATE", "replicate", "Edge"),
    "mirror": Border("dcb|abcd|cba", "mirror", "reflect", "REFLECT_101", "reflect", None),
}


def indices(n: int, before: int, after: int, border: str) -> np.ndarray:
    """Return, for positions -before .. n-1+after, the index of the pixel that stands there; -1 for none (clip)."""
    if border not in BORDERS:
        raise ParameterError(f"no border {border!r}; there are {', '.join(BORDERS)}")
    i = np.arange(-before, n + after)
    if border == "clip":
        return np.where((i < 0) | (i >= n), -1, i)
    if border == "copy":
        return i.clip(0, n - 1)
    if border == "wrap":
        return i % n
    period = 2 * n if border == "reflect" else max(1, 2 * (n - 1))
    j = i % period
    last = 2 * n - 1 if border == "reflect" else period
    return np.where(j < n, j, last - j)


def pad(image: np.ndarray, rows: tuple[int, int], columns: tuple[int, int], border: str) -> np.ndarray:
    """Return the image (height, width[, channels]) with (before, after) rows and columns added around it."""
    down = indices(image.shape[0], *rows, border)
    across = indices(image.shape[1], *columns, border)
    padded = image[down[:, None], across[None, :]]
    if border == "clip":
        padded[down < 0] = 0
        padded[:, across < 0] = 0
    return np.asarray(padded)
