"""Kernels as text and as files: txt, csv, npy and json hold rows of numbers, and nothing in them is executed."""

from __future__ import annotations

import errno
import warnings
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.lib.format import MAGIC_PREFIX

from imgtool.errors import ParameterError
from imgtool.files import open_regular, read_text_file
from imgtool.filters.kernel_text import Matrix, read_matrix, require_kernel, require_taps
from imgtool.text import decode_text

MAX_TEXT_BYTES = 16 << 20  # bytes of a txt, csv or json file: the largest kernels are npy
# What json and NumPy raise for a broken file.
FILE_ERRORS = (
    ValueError,
    TypeError,
    SyntaxError,
    TokenError,
    EOFError,
    RecursionError,
    OverflowError,
    MemoryError,
)


def parse_matrix(text: str) -> np.ndarray:
    """Return the matrix that a line of text such as "1 0 -1; 2 0 -2; 1 0 -1" holds, or text as in a file.

    In a single line `;` ends a row.
    """
    return read_matrix(text, inline=True).taps


def matrix_text(taps: np.ndarray) -> str:
    """Return a kernel as lines of numbers in columns, from which `parse_matrix` makes the same kernel."""
    cells = [[repr(float(tap) + 0.0).removesuffix(".0") for tap in row] for row in taps]
    if len(taps) > 1 and taps.shape[1] in (2, 4) and tuple(taps[0, :2]) == (taps.shape[1], len(taps) - 1):
        cells[0][:2] = [f"{cell}.0" for cell in cells[0][:2]]  # not the width and height of a mask
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "".join(" ".join(map(str.rjust, row, widths)) + "\n" for row in cells)


def load_kernel(path: str) -> np.ndarray:
    """Return the matrix in a txt, csv, npy or json file. Raises ParameterError when it holds anything else."""
    return load_matrix(path).taps


def load_matrix(path: str) -> Matrix:
    """Return the same with what there is to say of how the file was read."""
    suffix = Path(path).suffix.lower()
    try:
        if suffix == ".npy":
            return Matrix(_array(path))
        text = _text(path)
        if suffix != ".json":
            return read_matrix(text)
        import json

        return Matrix(require_kernel(_matrix(json.loads(text))))
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from None
    except OSError as error:
        raise ParameterError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except FILE_ERRORS:
        raise ParameterError(f"{path}: holds no kernel: rows of numbers in a txt, csv, npy or json file") from None


def _text(path: str) -> str:
    """Return what a text file holds, without reading more of it than there may be."""
    try:
        return decode_text(read_text_file(path, MAX_TEXT_BYTES))
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ParameterError(
                f"is over {MAX_TEXT_BYTES >> 20} MB of text; such a kernel may be an npy file"
            ) from None
        raise


def _array(path: str) -> np.ndarray:
    """Return what an npy file holds. Only its header is read before its shape and type are known to be good."""
    with open_regular(path) as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise ParameterError("is no npy file")
    with warnings.catch_warnings(action="ignore"):  # of odd headers
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.kind not in "uif" or array.ndim > 2:
        raise ParameterError("is no matrix of real numbers")
    require_taps(array.shape)
    return require_kernel(np.atleast_2d(np.array(array, np.float64)))


def _matrix(rows: object) -> np.ndarray:
    """Return a list of rows, or one row, of numbers as a matrix; anything else is refused."""
    if not isinstance(rows, list) or not rows:
        raise ParameterError("a kernel needs rows of numbers")
    lines = rows if all(isinstance(row, list) for row in rows) else [rows]
    if len({len(row) for row in lines}) != 1:
        raise ParameterError("a kernel's rows must have the same length")
    require_taps((len(lines), len(lines[0])))
    if any(type(tap) not in (int, float) for row in lines for tap in row):
        raise ParameterError("a kernel holds numbers only")
    return np.array([[float(tap) for tap in row] for row in lines])
