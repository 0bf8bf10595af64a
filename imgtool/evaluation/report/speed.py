"""Accuracy against speed, and which models nothing beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from imgtool.evaluation.report.drawing import (
    Scale,
    both_widths,
    color,
    grid,
    label,
    log_scale,
    marker,
    shortened,
    svg,
    width_of,
)
from imgtool.evaluation.report.markup import Html, join, section, tag
from imgtool.evaluation.report.subject import Model, Subject
from imgtool.evaluation.report.wording import percent, whole_percent

HEIGHT_PIXELS = 330
MARGINS_PIXELS = (46, 14, 28, 44)  # left, right, top, bottom
NAME_PIXELS = {True: 175, False: 110}  # of a name in a wide drawing, in a narrow one
LINE_PIXELS = 14

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom
PLACES = (  # of a name beside its mark: how it is anchored, how far right and down
    ("start", 8, -8), ("start", 9, 4), ("end", -9, 4), ("middle", 0, -10), ("middle", 0, 19), ("start", 8, 17),
    ("end", -8, -8), ("end", -8, 17),
)  # fmt: skip


def speed_section(subject: Subject) -> Html:
    """Return the drawing; nothing where fewer than two models have a time."""
    timed = [model for model in subject.good if model.row.get("ms_per_image")]
    if len(timed) < 2:
        return Html()
    front = unbeaten(timed)
    names = ", ".join(model.name for model in timed if model.number in front)
    drawing = both_widths(lambda width: _drawing(timed, front, width))
    verdict = (
        "No model is beaten: what is faster than another is more often wrong."
        if len(front) == len(timed)
        else f"Nothing beats those with a filled mark, {names}: each other model is slower or more often wrong."
    )
    note = f"Lower is more often right, further left is faster; the upright lines are 95 % intervals. {verdict}"
    if any(f'class="over">{model.number + 1}</text>' in drawing for model in timed):  # where its name has no room
        note += " A number is a model's place in the table."
    return section(
        "Accuracy against speed", tag("figure", tag("div", drawing), tag("figcaption", note), class_="beside")
    )


def unbeaten(models: Sequence[Model]) -> set[int]:
    """Return the numbers of the models that no other beats or equals in both error and time, better in one (Pareto)."""
    figures = {model.number: (model.row["top1_error"], model.row["ms_per_image"]) for model in models}
    return {
        number
        for number, (error, time) in figures.items()
        if not any(e <= error and t <= time and (e, t) != (error, time) for e, t in figures.values())
    }


def _drawing(models: Sequence[Model], front: set[int], width: int) -> Html:
    """Return the drawing in one width."""
    left, right, top, bottom = MARGINS_PIXELS
    x = log_scale((model.row["ms_per_image"] for model in models), left, width - right)
    highest = max(model.row["top1_interval"][1] for model in models)
    y = Scale(0, min(1.0, max(0.05, 1.05 * highest)), HEIGHT_PIXELS - bottom, top)
    stairs = _stairs(models, front, x, y)
    line = tag("polyline", points=" ".join(f"{across:.1f},{down:.1f}" for across, down in stairs), class_="front")
    parts = [grid(x, y, "milliseconds an image", "top-1 error", y_label=whole_percent), line]
    boxes = [_around(x(model.row["ms_per_image"]), y(model.row["top1_error"])) for model in models]
    boxes += [
        (left - 3, top - 3, right + 3, bottom + 3) for left, top, right, bottom in map(_span_of, pairwise(stairs))
    ]
    for model in models:
        parts.append(_point(model, x, y, beaten=model.number not in front))
    for model in models:
        at = x(model.row["ms_per_image"]), y(model.row["top1_error"])
        text, place, anchor, box = _name_place(model, *at, boxes, width)
        boxes.append(box)
        parts.append(label(text, *place, anchor=anchor, class_="over"))
    return svg(width, HEIGHT_PIXELS, "top-1 error against milliseconds an image", *parts)


def _point(model: Model, x: Scale, y: Scale, *, beaten: bool) -> Html:
    """Return a model's mark and its interval."""
    row, (low, high) = model.row, model.row["top1_interval"]
    across = x(row["ms_per_image"])
    upright = tag(
        "line", x1=across, x2=across, y1=y(low), y2=y(min(high, y.high)), class_=f"span {color(model.number)}"
    )
    title = f"{model.name}: {percent(row['top1_error'])}, {row['ms_per_image']:.3g} ms"
    return join([upright, marker(model.number, across, y(row["top1_error"]), hollow=beaten, title=title)])


def _stairs(models: Sequence[Model], front: set[int], x: Scale, y: Scale) -> list[Point]:
    """Return the corners of the stairs below and left of which there is no model."""
    corners: list[Point] = []
    best = sorted((model.row["ms_per_image"], model.row["top1_error"]) for model in models if model.number in front)
    for time, error in best:
        if corners:
            corners.append((x(time), corners[-1][1]))
        corners.append((x(time), y(error)))
    return [*corners, (x.end, corners[-1][1])]


def _span_of(ends: tuple[Point, Point]) -> Box:
    """Return what a line from one point to another covers."""
    (x0, y0), (x1, y1) = ends
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _around(x: float, y: float) -> Box:
    """Return what a mark covers."""
    return x - 6, y - 6, x + 6, y + 6


def _name_place(
    model: Model, x: float, y: float, taken: Sequence[Box], width: int
) -> tuple[str, tuple[float, float], str, Box]:
    """Return a name that is free of the others, where it begins or ends, and what it covers; else its number."""
    name = shortened(model.name, NAME_PIXELS[width > 400])
    for text in (name, str(model.number + 1)):
        for anchor, dx, dy in PLACES:
            box = _box(text, x + dx, y + dy, anchor)
            across, down = (MARGINS_PIXELS[0], width), (0, HEIGHT_PIXELS - MARGINS_PIXELS[3])
            inside = across[0] <= box[0] and box[2] <= across[1] and down[0] <= box[1] and box[3] <= down[1]
            if inside and not any(_overlap(box, other) for other in taken):
                return text, (x + dx, y + dy), anchor, box
    return text, (x + 9, y + 4), "start", box


def _box(text: str, x: float, y: float, anchor: str) -> Box:
    """Return what a text covers."""
    wide = width_of(text)
    left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
    return left, y - LINE_PIXELS + 3, left + wide, y + 3


def _overlap(one: Box, other: Box) -> bool:
    """Tell whether two boxes have something in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
