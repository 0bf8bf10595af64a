"""Images as text: `.csv` with commas, `.txt` with blanks in columns. For spreadsheets and eyes; not read as images.

A line is a row. Channels stand side by side: all columns of the first, then all of the second. Numbers have the
fewest digits that give the same number of their type again, so that `numpy.loadtxt` returns the image exactly:
`loadtxt(file, dtype, delimiter=",").reshape(height, channels, width).transpose(0, 2, 1)`.
"""

from __future__ import annotations

import numpy as np

SEPARATORS = {"csv": ",", "txt": " "}  # by format


def encode_text(image: np.ndarray, format: str) -> bytes:
    """Return the numbers of an image (height, width[, channels]) as lines of text, each as `number_texts` has it."""
    rows = side_by_side(image)
    separator = SEPARATORS[format]
    width = 0
    if format == "txt":  # columns of one width, found in a first pass: texts of a whole image would take much memory
        width = max(len(text) for row in rows for text in number_texts(row))
    return "".join(separator.join(text.rjust(width) for text in number_texts(row)) + "\n" for row in rows).encode()


def side_by_side(image: np.ndarray) -> np.ndarray:
    """Return the channels of an image as one matrix (height, channels * width)."""
    if image.ndim == 2:
        return image
    return image.transpose(0, 2, 1).reshape(len(image), -1)


def number_texts(row: np.ndarray) -> list[str]:
    """Return the shortest texts that read back as the same numbers of their type."""
    if row.dtype == np.float32:
        return [str(each) for each in row]
    return [repr(each) for each in row.tolist()]
