"""Correlation by the Fourier transform, tile by tile: the spectra's product, less the rim where a tile wraps round.

Overlap-save (Oppenheim, Schafer, Discrete-Time Signal Processing): a tile of T rows gives T - taps + 1 of the result.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import cv2
import numpy as np

from imgtool.filters.engine.padded_view import PaddedView
from imgtool.filters.engine.rounding import store
from imgtool.filters.engine.strips import Fill, fill_by_strips

# Sides that OpenCV transforms quickly, and nanoseconds a sample for the transform, the product and the inverse.
SAMPLE_NANOSECONDS = {
    32: 4.0,
    64: 2.9,
    96: 2.7,
    128: 2.0,
    144: 2.7,
    160: 2.5,
    192: 2.5,
    216: 2.8,
    240: 2.7,
    256: 2.2,
    288: 3.1,
    320: 3.3,
    384: 2.9,
    432: 2.8,
    480: 2.8,
    512: 2.9,
    576: 2.8,
    640: 2.7,
    720: 2.7,
    800: 2.7,
}
OTHER_SIDE_NANOSECONDS = 9.0  # the same for others, which may leave the cache
TILE_NANOSECONDS = 10_000.0  # nanoseconds a tile, whatever its size
THREADS_FROM_PIXELS = 1 << 22  # pixels of an image that is worth more than one thread
ROW_GAP_SAMPLES = (
    16  # samples between the rows of a tile: rows a power of two apart would share the same lines of the cache
)


@lru_cache(maxsize=256)
def tile_sides(shape: tuple[int, int], taps: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width of tiles that cover an image at the least cost, its border's included."""
    high, wide = (_sides(*pair) for pair in zip(shape, taps, strict=True))

    def cost(tile: tuple[int, int]) -> float:
        pairs = list(zip(shape, taps, tile, strict=True))
        rows, columns = (-(-size // (side - reach + 1)) for size, reach, side in pairs)
        uneven = (
            rows == 3 and math.prod(shape) >= THREADS_FROM_PIXELS
        )  # two threads take as long for three rows as for four
        number = (rows + uneven) * columns
        sample = sum(SAMPLE_NANOSECONDS.get(side, OTHER_SIDE_NANOSECONDS) for side in tile) / 2
        return (number + 0.5) * (tile[0] * tile[1] * sample + TILE_NANOSECONDS)  # 0.5: the kernel's own transform

    return min(itertools.product(high, wide), key=cost)


def _sides(size: int, taps: int) -> list[int]:
    """Return the sides to choose from: those that give more than they repeat, up to one that holds all."""
    whole = int(cv2.getOptimalDFTSize(size + taps - 1))
    return [side for side in SAMPLE_NANOSECONDS if 1.5 * taps <= side < whole] + [whole]


def correlate_tiles(view: PaddedView, taps: np.ndarray, wide: np.dtype, dtype: np.dtype, threads: int) -> np.ndarray:
    """Return the correlation, computed as `wide`."""
    sides = tile_sides(view.shape[:2], taps.shape)
    step, width = sides[0] - taps.shape[0] + 1, view.shape[1]
    corner, spectrum = _tiles(2, sides, wide)
    corner[: taps.shape[0], : taps.shape[1]] = taps / (sides[0] * sides[1])
    cv2.dft(corner, dst=spectrum)
    out = np.empty(view.shape, dtype)

    def make() -> Fill:
        tiles = _tiles(3, sides, wide)
        planes = [np.empty((step, width), wide) for _ in range(math.prod(view.shape[2:])) if out.ndim > 2]

        def fill(begin: int, end: int) -> None:
            block = view.block(begin, end)
            if block.ndim == 2:
                _row_of_tiles(block, spectrum, taps.shape[1], tiles, out[begin:end])
                return
            done = [plane[: end - begin] for plane in planes]
            for channel, plane in enumerate(done):
                _row_of_tiles(cv2.extractChannel(block, channel), spectrum, taps.shape[1], tiles, plane)
            store(cv2.merge(done), out[begin:end])

        return fill

    fill_by_strips(view.shape[0], step, make, threads)
    return out


def _row_of_tiles(block: np.ndarray, spectrum: np.ndarray, taps: int, tiles: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` from the block (height, width) that its rows and columns need."""
    source, product, result = tiles
    width = spectrum.shape[1]
    step = width - taps + 1
    for x in range(0, out.shape[1], step):
        part = block[:, x : x + width]
        source[: part.shape[0], : part.shape[1]] = part
        source[part.shape[0] :] = 0
        source[:, part.shape[1] :] = 0
        cv2.dft(source, dst=product)
        cv2.mulSpectrums(product, spectrum, 0, c=product, conjB=True)
        cv2.idft(product, dst=result)
        columns = out[:, x : x + step]
        store(result[: out.shape[0], : columns.shape[1]], columns)


def _tiles(number: int, sides: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    return np.zeros((number, sides[0], sides[1] + ROW_GAP_SAMPLES), dtype)[:, :, : sides[1]]
