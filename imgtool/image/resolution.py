"""How many pixels an image has to a length, which says how large it is printed; numbers are ratios, as in files."""

from __future__ import annotations

import math
from typing import NamedTuple

Ratio = tuple[int, int]

_METERS: dict[str, Ratio] = {"inch": (127, 5000), "centimeter": (1, 100), "meter": (1, 1)}
_JFIF_UNITS, _JFIF_MAX = ((1, "inch"), (2, "centimeter")), 65535
_MAX = 10_000_000  # pixels of a unit
_MAX_PART = 1 << 32  # of numerators and denominators that files hold


class Resolution(NamedTuple):
    """Pixels across and down, as (numerator, denominator), of an `inch`, a `centimeter` or a `meter`.

    Without a unit, "", only their ratio counts.
    """

    x: Ratio
    y: Ratio
    unit: str

    @classmethod
    def valid(cls, x: Ratio, y: Ratio, unit: str) -> Resolution | None:
        """Return a resolution, None for one that says nothing: none at all, or square pixels of no size."""
        if not all(0 < number < bottom * _MAX for number, bottom in (x, y)):
            return None
        x, y = _reduced(*x), _reduced(*y)
        return cls(x, y, unit) if unit or x != y else None

    def per(self, unit: str) -> tuple[Ratio, Ratio]:
        """Return pixels across and down of another unit; their ratio as it is where there is no unit."""
        (a, b), (c, d) = (_METERS[unit], _METERS[self.unit]) if self.unit and unit else ((1, 1), (1, 1))
        x, y = (_reduced(number * a * d, bottom * b * c) for number, bottom in (self.x, self.y))
        return x, y

    def whole_ratio(self, most: int) -> tuple[int, int]:
        """Return two whole numbers with the ratio of pixels across to those down, none above a limit."""
        x, y = _reduced(self.x[0] * self.y[1], self.y[0] * self.x[1])
        factor = max(1.0, max(x, y) / most)
        return max(1, int(x / factor)), max(1, int(y / factor))

    def turned(self) -> Resolution:
        """Return the resolution of a picture whose rows have become columns."""
        return Resolution(self.y, self.x, self.unit)


def rounded(ratio: Ratio) -> int:
    """Return the whole number next to a ratio, at least 1."""
    number, bottom = ratio
    return max(1, (2 * number + bottom) // (2 * bottom))


def jfif_density(resolution: Resolution) -> tuple[int, int, int] | None:
    """Return JFIF's number of the unit, and whole pixels across and down, in the unit that comes nearest.

    None where these are not within 1 % of the resolution, or too large.
    """
    if not resolution.unit:
        return 0, *resolution.whole_ratio(_JFIF_MAX)
    error, number, x, y = min(_in_whole_pixels(resolution, *unit) for unit in _JFIF_UNITS)
    return (number, x, y) if error <= 0.01 and max(x, y) <= _JFIF_MAX else None


def _in_whole_pixels(resolution: Resolution, number: int, unit: str) -> tuple[float, int, int, int]:
    """Return by how much whole pixels of a unit are wrong, the unit's number, and the pixels."""
    exact = resolution.per(unit)
    x, y = map(rounded, exact)
    error = max(abs(whole * bottom / part - 1) for whole, (part, bottom) in zip((x, y), exact, strict=True))
    return round(error, 9), number, x, y


def _reduced(number: int, bottom: int) -> Ratio:
    """Return a ratio in lowest terms; to six decimals where its parts are larger than files hold."""
    common = math.gcd(number, bottom)
    number, bottom = number // common, bottom // common
    if max(number, bottom) < _MAX_PART:
        return number, bottom
    digits = 1_000_000 if number // bottom < _MAX_PART // 1_000_000 else 1
    return max(1, number * digits // bottom), digits
