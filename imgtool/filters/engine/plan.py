"""Which way a kernel is applied to an image.

The rule of `auto`, which the table in docs/dev/optimizations.md justifies:
- a kernel of rank 1 whose taps are all 1 / number is a running mean;
- another of rank 1 is a column and a row: two products with a banded matrix where both are long, else by OpenCV;
  but 3 by 3 taps with zeros, as Sobel's, on a float32 image are not: see `least_spread`;
- the rest is added up tap by tap, or from 130 taps on (where OpenCV itself turns to a DFT, a slower one) by the
  Fourier transform in tiles.
Sums are float32 where the image or the result is, and for 8-bit images where the result is an integer: they err by
about 1e-7 of what is added up, which moves fewer than one pixel in 10,000 to the next level unless the taps are large.
Else they are float64.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import DTypeLike

from imgtool.errors import ParameterError
from imgtool.filters.engine import direct
from imgtool.filters.engine.banded import BAND_ROWS, correlate_banded
from imgtool.filters.engine.flat import zero_flat_windows
from imgtool.filters.engine.gemm import correlate_gemm
from imgtool.filters.engine.nonfinite import any_nonfinite, restore_nonfinite
from imgtool.filters.engine.padded_view import PaddedView
from imgtool.filters.engine.rounding import OPENCV_DEPTHS, cast_saturating
from imgtool.filters.engine.tiles import correlate_tiles
from imgtool.filters.kernels import is_derivative, require_sum
from imgtool.names import unknown_name

METHODS = ("auto", "direct", "separable", "fft", "gemm")
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
CACHED_PLAN_MAX_TAPS = (
    1 << 13
)  # taps, up to which a plan is kept: for small images making it takes as long as filtering
FFT_FROM_TAPS = {FLOAT32: 130, FLOAT64: 130}
BANDED_FROM_TAPS = {True: 57, False: 150}  # taps a side, of float32 images and of others
OPENCV_DFT_FROM_TAPS = {FLOAT32: 130, FLOAT64: 50}  # taps, of floating images: there its filter2D turns to a DFT
DIRECT_MAX_TAPS = 9  # taps of which some are zero: OpenCV leaves those out, and is as fast as by a column and a row


@dataclass(frozen=True)
class Plan:
    """Taps as they lie on the image (correlation); a column and a row if their rank is 1; method, types, threads."""

    taps: np.ndarray
    factors: direct.Factors | None
    method: str
    wide: np.dtype  # in which sums are added up
    dtype: np.dtype  # of the result
    threads: int
    divisor: float = 0.0
    zeroes_flat: bool = False  # taps that are no whole numbers add up to 0: sums of equal pixels are rounding noise
    spread: int = 0  # rows, one below the other, over which NaN or infinity in a pixel shows; 0: just where it should

    @classmethod
    def of(cls, taps: np.ndarray, method: str, image: np.dtype, dtype: DTypeLike | None, threads: int) -> Plan:
        """Complete what was asked for, for an image of a type."""
        wanted = dtype_of(dtype, FLOAT32 if image == FLOAT32 else FLOAT64)
        if taps.size <= CACHED_PLAN_MAX_TAPS:
            return _cached_plan(taps.tobytes(), taps.shape, method, image, wanted, threads)
        return cls.complete(taps, method, image, wanted, threads)

    @classmethod
    def complete(cls, taps: np.ndarray, method: str, image: np.dtype, wanted: np.dtype, threads: int) -> Plan:
        """Do that."""
        require_sum(taps)
        small = image == np.uint8 and wanted != FLOAT64 and np.linalg.norm(taps) <= 32
        narrow = FLOAT32 in (wanted, image) or small
        factors = separate(taps)
        if method == "separable" and factors is None:
            raise ParameterError("this kernel is no product of a column and a row", hint="method")
        wide = FLOAT32 if narrow else FLOAT64
        if method == "auto":
            method = _choose_method(taps, factors, wide if image.kind == "f" else image, wide)
        divisor = divisor_of(taps) if image.kind != "f" and wanted != FLOAT32 else 0.0
        rounds = wanted.kind == "f" and is_derivative(taps) and not bool((taps == np.rint(taps)).all())
        plan = cls(taps, factors, method, wide, wanted, threads, divisor, rounds and not divisor)
        return replace(plan, spread=plan.least_spread())

    def run(self, view: PaddedView) -> np.ndarray:
        """Return the result; derivatives of flat areas are 0."""
        result = self.sums(view)
        if self.zeroes_flat:
            zero_flat_windows(view, result, self.threads)
        return result

    def sums(self, view: PaddedView) -> np.ndarray:
        """Return the result; what NaN and infinity reach is set apart."""
        source = view.array.dtype
        if self.divisor:
            return self.run_by_division(view)
        if self.dtype.kind != "f" and (source.kind == "f" or self.exceeds_int32(source)):
            return cast_saturating(replace(self, dtype=self.wide).sums(view), self.dtype)
        if source.kind != "f":
            return self.apply(view)
        if source != self.wide:
            view = replace(view, array=view.array.astype(self.wide))
        with np.errstate(all="ignore"):
            result = self.apply(view)
        if not self.spread or not (any_nonfinite(result[:: self.spread]) or any_nonfinite(result[-1:])):
            return result
        carried = view.with_rows().with_columns().array
        if np.isfinite(carried).all():
            return result
        # Not of `carried`: results that no hole reaches are to be the same bits as those of an image without any.
        filled = replace(view, array=np.where(np.isfinite(view.array), view.array, 0))
        return restore_nonfinite(carried, self.taps, self.apply(filled))

    def exceeds_int32(self, source: np.dtype) -> bool:
        """Return whether sums of such pixels may leave the integers that OpenCV rounds to on its way."""
        return self.wide == FLOAT64 and bool(np.abs(self.taps).sum() * np.iinfo(source).max >= 2**31)

    def least_spread(self) -> int:
        """Return over how many rows, one below the other, NaN or infinity in a pixel shows at least.

        One row in so many, and the last, tell whether there is any in the image. 0: nobody need look. OpenCV adds up
        just the taps that are not zero, one by one, unless there are many; of a column and a row it adds up zeros too.
        Running sums carry it down to the last row.
        """
        few = self.taps.size < OPENCV_DFT_FROM_TAPS[self.wide]
        if self.method == "direct" and few and self.taps.any() and stays_nonzero(self.taps, self.wide):
            return 0
        if self.method == "separable" and self.factors and all(each.astype(self.wide).all() for each in self.factors):
            return 0
        if self.method == "box" and self.threads == 1 and self.dtype == self.wide:
            return BAND_ROWS
        tall = self.taps.all() or (self.factors and self.factors[0].all() and self.method != "fft")
        return min(len(self.taps), BAND_ROWS) if tall else 1

    def run_by_division(self, view: PaddedView) -> np.ndarray:
        """Add up whole numbers, exactly, and divide at the end."""
        taps = np.rint(self.taps * self.divisor)
        whole = replace(self, taps=taps, factors=separate(taps), wide=FLOAT64, dtype=FLOAT64, divisor=0.0)
        values = np.rint(whole.apply(view)) / self.divisor
        return cast_saturating(values, self.dtype)

    def apply(self, view: PaddedView) -> np.ndarray:
        """Return the result for finite values."""
        settings = (self.wide, self.dtype, self.threads)
        if self.factors and self.method in ("banded", "separable"):
            correlate = correlate_banded if self.method == "banded" else direct.correlate_separable
            return correlate(view, self.factors, *settings)
        if self.method == "box":
            return direct.correlate_box(view, self.taps[0, 0], *settings)
        methods = {"fft": correlate_tiles, "gemm": correlate_gemm, "direct": direct.correlate_dense}
        return methods[self.method](view, self.taps, *settings)


def dtype_of(dtype: DTypeLike | None, default: np.dtype) -> np.dtype:
    """Return the type of results that is meant. Raises ParameterError for one that there is not."""
    try:
        wanted = default if dtype is None else np.dtype(dtype)
    except (TypeError, ValueError):
        raise unknown_name("type", dtype, map(str, OPENCV_DEPTHS)) from None
    if wanted not in OPENCV_DEPTHS:
        raise ParameterError(f"no result of type {wanted}; there are {', '.join(map(str, OPENCV_DEPTHS))}")
    return wanted


@lru_cache(maxsize=32)
def _cached_plan(
    taps: bytes, shape: tuple[int, ...], method: str, image: np.dtype, wanted: np.dtype, threads: int
) -> Plan:
    return Plan.complete(np.frombuffer(taps).reshape(shape), method, image, wanted, threads)


def _choose_method(taps: np.ndarray, factors: direct.Factors | None, image: np.dtype, wide: np.dtype) -> str:
    """Return what `auto` means here."""
    if factors is None:
        return "fft" if taps.size >= FFT_FROM_TAPS[wide] else "direct"
    if is_uniform(taps) and image != FLOAT64:
        return "box"
    if image == FLOAT32 and taps.size <= DIRECT_MAX_TAPS and not taps.all():
        return "direct"
    return "banded" if min(taps.shape) >= BANDED_FROM_TAPS[image == FLOAT32] else "separable"


def separate(taps: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a column and a row whose product the kernel is, or None when its rank is not 1.

    Rank 1 means that the product differs by no more than 1e-13 of the largest tap.
    """
    row, column = divmod(int(np.abs(taps).argmax()), taps.shape[1])
    peak = taps[row, column]
    if peak == 0:
        return None
    whole = float(peak).is_integer() and bool((taps == np.rint(taps)).all())  # then so are the factors: added up faster
    divisor = np.gcd.reduce(np.int64(taps[:, column])) if whole and abs(peak) < 2**53 else peak
    left = taps[:, column : column + 1] / divisor
    right = taps[row : row + 1] / left[row]
    apart = left * right
    apart -= taps  # in place: for a large kernel, memory for more costs as much as this function
    return (left, right) if max(apart.max(), -apart.min()) <= 1e-13 * abs(peak) else None


def stays_nonzero(taps: np.ndarray, dtype: np.dtype) -> bool:
    """Return whether no tap is so small that it becomes zero in that type."""
    return bool(np.array_equal(taps.astype(dtype) != 0, taps != 0))


def is_uniform(taps: np.ndarray) -> bool:
    """Return whether every tap is 1, or every one 1 / their number."""
    tap = float(taps[0, 0])
    return (tap == 1 or abs(tap * taps.size - 1) < 1e-12) and bool((taps == tap).all())


def divisor_of(taps: np.ndarray) -> float:
    """Return d if all taps are whole multiples of 1 / d, and d is even but no power of two; else 0.

    Sums of integers then often lie just between two levels, where the last bit would decide how they are rounded.
    """
    sizes = np.abs(taps)
    least = float(sizes.min()) or float(sizes.min(initial=np.inf, where=sizes > 0))
    if least < 1e-6:
        return 0.0
    inverse = 1 / least
    d = round(inverse)
    if d % 2 or d & (d - 1) == 0 or abs(inverse - d) > 1e-9 * d:
        return 0.0
    multiples = taps * d
    return float(d) if np.abs(multiples - np.rint(multiples)).max() < 1e-9 else 0.0
