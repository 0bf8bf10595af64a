"""Drawings as SVG, in pixels that are never scaled up or down, so that letters keep their size on every screen.

What has room for more on a wide screen is drawn twice (`both_widths`), and the style sheet shows one of the two. Colors
are classes of the style sheet, which has others for dark screens; a model's color and shape follow from its number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from imgtool.evaluation.report.markup import Html, join, tag
from imgtool.evaluation.table import visible

NARROW_PIXELS, WIDE_PIXELS = 340, 680  # of a drawing
LETTER_PIXELS = 7.2  # that a letter is wide at most, in the mean over words
COLORS = 6  # of the style sheet; then shapes and dashes differ
MARKERS = (  # circle, square, triangle, diamond; drawn around 0
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "M-4-4h8v8h-8z",
    "M0-5.2l5 8.7h-10z",
    "M0-5.6l5.6 5.6l-5.6 5.6l-5.6-5.6z",
)
DASHES = (None, "6 3", "2 3", "8 3 2 3")


@dataclass(frozen=True)
class Scale:
    """From numbers to pixels. low, high: the numbers at the pixels begin, end; log: by their logarithms."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a number."""
        low, high, value = (math.log(each) if self.log else each for each in (self.low, self.high, value))
        return self.begin + (self.end - self.begin) * (value - low) / (high - low)

    def ticks(self, most: int = 6) -> list[float]:
        """Return round numbers on the scale, `most` at most."""
        return _decades(self.low, self.high, most) if self.log else _round_numbers(self.low, self.high, most)


def _round_numbers(low: float, high: float, most: int) -> list[float]:
    """Return the multiples of the smallest round step that gives few enough."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(step * power for step in (1, 2, 5, 10, 20) if (high - low) / (step * power) <= most - 1)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float, most: int) -> list[float]:
    """Return 1, 2 and 5 in each decade if these are few enough, else 1 and 3, or 1 in some of them."""
    first, last = math.floor(math.log10(low)), math.floor(math.log10(high))
    for digits, stride in (((1, 2, 5), 1), ((1, 3), 1), *(((1,), stride) for stride in range(1, 99))):
        values = [digit * 10.0**power for power in range(first, last + 1, stride) for digit in digits]
        inside = [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(inside) <= most:
            return inside
    return []


def log_scale(values: Iterable[float], begin: float, end: float) -> Scale:
    """Return a scale by logarithms that holds all numbers above 0, with room at both ends."""
    present = list(values)
    low, high = min(present), max(present)
    room = max((high / low) ** 0.08, 1.6)
    return Scale(low / room, high * room, begin, end, log=True)


def svg(width: float, height: float, label: str, *content: object, class_: str | None = None) -> Html:
    """Return a drawing of this size. label: what it shows, for who cannot see it."""
    size = {"width": width, "height": height, "viewBox": f"0 0 {width:g} {height:g}"}
    return tag("svg", *content, **size, role="img", aria_label=label, class_=class_)


def both_widths(draw: Callable[[int], Html]) -> Html:
    """Return a drawing for narrow screens and one for wide ones."""
    narrow, wide = draw(NARROW_PIXELS), draw(WIDE_PIXELS)
    return join([tag("div", narrow, class_="narrow"), tag("div", wide, class_="wide")])


def grid(
    x: Scale,
    y: Scale,
    x_title: str,
    y_title: str,
    *,
    x_label: Callable[[float], str] = "{:g}".format,
    y_label: Callable[[float], str] = "{:g}".format,
    x_ticks: Sequence[float] | None = None,
) -> Html:
    """Return lines at round numbers, these numbers, and what they are of. x_ticks: numbers that count as such."""
    parts = []
    for value in y.ticks():
        parts.append(tag("line", x1=x.begin, x2=x.end, y1=y(value), y2=y(value), class_="rule"))
        parts.append(label(y_label(value), x.begin - 7, y(value) + 4, anchor="end", class_="quiet"))
    for value in x.ticks(max(int((x.end - x.begin) / 40), 2)) if x_ticks is None else x_ticks:
        parts.append(tag("line", x1=x(value), x2=x(value), y1=y.begin, y2=y.begin + 4, class_="rule"))
        parts.append(label(x_label(value), x(value), y.begin + 18, anchor="middle", class_="quiet"))
    parts.append(tag("line", x1=x.begin, x2=x.end, y1=y.begin, y2=y.begin, class_="axis"))
    parts.append(label(x_title, x.end, y.begin + 36, anchor="end"))
    parts.append(label(y_title, 0.0, y.end - 16))
    return join(parts)


def label(words: str, x: float, y: float, *, anchor: str | None = None, class_: str | None = None) -> Html:
    """Return text in a drawing."""
    return tag("text", words, x=x, y=y, text_anchor=anchor, class_=class_)


def color(number: int) -> str:
    """Return the class of a model's color."""
    return f"c{number % COLORS}"


def marker(number: int, x: float, y: float, *, hollow: bool = False, title: str = "") -> Html:
    """Return a model's mark, in its color and shape."""
    kind = f"{color(number)} {'ring' if hollow else 'dot'}"
    more = tag("title", title) if title else ""
    shape = MARKERS[number // COLORS % len(MARKERS)]
    return tag("g", tag("path", d=shape), more, transform=f"translate({x:.1f} {y:.1f})", class_=kind)


def symbol(number: int) -> Html:
    """Return a model's mark as a picture in a line of text."""
    return tag("svg", marker(number, 7, 7), width=14, height=14, aria_hidden="true", class_="symbol")


def curve(number: int, points: Sequence[tuple[float, float]], *, kind: str = "") -> Html:
    """Return a line through points, in a model's color and dashes."""
    dashes = DASHES[number // COLORS % len(DASHES)]
    at = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return tag("polyline", points=at, class_=f"curve {color(number)} {kind}".strip(), stroke_dasharray=dashes)


def width_of(words: str) -> float:
    """Return about how many pixels a text in a drawing takes."""
    return LETTER_PIXELS * len(words)


def shortened(name: str, pixels: float) -> str:
    """Return a name that fits into so many pixels; of a long one both ends."""
    shown, most = visible(name), max(int(pixels / LETTER_PIXELS), 3)
    if len(shown) <= most:
        return shown
    head = (most - 1) // 2
    return f"{shown[: most - 1 - head]}…{shown[len(shown) - head :]}"
