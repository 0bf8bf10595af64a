"""How errors fall: with more images to train on, and over the epochs of a network's training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from imgtool.evaluation.report.drawing import (
    NARROW_PIXELS,
    Scale,
    both_widths,
    color,
    curve,
    grid,
    log_scale,
    marker,
    svg,
    symbol,
)
from imgtool.evaluation.report.markup import Html, section, tag
from imgtool.evaluation.report.subject import Model, Subject
from imgtool.evaluation.report.wording import whole_percent

HEIGHT_PIXELS, SMALL_PIXELS = 320, 220
MARGINS_PIXELS = (50, 14, 28, 44)  # left, right, top, bottom
Row = Mapping[str, Any]


def curves_section(subject: Subject) -> Html:
    """Return both kinds of curves, as far as there are any."""
    return section("Learning curves", _sizes(subject), *map(_training, subject.good))


def _sizes(subject: Subject) -> Html:
    """Return errors against the images of a class to train on."""
    numbers = {model.name: model.number for model in subject.good}
    rows = [row for row in subject.record.get("train_sizes", ()) if row["model"] in numbers]
    rows += _of_all_images(subject, {row["model"] for row in rows})
    lines = {name: sorted((row for row in rows if row["model"] == name), key=_images_of_class) for name in numbers}
    if len({_images_of_class(row) for row in rows}) < 2:
        return Html()
    drawing = both_widths(lambda width: _sizes_drawing(rows, lines, numbers, width))
    legend = (tag("span", symbol(numbers[name]), tag("bdi", name)) for name in lines if lines[name])
    note = "top-1 error on the same held-out images after training on fewer, and on all; the lines are 95 % intervals."
    return tag("figure", drawing, tag("div", *legend, class_="legend"), tag("figcaption", note))


def _of_all_images(subject: Subject, names: Collection[str]) -> list[Row]:
    """Return the errors of these models as the table has them, after training on all images."""
    whole = subject.record["counts"].get("train", {})
    per_class = sum(whole.values()) / max(len(whole), 1)
    models = [model for model in subject.good if model.name in names and per_class]
    return [
        {"model": model.name, "per_class": per_class, "error": model.row["top1_error"],
         "interval": model.row["top1_interval"]} for model in models
    ]  # fmt: skip


def _images_of_class(row: Row) -> float:
    """Return how many images of each class were there to train on."""
    return float(row["per_class"])


def _sizes_drawing(
    rows: Sequence[Row], lines: Mapping[str, Sequence[Row]], numbers: Mapping[str, int], width: int
) -> Html:
    """Return the drawing in one width."""
    left, right, top, bottom = MARGINS_PIXELS
    x = log_scale(map(_images_of_class, rows), left, width - right)
    y = Scale(0, min(1.0, 1.05 * max(row["interval"][1] for row in rows)), HEIGHT_PIXELS - bottom, top)
    sizes = sorted({_images_of_class(row) for row in rows})
    ticks = sizes if all(x(b) - x(a) > 30 for a, b in pairwise(sizes)) else None
    title = "images of a class to train on"
    parts = [grid(x, y, title, "top-1 error", x_label="{:.4g}".format, y_label=whole_percent, x_ticks=ticks)]
    for name, points in lines.items():
        places = [(x(_images_of_class(row)), y(row["error"])) for row in points]
        parts.append(curve(numbers[name], places))
        parts += [
            _span(numbers[name], across, row["interval"], y) for (across, _), row in zip(places, points, strict=True)
        ]
        parts += [marker(numbers[name], *place) for place in places]
    return svg(width, HEIGHT_PIXELS, "top-1 error against images to train on", *parts)


def _span(number: int, across: float, ends: Sequence[float], y: Scale) -> Html:
    """Return an interval."""
    return tag("line", x1=across, x2=across, y1=y(ends[0]), y2=y(min(ends[1], y.high)), class_=f"span {color(number)}")


def _training(model: Model) -> Html:
    """Return loss and error over the epochs of a network's training; nothing for other models."""
    history = [row for row in model.scored.predictions.facts.get("history") or () if row.get("loss") is not None]
    if len(history) < 2:
        return Html()
    panels = [_panel(model, history, "loss"), _panel(model, history, "error")]
    watched = any(row.get("validation_loss") is not None for row in history)
    note = "Full lines: training images; faint ones: validation images." if watched else "Of the training images."
    heading = tag("h3", symbol(model.number), tag("bdi", model.name), f", {len(history)} epochs")
    return tag("div", heading, tag("div", *panels, class_="row"), tag("p", note, class_="note"))


def _panel(model: Model, history: Sequence[Row], name: str) -> Html:
    """Return one number over the epochs."""
    curves = {key: [(row["epoch"], row[key]) for row in history if row.get(key) is not None]
              for key in (name, f"validation_{name}")}  # fmt: skip
    values = [value for points in curves.values() for _, value in points]
    if not values:
        return Html()
    left, right, top, bottom = MARGINS_PIXELS
    x = Scale(history[0]["epoch"], history[-1]["epoch"], left, NARROW_PIXELS - right)
    y = Scale(0, 1.05 * max(values) or 1.0, SMALL_PIXELS - bottom, top)
    parts = [grid(x, y, "epoch", f"{name} in training", y_label=whole_percent if name == "error" else "{:g}".format)]
    for key, points in curves.items():
        parts.append(
            curve(model.number, [(x(at), y(value)) for at, value in points], kind="faint" if key != name else "")
        )
    return svg(NARROW_PIXELS, SMALL_PIXELS, f"{name} of {model.name} over its epochs", *parts)
