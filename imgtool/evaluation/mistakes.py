"""The mistakes that a model is surest of, as a sheet of pictures: the true name and the one that it said."""

from __future__ import annotations

import numpy as np

from imgtool.errors import DataError
from imgtool.evaluation.compared import Compared
from imgtool.evaluation.scored import Scored
from imgtool.evaluation.table import visible
from imgtool.image.sheet import (
    GAP_PIXELS,
    SHEET_PIXELS,
    Panel,
    caption_picture,
    fitted,
    panel_pixels,
    panel_sheet,
    text_width,
    to_viewable,
)

COLUMNS = 6


def surest_mistakes(scored: Scored, count: int) -> list[int]:
    """Return the images that a model labels wrong, by index: those with the highest score first."""
    wrong = np.flatnonzero(~scored.hits)
    order = np.argsort(-scored.score[wrong], kind="stable")[:count]
    return [int(index) for index in wrong[order]]


def mistakes_sheet(comparison: Compared, scored: Scored, count: int) -> np.ndarray:
    """Return a model's surest mistakes, RGB uint8: below each image its class, and what the model said, how surely.

    Raises DataError where there are no images: in a data set of vectors.
    """
    if comparison.images is None:
        raise DataError("there are no images to show mistakes of")
    indices = surest_mistakes(scored, count)
    title = f"{visible(scored.model)}: wrong on {scored.wrong:,} of {len(scored.hits):,} images"
    title += f", the {len(indices)} surest mistakes" if len(indices) < scored.wrong else ""
    head = caption_picture(title, min(int(text_width(title)) + 1, SHEET_PIXELS))
    panels = [_panel(comparison, scored, index) for index in indices]
    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    return panel_sheet([[Panel(head)]])[:-GAP_PIXELS] if not rows else _below(head, panel_sheet(rows))


def _panel(comparison: Compared, scored: Scored, index: int) -> Panel:
    """Return one mistake with its caption."""
    assert comparison.images is not None
    picture = fitted(to_viewable(comparison.images(index)), panel_pixels(COLUMNS))
    true, said = visible(comparison.classes[comparison.labels[index]]), visible(scored.classes[scored.said[index]])
    return Panel(picture, f"is {true}\n{100 * scored.score[index]:.0f} % {said}")


def _below(head: np.ndarray, sheet: np.ndarray) -> np.ndarray:
    """Return a sheet below its title."""
    top = np.pad(head, ((GAP_PIXELS, 0), (GAP_PIXELS, GAP_PIXELS), (0, 0)), constant_values=255)
    width = max(top.shape[1], sheet.shape[1])
    parts = [np.pad(each, ((0, 0), (0, width - each.shape[1]), (0, 0)), constant_values=255) for each in (top, sheet)]
    return np.vstack(parts)
