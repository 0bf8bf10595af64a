"""How HoG comes to the numbers of one cell: its histogram, and what each block that holds it makes of that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array, whole_number, whole_pair
from imgtool.errors import ImageError
from imgtool.features.hog import Pair, cell_histograms, hog
from imgtool.image.color import MAX_CHANNELS
from imgtool.parameters import checks_options


@dataclass(frozen=True)
class ExplainedCell:
    """One cell of HoG.

    row, column: of the cell, from 0; x, y: its first and last column and row of pixels; degrees: (orientations + 1,)
    where its bins begin and end; votes: (orientations,), the mean magnitude of its pixels for each bin; blocks: row and
    column of each block that holds it; normalized: (blocks, orientations), its numbers in each, as `hog` has them.
    """

    row: int
    column: int
    x: tuple[int, int]
    y: tuple[int, int]
    degrees: np.ndarray
    votes: np.ndarray
    blocks: tuple[tuple[int, int], ...]
    normalized: np.ndarray


@checks_options
def explain_hog(
    image: ArrayLike,
    x: int,
    y: int,
    *,
    orientations: int = 9,
    cell: Pair = 8,
    block: Pair = 2,
    norm: str = "L2-Hys",
    sqrt: bool = False,
) -> ExplainedCell:
    """Explain the cell of HoG that holds a pixel: its histogram before and after normalization.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        As for `hog`.
    x, y : int
        The pixel: its column and its row, from 0.
    orientations : int
        Number of bins over 180 degrees.
    cell : int or (int, int)
        Size of a cell in pixels: its side, or (rows, columns).
    block : int or (int, int)
        Size of a block in cells: its side, or (rows, columns).
    norm : {"L2-Hys", "L2", "L1", "L1-sqrt", "none"}
        Normalization of a block.
    sqrt : bool
        Take the square root of the image first.

    Returns
    -------
    object
        With `row`, `column`, `x`, `y` (of the cell, and its first and last pixels), `degrees` (where bins begin and
        end), `votes` (orientations,), `blocks` (row and column of each that holds the cell), and `normalized` (blocks,
        orientations): the numbers that `hog` returns.

    Raises
    ------
    ImageError
        The image is not valid, or the pixel lies in no cell of it.
    ParameterError
        A norm is unknown, or a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> edge = np.repeat([[0, 0, 0, 0, 0, 0, 0, 0, 200, 200, 200, 200, 200, 200, 200, 200]], 16, axis=0)
    >>> found = imgtool.explain_hog(edge, 3, 12)
    >>> found.row, found.column, found.x, found.y, found.votes.tolist()[:2], found.blocks
    (1, 0, (0, 7), (8, 15), [25.0, 0.0], ((0, 0),))
    """
    (rows, columns), (high, wide) = whole_pair(cell, "cell"), whole_pair(block, "block")
    x, y = whole_number(x, "x", low=0), whole_number(y, "y", low=0)
    array = image_array(image, max_channels=MAX_CHANNELS)
    values = hog(array, orientations=orientations, cell=cell, block=block, norm=norm, sqrt=sqrt)
    histograms = cell_histograms(array, orientations=orientations, cell=cell, sqrt=sqrt)
    row, column = y // rows, x // columns
    if row >= len(histograms) or column >= histograms.shape[1]:
        across, down = columns * histograms.shape[1], rows * len(histograms)
        raise ImageError(f"is {array.shape[1]}x{array.shape[0]} pixels, of which cells fill {across}x{down}; "
                         f"{x},{y} lies in none (columns and rows count from 0)")  # fmt: skip
    blocks = [
        (top, left)
        for top in range(max(row - high + 1, 0), min(row + 1, len(values)))
        for left in range(max(column - wide + 1, 0), min(column + 1, values.shape[1]))
    ]
    return ExplainedCell(
        row, column, (column * columns, column * columns + columns - 1), (row * rows, row * rows + rows - 1),
        np.linspace(0, 180, histograms.shape[2] + 1), histograms[row, column], tuple(blocks),
        np.stack([values[top, left, row - top, column - left] for top, left in blocks]),
    )  # fmt: skip
