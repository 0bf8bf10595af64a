"""Correlation by the Fourier transform, tile by tile: the spectra's product, less the rim where a tile wraps round.

Overlap-save (Oppenheim, Schafer, Discrete-Time Signal Processing): a tile of T rows gives T - taps + 1 of the result.
"""

from __future__ import annotations

import cv2
import numpy as np

from imgtool.filters.framed import Framed
from imgtool.filters.storing import store
from imgtool.filters.strips import by_strips

# Sides that OpenCV transforms quickly, with the time a sample takes: from 128 x 128 to 800 x 800, measured as
# transform, product and inverse. Powers of two are quickest while a tile stays in the cache.
SIDES = {32: 1.6, 64: 1.4, 128: 1.0, 192: 1.2, 256: 1.1, 320: 1.4, 384: 1.4, 480: 1.35, 640: 1.35, 720: 1.35, 800: 1.35}
APART = 16  # samples between the rows of a tile: rows a power of two apart would share the same lines of the cache


def tile_side(size: int, taps: int) -> int:
    """Return the side of the tiles that cover so many pixels at the least cost."""
    costs = {side: -(-size // (side - taps + 1)) * side * cost for side, cost in SIDES.items() if side >= 1.5 * taps}
    whole = cv2.getOptimalDFTSize(size + taps - 1)
    costs[whole] = whole * (SIDES.get(whole, 1.4) if whole <= 800 else 2.0)
    return min(costs, key=lambda side: costs[side])


def by_tiles(framed: Framed, taps: np.ndarray, wide: np.dtype, dtype: np.dtype, threads: int) -> np.ndarray:
    """Return the correlation, computed as `wide`."""
    sides = tile_side(framed.shape[0], taps.shape[0]), tile_side(framed.shape[1], taps.shape[1])
    spectrum = _tile(sides, wide)
    spectrum[: taps.shape[0], : taps.shape[1]] = taps / (sides[0] * sides[1])
    cv2.dft(spectrum.copy(), dst=spectrum)
    out = np.empty(framed.shape, dtype)

    def fill(begin: int, end: int) -> None:
        block = framed.block(begin, end)
        if block.ndim == 2:
            _row_of_tiles(block, spectrum, taps.shape[1], out[begin:end])
            return
        planes = [np.empty((end - begin, framed.shape[1]), wide) for _ in range(block.shape[2])]
        for channel, plane in enumerate(planes):
            _row_of_tiles(cv2.extractChannel(block, channel), spectrum, taps.shape[1], plane)
        store(cv2.merge(planes), out[begin:end])

    by_strips(framed.shape[0], sides[0] - taps.shape[0] + 1, fill, threads)
    return out


def _row_of_tiles(block: np.ndarray, spectrum: np.ndarray, taps: int, out: np.ndarray) -> None:
    """Fill `out` from the block (height, width) that its rows and columns need."""
    width = spectrum.shape[1]
    step, wide = width - taps + 1, spectrum.dtype
    source, product, result = (_tile(spectrum.shape, wide) for _ in range(3))
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


def _tile(sides: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.zeros((sides[0], sides[1] + APART), dtype)[:, : sides[1]]
