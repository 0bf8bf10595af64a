"""`sift-fv-softmax`: Fisher vectors as `sift-fv-svm` has them, and multinomial logistic regression on top.

What a network's last layer computes, on vectors that no network has learned. Scores are its own probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imgtool.classifiers.classic.machines import LinearSVM
from imgtool.classifiers.classic.sift_fv_svm import SiftFisherParameters, SiftFisherSvm
from imgtool.classifiers.classic.softmax import COSTS, fit_softmax
from imgtool.events import Events
from imgtool.parameters import parameter


@dataclass(frozen=True)
class SoftmaxParameters(SiftFisherParameters):
    """What sift-fv-softmax can vary."""

    costs: tuple[float, ...] = parameter(COSTS, "Costs of an error that cross-validation tries.", low=1e-9, high=1e9)


class SiftFisherSoftmax(SiftFisherSvm):
    """Fisher vectors of dense RootSIFT, and softmax regression."""

    groups = {"architecture": SoftmaxParameters()}  # noqa: RUF012

    def fit_machine(
        self, features: np.ndarray, labels: np.ndarray, classes: int, seed: int, events: Events | None
    ) -> tuple[LinearSVM, dict[str, Any], float]:
        """Return the regression fitted to vectors, what cross-validation found, and the threshold."""
        own = self.parameters
        return fit_softmax(
            features,
            labels,
            classes,
            costs=own.costs,
            folds=own.folds,
            class_weight=own.class_weight,
            seed=seed,
            events=events,
        )
