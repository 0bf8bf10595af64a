"""What is taken for what: heat maps of confusions, and the classes that are most often missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imgtool.evaluation.confusion import Confusion, confusion_of
from imgtool.evaluation.report.drawing import both_widths, label, shortened, svg, width_of
from imgtool.evaluation.report.markup import Html, folded, join, section, table, tag
from imgtool.evaluation.report.subject import Model, Subject
from imgtool.evaluation.report.wording import interval, percent

OTHERS = "others"  # above the column of what is none of the classes shown
MAP_CLASSES = 30  # of a heat map at most
FOLDED_MAPS = 5  # of further models
WORST_CLASSES = 10
SHOWN_PAIRS = 10
NAME_PIXELS = {True: 170, False: 96}  # beside a wide heat map and a narrow one
CELL_PIXELS = 40  # at most
UPRIGHT_PIXELS = 13  # of a column, from which on its name fits above it
LEAST_ROW_PIXELS = 15  # so that names have room
NUMBER_PIXELS = 6.6  # of a digit


def confusions_section(subject: Subject) -> Html:
    """Return the heat map of the best model, those of others folded."""
    if not subject.good:
        return Html()
    best, *others = subject.good
    return section(
        "What is taken for what",
        _map(subject, best),
        *(folded(f"The same of {model.name}", _map(subject, model)) for model in others[:FOLDED_MAPS]),
    )


def worst_section(subject: Subject) -> Html:
    """Return the classes that the best model misses most often, the mistakes that occur most, and all classes."""
    if not subject.good:
        return Html()
    best = subject.good[0]
    found = confusion_of(best.scored, subject.classes, subject.labels)
    rows = [row for row in found.by_class() if row["n"]]
    worst = [row for row in rows if row["error"]][:WORST_CLASSES]
    if not worst:
        return section("The worst classes", tag("p", best.name, " is right on every image."))
    by_name = sorted(rows, key=lambda row: subject.classes.index(row["class"]))
    every = folded(f"All {len(rows)} classes", _class_table(by_name)) if len(rows) > len(worst) else ""
    tables = _class_table(worst, f"The largest errors of {best.name}"), _pair_table(found)
    return section("The worst classes", tag("div", *tables, class_="row"), every)


def _class_table(rows: Sequence[Mapping[str, Any]], caption: str = "") -> Html:
    """Return a line for each class: how many images, how many are missed, what they are taken for."""
    lines = []
    for row in rows:
        error = join([percent(row["error"]), " ", tag("small", interval(row["interval"]))])
        bar = tag("span", tag("span", class_="bar", style=f"width: {100 * row['error']:.1f}%"), class_="track")
        taken = join([tag("bdi", row["taken_for"]), f" ({row['taken_for_n']})"]) if row["error"] else ""
        lines.append((tag("bdi", row["class"]), row["n"], round(row["error"] * row["n"]), error, bar, taken))
    headings = ("class", "images", "missed", "error", Html(), "most often taken for")
    return table(headings, lines, "classes cards", caption)


def _pair_table(found: Confusion) -> Html:
    """Return the pairs of classes of which one is most often taken for the other."""
    images = dict(zip(found.classes, found.counts.sum(axis=1).tolist(), strict=True))
    lines = [
        (tag("bdi", row["class"]), tag("bdi", row["taken_for"]), f"{row['n']} of {images[row['class']]}")
        for row in found.commonest(SHOWN_PAIRS)
    ]
    return table(("is", "is taken for", "images"), lines, "words", "The most frequent mistakes")


def _map(subject: Subject, model: Model) -> Html:
    """Return the heat map of a model in both widths, and how it is read."""
    found = confusion_of(model.scored, subject.classes, subject.labels)
    shown = _most_confused(found)
    few = f"The {len(shown)} classes of {len(subject.classes)} with the most mistakes. " if len(shown) < len(
        np.flatnonzero(found.counts.sum(axis=1))) else ""  # fmt: skip
    note = (
        f"{model.name}. {few}A row is what an image is, a column what the model says. Blue is right, orange wrong, and "
        "the more of a row, the darker (by the square root). Numbers are images."
    )
    drawing = both_widths(lambda width: _heat_map(found, shown, f"confusions of {model.name}", width))
    return tag("figure", tag("div", drawing), tag("figcaption", note), class_="beside")


def _most_confused(found: Confusion) -> list[int]:
    """Return the classes of a heat map: all that have images, or those in the most mistakes."""
    present, wrong = np.flatnonzero(found.counts.sum(axis=1)), found.mistakes
    mistakes = wrong.sum(axis=1) + wrong[:, : len(found.classes)].sum(axis=0)
    order = sorted(present, key=lambda at: -mistakes[at])
    return sorted(int(at) for at in order[:MAP_CLASSES])


def _heat_map(found: Confusion, shown: Sequence[int], title: str, width: int) -> Html:
    """Return the drawing in one width."""
    images = found.counts[shown].sum(axis=1)
    counts = np.column_stack([found.counts[np.ix_(shown, shown)], images])
    counts[:, -1] -= counts[:, :-1].sum(axis=1)  # what is none of the classes shown
    names = [found.classes[at] for at in shown]
    rows, columns = len(shown), len(shown) + bool(counts[:, -1].any())
    room = min(NAME_PIXELS[width > 400], max(map(width_of, [*names, OTHERS])))
    cell = min(CELL_PIXELS, (width - room - 8) / columns)
    tall, upright = max(cell, LEAST_ROW_PIXELS), cell >= UPRIGHT_PIXELS
    top = (room if upright else 14) + 6
    left = room + 8
    numbered = names if upright else [f"{at} {name}" for at, name in enumerate(names, 1)]
    parts = [_row_names(numbered, room, top, tall)]
    parts.append(_column_names([*names, OTHERS][:columns], left, top, cell, room if upright else 0))
    numbers = cell >= 4 + NUMBER_PIXELS * len(str(counts.max()))
    for row, column in zip(*np.nonzero(counts[:, :columns]), strict=True):
        place = left + column * cell, top + row * tall
        parts.append(_cell(counts[row, column], images[row], place, (cell, tall), row == column, numbers))
    edge = tag("rect", x=left, y=top, width=columns * cell, height=rows * tall, class_="edge")
    return svg(width, top + rows * tall + 4, title, edge, *parts)


def _row_names(names: Sequence[str], room: float, top: float, tall: float) -> Html:
    """Return what images are, left of the rows."""
    return join(
        label(shortened(name, room), room, top + (row + 0.5) * tall + 4, anchor="end") for row, name in enumerate(names)
    )


def _column_names(names: Sequence[str], left: float, top: float, cell: float, room: float) -> Html:
    """Return what the model says, above the columns: upright names where there is room, else every fifth number."""
    if not room:
        numbered = range(4, len(names), 5)
        return join(label(str(at + 1), left + (at + 0.5) * cell, top - 5, anchor="middle") for at in numbered)
    middles = (left + (at + 0.5) * cell for at in range(len(names)))
    return join(
        tag("text", shortened(name, room), transform=f"translate({middle + 4:.1f} {top - 6:.1f}) rotate(-90)")
        for name, middle in zip(names, middles, strict=True)
    )


def _cell(
    count: int, images: int, place: tuple[float, float], size: tuple[float, float], right: bool, number: bool
) -> Html:
    """Return one cell: shaded by its share of the row, with its count where that fits."""
    (x, y), (wide, tall), kind = place, size, "right" if right else "wrong"
    shade = (count / images) ** 0.5
    parts = [tag("rect", x=x, y=y, width=wide, height=tall, class_=f"cell {kind}", fill_opacity=f"{shade:.2f}")]
    if number:
        dark = f"on-{kind}" if shade > 0.6 else None
        parts.append(label(str(count), x + wide / 2, y + tall / 2 + 4, anchor="middle", class_=dark))
    return join(parts)
