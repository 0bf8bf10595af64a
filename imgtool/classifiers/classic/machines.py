"""What a fitted support vector machine computes and stores: margins of each class, and probabilities from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imgtool.errors import DataError


@dataclass(frozen=True)
class LinearSVM:
    """weights (C, D) and biases (C) float32 give margins; slope makes them probabilities."""

    weights: np.ndarray
    biases: np.ndarray
    slope: float

    @property
    def length(self) -> int:
        """How many numbers a vector has."""
        return int(self.weights.shape[1])

    def margins(self, features: np.ndarray) -> np.ndarray:
        """Return (N, C) signed distances from each class's boundary, in units of its margin."""
        return np.asarray(features @ self.weights.T + self.biases)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return (N, C); each row adds up to 1."""
        return np.asarray(np.exp(log_softmax(self.slope * self.margins(features))))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was learned, by name."""
        return {
            "svm.weights": self.weights,
            "svm.biases": self.biases,
            "svm.slope": np.array([self.slope], np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], classes: int) -> LinearSVM:
        """Return the machine that `arrays` describes. Raises DataError when they do not fit."""
        parts = [arrays.get(f"svm.{name}") for name in ("weights", "biases", "slope")]
        weights, biases, slope = parts
        if weights is None or biases is None or slope is None or any(p is None or p.dtype.kind != "f" for p in parts):
            raise DataError("the support vector machine's weights, biases or slope are missing")
        if weights.ndim != 2 or len(weights) != classes or biases.shape != (classes,) or slope.shape != (1,):
            raise DataError(f"a support vector machine of {classes} classes cannot have weights {weights.shape}")
        if not slope[0] > 0:
            raise DataError("the support vector machine's slope must be positive")
        return cls(weights, biases, float(slope[0]))


def log_softmax(values: np.ndarray) -> np.ndarray:
    """Return the logarithm of the softmax of each row."""
    shifted = values - values.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
