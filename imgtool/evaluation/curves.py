"""Curves of a training: loss, error and learning rate over its epochs, drawn by matplotlib (extra `report`)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from imgtool.classifiers.learning import best_row
from imgtool.errors import ParameterError, failed_import
from imgtool.evaluation.table import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 100
SIZE_INCHES = (12.0, 3.8)
TITLE_CHARACTERS = 120
TRAINING_COLOR, VALIDATION_COLOR, RATE_COLOR = "#d95f02", "#1b6ca8", "#555555"


def training_curves(history: Sequence[Mapping[str, Any]], *, title: str = "") -> np.ndarray:
    """Draw loss, error and learning rate over the epochs of a training.

    Parameters
    ----------
    history : sequence of dict
        A row for each epoch: ``model.metrics`` after training, the lines of a ``metrics.jsonl``, or
        ``model.provenance["history"]``. Of each row epoch, loss, error, learning_rate, validation_loss and
        validation_error are drawn; all but the first may be missing.
    title : str
        Written above the curves.

    Returns
    -------
    ndarray, (380, 1200, 3), uint8
        Three panels side by side. A dot marks the epoch whose weights are kept.

    Raises
    ------
    ParameterError
        There is no epoch.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> import imgtool
    >>> model = imgtool.train("sample_images/textures", "two-layer", epochs=3)
    >>> imgtool.training_curves(model.metrics).shape
    (380, 1200, 3)
    """
    if not history:
        raise ParameterError("there is no epoch to draw")
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(SIZE_INCHES, DOTS_PER_INCH, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(_shown(title), fontsize=11, parse_math=False)
    _draw_panels(figure, history)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that the font has no glyph for
        canvas.draw()  # type: ignore[no-untyped-call]
    return np.array(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]


def _shown(title: str) -> str:
    """Return a title that fits above the curves, on one line; of a long one the end."""
    text = visible(title)
    return text if len(text) <= TITLE_CHARACTERS else f"...{text[3 - TITLE_CHARACTERS :]}"


def require_matplotlib() -> None:
    """Raise MissingExtraError where matplotlib is not installed."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # which tells of its caches
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise failed_import("report", "drawing curves", error) from None


def _draw_panels(figure: Figure, history: Sequence[Mapping[str, Any]]) -> None:
    """Draw the three panels."""
    loss, error, rate = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in history]
    watched = all(row.get("validation_error") is not None for row in history)
    best = best_row(history) if watched else None
    for axes, name, scale in ((loss, "loss", 1), (error, "error", 100)):
        for prefix, label, color in (("", "training", TRAINING_COLOR), ("validation_", "validation", VALIDATION_COLOR)):
            values = _numbers(history, prefix + name, scale)
            if np.isfinite(values).any():
                axes.plot(epochs, values, color=color, label=label, marker="o" if len(epochs) == 1 else None)
        if best is not None:
            kept = best[f"validation_{name}"] * scale
            label = f"kept: epoch {best['epoch']}"
            axes.plot([best["epoch"]], [kept], "o", color=VALIDATION_COLOR, label=label)
    if loss.lines:
        loss.legend(frameon=False)
    rate.plot(epochs, _numbers(history, "learning_rate", 1), color=RATE_COLOR, marker="o" if len(epochs) == 1 else None)
    for axes, name in ((loss, "loss"), (error, "error (%)"), (rate, "learning rate")):
        _finish(axes, name, epochs)


def _numbers(history: Sequence[Mapping[str, Any]], name: str, scale: float) -> np.ndarray:
    """Return a column of the history, NaN where there is no number."""
    values = [row.get(name) for row in history]
    return np.array([np.nan if value is None else scale * value for value in values], np.float64)


def _finish(axes: Axes, name: str, epochs: Sequence[int]) -> None:
    """Name and limit the axes; epochs are whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.set_title(name, fontsize=10)
    axes.set_xlabel("epoch")
    axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(color="#e5e5e5")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
