"""Whether a training came to anything: its result against guessing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from imgtool.classifiers.protocol import Classifier, Trainable
from imgtool.classifiers.start import seen_at_start
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.overlap import is_estimate

GUESSING_P = 0.01  # so probable, by guessing, must a result as good be for it to count as guessed
NEAR_GUESSING = 0.98  # of the loss of guessing, from which on a loss shows nothing
MIN_IMAGES = 20  # of which a share says something
NOT_DIVIDED = "not cross-validated: its cost was not chosen, its scores are not calibrated"


def is_like_guessing(right: int, labels: np.ndarray) -> bool:
    """Tell whether always naming the largest class would be right about as often; binomial test, one-sided."""
    from scipy.special import bdtrc

    return right <= 0 or bool(bdtrc(right - 1, len(labels), _largest_share(labels)) > GUESSING_P)


def _largest_share(labels: np.ndarray) -> float:
    """Return the share of the class that occurs most."""
    return float(np.bincount(labels).max() / len(labels))


def doubt_of(model: Classifier, labels: np.ndarray, validation: np.ndarray | None = None) -> str:
    """Return why a model that was just trained on these labels seems to have learned nothing, else "".

    validation: the labels of a network's validation images, which count where there are enough of them.
    """
    history = model.provenance.get("history") or [{}]
    if "cross_validated_accuracy" in history[-1]:
        return _doubt_of_folds(history[-1], labels)
    if "loss" not in history[-1]:
        return ""
    if "validation_error" in history[-1] and validation is not None and len(validation) >= MIN_IMAGES:
        row = best_row(history)
        right = round((1 - row["validation_error"]) * len(validation))
        return doubt_of_share(right, validation, "validation images")
    return _doubt_of_loss(history[-1], labels)


def was_divided(history: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether what was trained was cross-validated, or is of a kind that is not."""
    return not history or history[-1].get("folds") != 0


def best_row(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the row of the epoch whose weights are kept, by its validation images."""
    return min(history, key=lambda row: (row["validation_error"], row["validation_loss"]))


def doubt_of_share(right: int, labels: np.ndarray, what: str) -> str:
    """Return why so many right of some images show nothing learned; "" where they show something."""
    if len(labels) < MIN_IMAGES or not is_like_guessing(right, labels):
        return ""
    guessed = round(_largest_share(labels) * len(labels))
    return f"learned nothing: {right} of {len(labels)} {what} are right, and always naming one class has {guessed}"


def _doubt_of_folds(found: Mapping[str, Any], labels: np.ndarray) -> str:
    """Return the doubt about a support vector machine, by its cross-validation."""
    accuracies = found["cross_validated_accuracy"].values()
    right = round(max(accuracies, default=1.0) * len(labels))
    return doubt_of_share(right, labels, "images left out in cross-validation")


def _doubt_of_loss(row: Mapping[str, float], labels: np.ndarray) -> str:
    """Return the doubt about a network, by its loss and error on training images."""
    shares = np.bincount(labels)[np.unique(labels)] / len(labels)
    guessing = float(-(shares * np.log(shares)).sum())
    right = round((1 - row["error"]) * len(labels))
    near = row["loss"] >= NEAR_GUESSING * guessing and is_like_guessing(right, labels)
    if row["loss"] < guessing and not near:
        return ""
    losses = f"its loss ended at {row['loss']:.4g}, and guessing has {guessing:.4g}"
    return f"learned nothing: {losses}; another learning rate may help"


def seen_before_lines(model: Trainable, test: Dataset | None) -> Iterator[str]:
    """Yield a line for validation and for held-out images that the weights had seen which training began with."""
    for images, what in ((getattr(model, "validation", None), "validation"), (test, "held-out")):
        if images is not None and (count := seen_at_start(model, images)):
            about = "about " if is_estimate(model.seen_before) else ""
            yield (
                f"its first weights had seen {about}{count} of the {len(images)} {what} images, "
                "whose error says nothing of new ones"
            )
