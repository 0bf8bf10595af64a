"""What lies outside an image: five borders, and their names elsewhere.

An index i outside 0..n-1 becomes
clip: no pixel, value 0 unless another is given; wrap: i mod n; copy: the nearest; reflect: j = i mod 2n, then 2n-1-j
where j >= n; mirror: j = i mod 2(n-1), then 2(n-1)-j where j >= n. A kernel may reach past the image more than once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.errors import ImageError, ParameterError
from imgtool.names import plain, unknown_name

if TYPE_CHECKING:  # else late: the command line's help shows the table, without NumPy
    import numpy as np


@dataclass(frozen=True)
class Border:
    """A border as letters, and as others call it (None: they have it not).

    numpy: of numpy.pad; opencv: BORDER_...; torch: modes of torch.nn.functional.pad; imagemagick: of -virtual-pixel.
    """

    letters: str
    scipy: str
    numpy: str
    opencv: str | None
    torch: str | None
    imagemagick: str | None

    def elsewhere(self) -> list[str]:
        """Return the names that other tools have for it."""
        names = (self.scipy, self.numpy, self.opencv, self.torch, self.imagemagick)
        return [*filter(None, names), f"BORDER_{self.opencv}"]


BORDERS = {
    "reflect": Border("cba|abc|cba", "reflect", "symmetric", "REFLECT", None, "Mirror"),
    "clip": Border("000|abc|000", "constant", "constant", "CONSTANT", "constant", "Black"),
    "wrap": Border("abc|abc|abc", "wrap", "wrap", "WRAP", "circular", "Tile"),
    "copy": Border("aaa|abc|ccc", "nearest", "edge", "REPLICATE", "replicate", "Edge"),
    "mirror": Border("cb|abc|ba", "mirror", "reflect", "REFLECT_101", "reflect", None),
}


def border_named(name: str) -> str:
    """Return our name of a border that another tool may have called otherwise, such as BORDER_CONSTANT.

    Raises ParameterError for a name that nothing has, and for one that tools give to several borders.
    """
    if name in BORDERS:
        return name
    said = plain(name)
    found = [our for our, each in BORDERS.items() if said in {our, *map(plain, each.elsewhere())}]
    if len(found) > 1:
        raise ParameterError(f"border {name!r} is {' or '.join(found)}: tools differ; which is meant?")
    if not found:
        elsewhere = [other for each in BORDERS.values() for other in each.elsewhere()]
        raise unknown_name("border", name, BORDERS, also=elsewhere)
    return found[0]


def border_table() -> str:
    """Return the borders as lines of columns: letters, and the names elsewhere."""
    rows = [("border", "outside", "SciPy", "NumPy", "OpenCV", "PyTorch", "ImageMagick")]
    rows += [
        (name, each.letters, each.scipy, each.numpy, each.opencv or "-", each.torch or "-", each.imagemagick or "-")
        for name, each in BORDERS.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def indices(n: int, before: int, after: int, border: str) -> np.ndarray:
    """Return, for positions -before .. n-1+after, the index of the pixel that stands there; -1 for none (clip)."""
    import numpy as np

    if border not in BORDERS:
        raise unknown_name("border", border, BORDERS)
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


def border_number(value: Any, border: str, dtype: np.dtype) -> float:
    """Return the value of the pixels outside a `clip` border as a number.

    Raises ParameterError for another border and for what is no number, ImageError for what is no pixel of the type.
    """
    import numpy as np

    from imgtool.arrays import real_number

    number = real_number(value, "the border's value")
    if not np.isfinite(number):
        raise ParameterError(f"border_value must be finite, got {value}", parameters=("border_value",))
    if number and border != "clip":
        raise ParameterError("border_value goes with border clip", parameters=("border_value", "border"))
    if dtype.kind in "iu" and not (number.is_integer() and np.iinfo(dtype).min <= number <= np.iinfo(dtype).max):
        text = f"is {dtype}, of which border_value {value} is no pixel"
        raise ImageError(text, parameters=("border_value",))
    return number


def pad(
    image: np.ndarray, rows: tuple[int, int], columns: tuple[int, int], border: str, value: float = 0.0
) -> np.ndarray:
    """Return the image (height, width[, channels]) with (before, after) rows and columns added around it.

    value: of the pixels outside a `clip` border.
    """
    import numpy as np

    (height, width), (above, left) = image.shape[:2], (rows[0], columns[0])
    down, across = indices(height, *rows, border), indices(width, *columns, border)
    padded = np.empty((len(down), len(across), *image.shape[2:]), image.dtype)
    middle = padded[above : above + height]
    middle[:, left : left + width] = image
    # Taking single rows and columns is slow: only those outside are taken so.
    middle[:, :left] = image[:, across[:left]]
    middle[:, left + width :] = image[:, across[left + width :]]
    padded[:above] = middle[down[:above]]
    padded[above + height :] = middle[down[above + height :]]
    if border == "clip":
        padded[down < 0] = value
        padded[:, across < 0] = value
    return padded
