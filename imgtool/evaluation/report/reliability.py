"""How far scores are to be believed: reliability diagrams."""

from __future__ import annotations

from imgtool.evaluation.calibration import Bin, reliability
from imgtool.evaluation.intervals import wilson
from imgtool.evaluation.report.drawing import Scale, color, grid, svg
from imgtool.evaluation.report.markup import Html, folded, join, section, tag
from imgtool.evaluation.report.subject import Model, Subject
from imgtool.evaluation.report.wording import percent, whole_percent

SIDE_PIXELS = 300
MARGINS_PIXELS = (44, 12, 26, 44)  # left, right, top, bottom
FOLDED = 11  # diagrams of further models
READ = (
    "Each dot is a group of images with about the same score of the label: how many of these labels are right, with "
    "the 95 % interval; the larger, the more images. On the dashed line a label with a score of 80 % is right 80 times "
    "of 100; below it the model is too sure, above it not sure enough."
)


def reliability_section(subject: Subject) -> Html:
    """Return the diagram of the best model, those of others folded."""
    if not subject.good:
        return Html()
    best, *others = subject.good
    more = folded("The same of the other models", tag("div", *map(_diagram, others[:FOLDED]), class_="row"))
    return section(
        "How far its scores are to be believed",
        _diagram(best, tag("p", READ), class_="beside"),
        more if others else "",
    )


def _diagram(model: Model, *more: Html, class_: str | None = None) -> Html:
    """Return the diagram of one model, and in words what it shows."""
    left, right, top, bottom = MARGINS_PIXELS
    x, y = Scale(0, 1, left, SIDE_PIXELS - right), Scale(0, 1, SIDE_PIXELS - bottom, top)
    axes = grid(x, y, "score of the label", "labels that are right", x_label=whole_percent, y_label=whole_percent)
    diagonal = tag("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="front")
    dots = [_dot(model, group, x, y) for group in reliability(model.sure, model.hits) if group.n]
    drawing = svg(SIDE_PIXELS, SIDE_PIXELS, f"reliability of {model.name}", axes, diagonal, *dots)
    return tag("figure", drawing, tag("figcaption", _in_words(model), *more), class_=class_)


def _dot(model: Model, group: Bin, x: Scale, y: Scale) -> Html:
    """Return one group: its mean score against the share that is right."""
    n, hits = group.n, round(group.n * group.accuracy)
    low, high = wilson(hits, n)
    across, radius = x(group.score), 2.5 + 6.5 * (n / len(model.hits)) ** 0.5
    interval = tag("line", x1=across, x2=across, y1=y(low), y2=y(high), class_=f"span {color(model.number)}")
    title = tag("title", f"{hits} of {n} are right")
    dot = tag("circle", cx=across, cy=y(hits / n), r=radius)
    return join([interval, tag("g", dot, title, class_=f"disk {color(model.number)}")])


def _in_words(model: Model) -> str:
    """Return how sure a model is in the mean, how often it is right, and its calibration error where that is known."""
    error = model.row.get("calibration_error")
    known = "" if error is None else f" Calibration error: {percent(error)}."
    sure, right = 100 * float(model.sure.mean()), 100 * float(model.hits.mean())
    return f"{model.name}: its mean score is {sure:.0f} %, and {right:.0f} % of its labels are right.{known}"
