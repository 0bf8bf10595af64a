"""Numbers as a reader wants them."""

from __future__ import annotations

from collections.abc import Sequence

SMALLEST_P = 1e-4  # that is written out
UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def percent(share: float) -> str:
    """Return a share in percent, to a tenth."""
    return f"{100 * share:.1f} %"


def whole_percent(share: float) -> str:
    """Return a share in percent, as exactly as it is: of round numbers on an axis."""
    return f"{100 * share:.4g} %"


def interval(ends: Sequence[float]) -> str:
    """Return an interval of shares in percent."""
    return f"{100 * ends[0]:.1f} – {100 * ends[1]:.1f}"


def difference(ends: Sequence[float]) -> str:
    """Return an interval of a difference, which may begin below 0, in percent."""
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}".replace("-", "−")


def probability(p: float) -> str:
    """Return a probability; a very small one by what it is below of."""
    return f"< {SMALLEST_P:g}" if p < SMALLEST_P else f"{p:.2g}"


def figure(value: float) -> str:
    """Return a number to three digits."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def seconds(value: float) -> str:
    """Return a time."""
    if value < 99.5:
        return f"{value:.2g} s"
    return f"{value / 60:.0f} min" if value < 5970 else f"{value / 3600:.1f} h"


def size(count: float) -> str:
    """Return a number of bytes."""
    unit, name = next((pair for pair in UNITS if count >= pair[0]), (1, "byte" if count == 1 else "bytes"))
    return f"{figure(count / unit)} {name}"


def counted(count: int, name: str) -> str:
    """Return how many there are of something."""
    return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"
