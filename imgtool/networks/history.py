"""What a training leaves of its epochs: a row for each, and which of them was the best."""

from __future__ import annotations

from collections.abc import Sequence

History = list[dict[str, float]]


def best_epoch(history: Sequence[dict[str, float]]) -> int:
    """Return the number of the epoch whose weights are kept.

    The one of least error on the validation images, of equal ones that of the least loss, of these the first; without
    validation images the last.
    """
    if "validation_error" not in history[-1]:
        return len(history)
    return int(min(history, key=lambda row: (row["validation_error"], row["validation_loss"]))["epoch"])
