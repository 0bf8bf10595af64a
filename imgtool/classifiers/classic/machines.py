"""What a fitted support vector machine computes and stores: margins of each class, and probabilities from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imgtool.errors import DataError

BLOCK_NUMBERS = 1 << 22  # of kernel values at once


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


@dataclass(frozen=True)
class RadialSVM:
    """A machine with the kernel exp(-gamma * |x - v|^2) on features that are shifted by -mean and scaled by factor (D).

    vectors (V, D) are support vectors, scaled too; with coefficients (V, C) and biases (C) they give margins.
    """

    vectors: np.ndarray
    coefficients: np.ndarray
    biases: np.ndarray
    mean: np.ndarray
    factor: np.ndarray
    gamma: float
    slope: float

    @property
    def length(self) -> int:
        """How many numbers a vector has."""
        return int(self.vectors.shape[1])

    @cached_property
    def _squares(self) -> np.ndarray:
        """The squared length of each support vector."""
        return np.asarray(np.einsum("ij,ij->i", self.vectors, self.vectors))

    def margins(self, features: np.ndarray) -> np.ndarray:
        """Return (N, C), as `LinearSVM.margins`, computed in blocks of images."""
        squares = self._squares
        step = max(1, BLOCK_NUMBERS // len(self.vectors))
        parts = [np.zeros((0, len(self.biases)))]
        for begin in range(0, len(features), step):
            scaled = (features[begin : begin + step] - self.mean) * self.factor
            distances = np.einsum("ij,ij->i", scaled, scaled)[:, None] + squares - 2 * (scaled @ self.vectors.T)
            values = np.exp(-self.gamma * np.maximum(distances, 0))
            parts.append(values.astype(np.float64) @ self.coefficients + self.biases)
        return np.concatenate(parts)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return (N, C); each row adds up to 1."""
        return np.asarray(np.exp(log_softmax(self.slope * self.margins(features))), np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was learned, by name."""
        several = {name: getattr(self, name) for name in ("vectors", "coefficients", "biases", "mean", "factor")}
        single = {name: np.array([getattr(self, name)], np.float32) for name in ("gamma", "slope")}
        return {f"svm.{name}": array for name, array in (several | single).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], classes: int) -> RadialSVM:
        """Return the machine that `arrays` describes. Raises DataError when they do not fit."""
        vectors = arrays.get("svm.vectors")
        if vectors is None or vectors.ndim != 2 or not vectors.size:
            raise DataError("the support vector machine's vectors are missing")
        count, length = vectors.shape
        shapes = {"vectors": (count, length), "coefficients": (count, classes), "biases": (classes,)}
        shapes |= {"mean": (length,), "factor": (length,), "gamma": (1,), "slope": (1,)}
        for name, shape in shapes.items():
            part = arrays.get(f"svm.{name}")
            if part is None or part.dtype.kind != "f" or part.shape != shape:
                raise DataError(f"the support vector machine's {name} of {classes} classes are missing or do not fit")
        gamma, slope = (float(arrays[f"svm.{name}"][0]) for name in ("gamma", "slope"))
        if not min(gamma, slope) > 0:
            raise DataError("the support vector machine's gamma and slope must be positive")
        coefficients, biases, mean, factor = (arrays[f"svm.{name}"] for name in [*shapes][1:5])
        return cls(vectors, coefficients, biases, mean, factor, gamma, slope)


SVM = LinearSVM | RadialSVM


def machine_from(arrays: Mapping[str, np.ndarray], classes: int) -> SVM:
    """Return the machine that `arrays` describes. Raises DataError when they do not fit."""
    return (RadialSVM if "svm.vectors" in arrays else LinearSVM).from_arrays(arrays, classes)


def log_softmax(values: np.ndarray) -> np.ndarray:
    """Return the logarithm of the softmax of each row."""
    shifted = values - values.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
