"""What each pixel votes for in a histogram of orientations: a bin and the next, and what it gives to either.

Of 8-bit images all differences are known, so that both stand in a table; of others they are computed strip by strip.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from imgtool.features.differences import SIDE, Differences
from imgtool.features.scratch import scratch

Votes = tuple[np.ndarray, np.ndarray]  # bins, whole numbers, and complex64: what the bin gets, and what the next gets
_MIDDLE = SIDE**2 // 2
_TABLE_ROWS = 64  # computed at once
ANGLE_ERROR = 0.4  # degrees; OpenCV's documentation says about 0.3
_TINY = np.float32(1e-18)  # of squares that float32 cannot hold


@dataclass(frozen=True)
class Between:
    """A vote is divided linearly between the two nearest bins, by the angle: the last one's next is the first.

    bins: that there are. turn: that a whole turn has, bins or twice as many. offset: where the first bin's center is.
    """

    bins: int
    turn: int
    offset: float

    @property
    def directed(self) -> bool:
        """Whether opposite gradients have votes of their own."""
        return self.turn == self.bins

    def exact(self, gx: np.ndarray, gy: np.ndarray) -> Votes:
        """Return the votes of any gradients, in double precision."""
        gx, gy = gx.astype(np.float64), gy.astype(np.float64)
        place = exact_angle(gx, gy) * (self.turn / (2 * np.pi)) - self.offset
        below, size = np.floor(place), np.hypot(gx, gy)
        votes = np.empty(gx.shape, np.complex64)
        votes.imag = upper = size * (place - below)
        votes.real = size - upper
        return (below.astype(np.intp) % self.bins).astype(np.min_scalar_type(self.bins)), votes

    def quick(self, gx: np.ndarray, gy: np.ndarray) -> Votes:
        """Return the votes of the gradients of a strip, float32."""
        place, size = angle_and_size(gx, gy)
        place *= np.float32(self.turn / (2 * np.pi))
        place -= np.float32(self.offset)
        below = np.floor(place, out=scratch("below", gx.shape))
        place -= below
        place *= size
        size -= place
        votes = cv2.merge([size, place], dst=scratch("votes", (*gx.shape, 2))).view(np.complex64)[..., 0]
        return _wrapped(below, self.bins), votes


@dataclass(frozen=True)
class Nearest:
    """A vote goes to the nearest direction of twice as many as there are orientations; the first is that of x.

    In single precision, as in VLFeat: an upright gradient is as near to 80 as to 100 degrees, and the first orientation
    of equally near ones wins. Both numbers of a vote are its size.
    """

    orientations: int
    directed = True

    @property
    def bins(self) -> int:
        """How many there are."""
        return 2 * self.orientations

    def quick(self, gx: np.ndarray, gy: np.ndarray) -> Votes:
        """Return the votes of the gradients of a strip, float32; what OpenCV's angle leaves open is computed."""
        place = np.asarray(cv2.phase(gx, gy, angle=scratch("angle", gx.shape)))
        np.multiply(place, np.float32(self.orientations / np.pi), out=place)
        nearest = np.rint(place, out=scratch("below", gx.shape))
        place -= nearest
        bins = _wrapped(nearest, self.bins)
        margin = 0.5 - ANGLE_ERROR * self.orientations / 180
        doubtful = np.flatnonzero(np.abs(place, out=scratch("product", gx.shape)) > np.float32(margin))
        x, y, near = gx.ravel()[doubtful], gy.ravel()[doubtful], bins.ravel()[doubtful].astype(np.intp)
        nearer = self._nearer(x, y, near, place.ravel()[doubtful]) if margin > 0.25 else self._nearest(x, y)
        bins.ravel()[doubtful] = nearer
        size = _sizes(gx, gy)
        return bins, cv2.merge([size, size], dst=scratch("votes", (*gx.shape, 2))).view(np.complex64)[..., 0]

    exact = quick

    def _nearer(self, gx: np.ndarray, gy: np.ndarray, bins: np.ndarray, beyond: np.ndarray) -> np.ndarray:
        """Return the nearer of each gradient's bin and the next one on the side where it lies."""
        one, other = bins % self.orientations, (bins + np.where(beyond > 0, 1, -1)) % self.orientations
        first, second = np.minimum(one, other), np.maximum(one, other)
        product, product_of_second = self._product(gx, gy, first), self._product(gx, gy, second)
        after = np.abs(product_of_second) > np.abs(product)
        negative = np.where(after, product_of_second, product) < 0
        return np.asarray(np.where(after, second, first) + self.orientations * negative)

    def _nearest(self, gx: np.ndarray, gy: np.ndarray) -> np.ndarray:
        """Return the nearest of all bins."""
        bins, largest = np.zeros(gx.shape, np.intp), np.full(gx.shape, -1, np.float32)
        for k in range(self.orientations):
            product = self._product(gx, gy, np.array([k]))
            size = np.abs(product)
            bins = np.where(size > largest, k + self.orientations * (product < 0), bins)
            np.maximum(largest, size, out=largest)
        return bins

    def _product(self, gx: np.ndarray, gy: np.ndarray, orientations: np.ndarray) -> np.ndarray:
        angles = (np.arange(self.orientations) * np.pi / self.orientations).astype(np.float32)
        return np.asarray(gx * np.cos(angles)[orientations] + gy * np.sin(angles)[orientations])


Scheme = Between | Nearest


def _wrapped(bins: np.ndarray, count: int) -> np.ndarray:
    """Return whole numbers from -1 up to more than twice the count, modulo it, as small integers."""
    kind = np.min_scalar_type(4 * count)
    result: np.ndarray = np.add(bins, np.float32(count), out=bins).astype(kind)
    result -= result // kind.type(count) * kind.type(count)
    return result


def exact_angle(gx: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """Return angles from 0 to a whole turn."""
    angle = np.arctan2(gy + 0.0, gx + 0.0)  # + 0.0 turns -0 into 0
    return np.where(angle < 0, angle + 2 * np.pi, angle)


def angle_and_size(gx: np.ndarray, gy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return angles from 0 to a whole turn and magnitudes of the gradients of a strip, float32.

    OpenCV's angle, which is off by up to 1.7e-4, and one step towards the true one: the sine of what is missing is the
    gradient's product with the direction at right angles to that angle. A seventh of the time of NumPy's arctangent.
    """
    size, product = _sizes(gx, gy), scratch("product", gx.shape)
    angle, cosine, sine = (scratch(name, gx.shape) for name in ("angle", "cosine", "sine"))
    cv2.phase(gx, gy, angle=angle)
    cv2.polarToCart(None, angle, x=cosine, y=sine)  # type: ignore[call-overload]
    np.multiply(gy, cosine, out=product)
    product -= np.multiply(gx, sine, out=sine)
    product /= np.maximum(size, _TINY, out=cosine)
    angle += product
    return angle, size


def _sizes(gx: np.ndarray, gy: np.ndarray) -> np.ndarray:
    size = np.multiply(gx, gx, out=scratch("size", gx.shape))
    return np.sqrt(cv2.accumulateSquare(gy, size), out=size)


def voting(differences: Differences, scheme: Scheme, *, table: bool) -> Callable[[int, int], Votes]:
    """Return a function that gives the votes of the rows first..last-1. table: of 8-bit images."""
    if not table:
        return lambda first, last: scheme.quick(*differences.strongest(first, last))

    def places(first: int, last: int) -> np.ndarray:
        place = differences.places(first, last)
        return place if scheme.directed else np.abs(place, out=place)

    def compute(first: int, last: int) -> Votes:
        place = places(first, last)
        gy = np.rint(place / np.float32(SIDE))
        return scheme.exact(place - SIDE * gy, gy)

    if not _table_pays(scheme, differences.pixels):
        return compute
    bins, votes = vote_table(scheme)

    def look_up(first: int, last: int) -> Votes:
        place = places(first, last)
        if scheme.directed:
            place += _MIDDLE
        whole = place.view(np.int32)
        np.copyto(whole, place, casting="unsafe")
        index = scratch("index", place.shape, np.intp)
        np.copyto(index, whole)  # in two steps in two thirds of the time
        return (
            bins.take(index, out=scratch("bins", place.shape, bins.dtype), mode="clip"),
            votes.take(index, out=scratch("votes", place.shape, np.complex64), mode="clip"),
        )

    return look_up


_pixels_so_far: dict[Scheme, int] = {}


def _table_pays(scheme: Scheme, pixels: int) -> bool:
    """Tell whether there have been as many pixels as a table has entries, which takes as long to make."""
    _pixels_so_far[scheme] = _pixels_so_far.get(scheme, 0) + pixels
    return _pixels_so_far[scheme] >= (SIDE**2 if scheme.directed else _MIDDLE)


@functools.lru_cache(maxsize=4)
def vote_table(scheme: Scheme) -> Votes:
    """Return the votes of every gradient of 8-bit values.

    By 511 gy + gx + _MIDDLE; by |511 gy + gx| where opposite gradients have the same votes, in half of the memory.
    """
    bins = np.empty((SIDE, SIDE), np.min_scalar_type(scheme.bins))
    votes = np.empty((SIDE, SIDE), np.complex64)
    gy, gx = np.mgrid[-255:256, -255:256].astype(np.float32)
    for first in range(0 if scheme.directed else SIDE // 2, SIDE, _TABLE_ROWS):
        rows = slice(first, first + _TABLE_ROWS)
        bins[rows], votes[rows] = scheme.exact(gx[rows], gy[rows])
    first = 0 if scheme.directed else _MIDDLE
    return bins.reshape(-1)[first:].copy(), votes.reshape(-1)[first:].copy()


def overlapping(values: np.ndarray) -> np.ndarray:
    """Return pairs of neighbors in a line of float32 as complex64, one pair beginning at each of them but the last.

    One addition to such a pair adds to both.
    """
    return np.ndarray((len(values) - 1,), np.complex64, values.data, strides=(values.itemsize,))
