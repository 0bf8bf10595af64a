"""Matrices of kernel values of all pairs of rows, computed once and in blocks, however long the rows are.

The features may lie in a file (a memory map): no more than a block of them is in memory at a time. Matrices of few rows
are float64, others float32; half of a matrix is stored, since it is symmetric. That of very many rows is never in
memory: its products are computed from the features.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple, Self

import numpy as np

from imgtool.batch.pool import map_in_threads, ordered_map, processors

DOUBLE_ROWS = 1024  # up to which a matrix is float64
DENSE_ROWS = 21_000  # up to which it is in memory, at 0.9 GB
FACTOR_NUMBERS = 1 << 26  # of features in memory in float64: 0.5 GB
BLOCK_NUMBERS = 1 << 22  # of features at once: 16 MB in float32
TILE_ROWS = 512  # of a matrix that one thread works on


class Scaled(NamedTuple):
    """Features (N, D), shifted by -mean (D) and multiplied by factor (D) as they are read."""

    features: np.ndarray
    mean: np.ndarray
    factor: np.ndarray

    @classmethod
    def plain(cls, features: np.ndarray) -> Self:
        """Return features as they are."""
        length = features.shape[1]
        return cls(features, np.zeros(length, np.float32), np.ones(length, np.float32))

    @classmethod
    def standardized(cls, features: np.ndarray) -> Self:
        """Return features of mean 0, equal deviation (those that vary at all) and rows of mean squared length 1."""
        count, length = features.shape
        total, square = np.zeros(length), np.zeros(length)
        for rows in blocks(count, length):
            total += features[rows].sum(axis=0, dtype=np.float64)
            _let_go(features)
        mean = total / count
        for rows in blocks(count, length):
            square += ((features[rows] - mean) ** 2).sum(axis=0)
            _let_go(features)
        deviation = np.sqrt(square / count)
        varies = deviation > 1e-8 * max(deviation.max(initial=0), 1e-30)
        factor = np.where(varies, 1 / np.where(varies, deviation, 1), 0) / np.sqrt(max(varies.sum(), 1))
        return cls(features, mean.astype(np.float32), factor.astype(np.float32))

    def __len__(self) -> int:
        return len(self.features)

    @property
    def length(self) -> int:
        """How many numbers a row has."""
        return int(self.features.shape[1])

    def rows(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return some rows, scaled, float32."""
        result = self.features[rows].astype(np.float32)
        _let_go(self.features)
        return self._scale(result, slice(None))

    def columns(self, columns: slice) -> np.ndarray:
        """Return some columns of all rows, scaled, float32."""
        result = np.empty((len(self), columns.stop - columns.start), np.float32)
        for rows in _tiles(len(self)):
            result[rows] = self.features[rows, columns]
            _let_go(self.features)
        return self._scale(result, columns)

    def _scale(self, part: np.ndarray, columns: slice) -> np.ndarray:
        """Scale a part in place, and return it."""
        part -= self.mean[columns]
        part *= self.factor[columns]
        return part

    def combined(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the sums of rows (M, D), float64, that coefficients (N, M) give."""
        total = np.zeros((coefficients.shape[1], self.length))
        for rows in blocks(len(self), self.length):
            total += coefficients[rows].T @ self.rows(rows).astype(np.float64)
        return total


def _let_go(features: np.ndarray) -> None:
    """Have the system forget which pages of a mapped file this process has read: they count as its memory."""
    mapped: object = features.base
    if isinstance(features, np.memmap) and isinstance(mapped, mmap.mmap) and features.mode == "r":
        with suppress(AttributeError, OSError):  # not on every system
            mapped.madvise(mmap.MADV_DONTNEED)


def blocks(count: int, length: int) -> Iterator[slice]:
    """Yield slices of 0 .. count so that so many rows of a length are a block."""
    step = max(1, BLOCK_NUMBERS // max(length, 1))
    yield from (slice(begin, min(begin + step, count)) for begin in range(0, count, step))


class Symmetric:
    """A symmetric matrix (N, N) in strips of rows, each up to the diagonal: half the numbers, besides those near it."""

    def __init__(self, strips: list[np.ndarray]) -> None:
        self.strips = strips
        self.dtype = strips[0].dtype

    @classmethod
    def zeros(cls, count: int, dtype: type) -> Self:
        """Return a matrix of zeros."""
        return cls([np.zeros((rows.stop - rows.start, rows.stop), dtype) for rows in _tiles(count)])

    @classmethod
    def of(cls, matrix: np.ndarray) -> Self:
        """Return a matrix (N, N), of which the lower half is read."""
        return cls([matrix[rows, : rows.stop].copy() for rows in _tiles(len(matrix))])

    def __len__(self) -> int:
        return int(self.strips[-1].shape[1])

    @property
    def nbytes(self) -> int:
        """The memory it takes."""
        return sum(strip.nbytes for strip in self.strips)

    def diagonal(self) -> np.ndarray:
        """Return a copy of the diagonal (N)."""
        return np.concatenate([strip.diagonal(strip.shape[1] - len(strip)) for strip in self.strips])

    def product(self, columns: np.ndarray) -> np.ndarray:
        """Return the matrix times (N, M), several strips of the result at once."""
        tiles, result = _tiles(len(self)), np.empty((len(self), columns.shape[1]), columns.dtype)

        def multiply(number: int) -> None:
            rows = tiles[number]
            total = self.strips[number] @ columns[: rows.stop]
            for strip, below in zip(self.strips[number + 1 :], tiles[number + 1 :], strict=True):
                total += strip[:, rows].T @ columns[below]
            result[rows] = total

        for _ in ordered_map(multiply, range(len(tiles)), processors()):
            pass
        return result

    def among(self, rows: np.ndarray, dtype: type | np.dtype | None = None) -> np.ndarray:
        """Return the entries of some rows, in order, and the same columns, in another type if one is given."""
        result = np.empty((len(rows), len(rows)), self.dtype if dtype is None else dtype)
        for strip, tile in zip(self.strips, _tiles(len(self)), strict=True):
            begin, end = np.searchsorted(rows, [tile.start, tile.stop])
            result[begin:end, :end] = strip[np.ix_(rows[begin:end] - tile.start, rows[:end])]
            result[:begin, begin:end] = result[begin:end, :begin].T
        return result


def gram(scaled: Scaled) -> Symmetric:
    """Return the products (N, N) of all pairs of rows: sums in float32 over each block of columns."""
    count = len(scaled)
    products = Symmetric.zeros(count, np.float64 if count <= DOUBLE_ROWS else np.float32)
    for columns in blocks(scaled.length, count):
        part = scaled.columns(columns).astype(products.dtype, copy=False)

        def add(strip: np.ndarray, part: np.ndarray = part) -> None:
            stop = strip.shape[1]
            strip += part[stop - len(strip) : stop] @ part[:stop].T

        for _ in ordered_map(add, products.strips, processors()):
            pass
    return products


def squared_distances(products: Symmetric) -> Symmetric:
    """Turn the products of all pairs of rows into their squared distances, in place."""
    squares = products.diagonal()
    for strip in products.strips:
        stop = strip.shape[1]
        begin = stop - len(strip)
        strip *= -2
        strip += squares[begin:stop, None]
        strip += squares[:stop]
        np.maximum(strip, 0, out=strip)
        np.fill_diagonal(strip[:, begin:], 0)
    return products


class Dense:
    """A matrix (N, N) in memory. trace: the sum of its diagonal."""

    def __init__(self, matrix: Symmetric) -> None:
        self.matrix = matrix
        self.dtype = matrix.dtype
        self.trace = float(matrix.diagonal().sum(dtype=np.float64))
        self.product, self.among = matrix.product, matrix.among

    def __len__(self) -> int:
        return len(self.matrix)


class Factors:
    """The products FF' of all pairs of rows of F (N, R), R far below N: exact in float64, which a sum of N is not."""

    def __init__(self, factors: np.ndarray) -> None:
        self.factors = factors
        self.dtype = factors.dtype
        self.trace = float(np.einsum("ij,ij->", factors, factors))

    def __len__(self) -> int:
        return len(self.factors)

    def product(self, columns: np.ndarray) -> np.ndarray:
        """Return the matrix times (N, M)."""
        return _product(self.factors, self.factors.T @ columns)

    def among(self, rows: np.ndarray, dtype: type | np.dtype | None = None) -> np.ndarray:
        """Return the entries of some rows and the same columns, in another type if one is given."""
        some = self.factors[rows]
        return np.asarray(some @ some.T, dtype)


class Streamed:
    """The products of all pairs of rows, plus 1 for the bias, of which only the features are stored."""

    dtype = np.dtype(np.float32)

    def __init__(self, scaled: Scaled) -> None:
        self.scaled = scaled
        squares = (np.einsum("ij,ij->", rows, rows, dtype=np.float64) for _, rows in self._blocks())
        self.trace = float(sum(squares)) + len(scaled)

    def __len__(self) -> int:
        return len(self.scaled)

    def product(self, columns: np.ndarray) -> np.ndarray:
        """Return the matrix times (N, M), reading the features twice."""
        weights = np.zeros((self.scaled.length, columns.shape[1]), np.float32)
        for where, rows in self._blocks():
            weights += rows.T @ columns[where]
        result = np.empty_like(columns)
        for where, rows in self._blocks():
            result[where] = rows @ weights
        result += columns.sum(axis=0, dtype=np.float64).astype(columns.dtype)
        return result

    def _blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows and where they stand; the next ones are read meanwhile."""
        parts = list(blocks(len(self), self.scaled.length))
        yield from zip(parts, map_in_threads(self.scaled.rows, parts, 1), strict=True)


Kernel = Dense | Factors | Streamed


def linear(scaled: Scaled) -> Kernel:
    """Return the kernel of products and a bias, in the form that takes least memory."""
    count, length = len(scaled), scaled.length + 1
    if 2 * length <= count and count * length <= FACTOR_NUMBERS:
        return Factors(np.hstack([scaled.rows(slice(count)), np.ones((count, 1))]))
    return Streamed(scaled) if count > DENSE_ROWS else _with_bias(gram(scaled))


def radial(distances: Symmetric, gamma: float) -> Dense:
    """Return the kernel exp(-gamma * distance) of squared distances and a bias."""
    strips = [strip * -gamma for strip in distances.strips]
    for strip in strips:
        np.exp(strip, out=strip)
    return _with_bias(Symmetric(strips))


def _with_bias(matrix: Symmetric) -> Dense:
    """Return the kernel with a feature more that is always 1, in place."""
    for strip in matrix.strips:
        strip += 1
    return Dense(matrix)


def _product(matrix: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return a matrix (N, R) times (R, M), several tiles of rows at once."""
    result = np.empty((len(matrix), columns.shape[1]), columns.dtype)

    def multiply(rows: slice) -> None:
        result[rows] = matrix[rows] @ columns

    for _ in ordered_map(multiply, _tiles(len(matrix)), processors()):
        pass
    return result


def _tiles(count: int) -> list[slice]:
    """Return slices of rows, one for a thread at a time."""
    return [slice(begin, min(begin + TILE_ROWS, count)) for begin in range(0, count, TILE_ROWS)]
