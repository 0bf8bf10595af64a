"""A linear support vector machine, one class against the rest, with probabilities.

Source: Fan et al., "LIBLINEAR", JMLR 2008, whose solver fits it (through scikit-learn, only then imported): squared
hinge loss, Euclidean penalty. Its margins become probabilities by softmax(slope * margins); the slope is the one under
which margins of images left out of the fit (cross-validation on the training part) are likeliest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgtool.classifiers.threshold import THRESHOLD, chosen_threshold
from imgtool.errors import DataError
from imgtool.events import Events, Progress
from imgtool.features.scikit_learn import scikit_learn

COSTS = (0.001, 0.01, 0.1, 1.0, 10.0)
FOLDS = 5


@dataclass(frozen=True)
class LinearSVM:
    """weights (C, D) and biases (C) float32 give margins; slope makes them probabilities."""

    weights: np.ndarray
    biases: np.ndarray
    slope: float

    def margins(self, features: np.ndarray) -> np.ndarray:
        """Return (N, C) signed distances from each class's boundary, in units of its margin."""
        return np.asarray(features @ self.weights.T + self.biases)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return (N, C); each row adds up to 1."""
        return np.asarray(np.exp(_log_softmax(self.slope * self.margins(features))))

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


def fit_svm(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    *,
    costs: Sequence[float] = COSTS,
    folds: int = FOLDS,
    standardize: bool = False,
    seed: int = 0,
    events: Events | None = None,
) -> tuple[LinearSVM, dict[str, Any], float]:
    """Fit the machine to features (N, D) and labels (N) in 0 .. classes - 1; every class must occur.

    The cost (how dear errors are) is the one of `costs` that is right most often in cross-validation, on a tie the
    smaller. standardize: bring each feature to mean 0 and deviation 1 first; the weights stored are for features as
    they come. Returns the machine, what cross-validation found, and the threshold that its scores speak for. Raises
    MissingExtraError without scikit-learn.
    """
    missing = sorted(set(range(classes)) - set(labels.tolist()))
    if missing or classes < 2:
        raise DataError(
            f"a support vector machine needs images of two classes or more, and of each class; got {classes}"
        )
    mean, deviation = _spread(features) if standardize else (0.0, 1.0)
    scaled = ((features - mean) / deviation).astype(np.float32) if standardize else features
    parts = _folds(labels, folds, seed)
    total = len(parts) * len(costs) + 1
    tell = events or (lambda _: None)
    cost, slope, threshold, found = float(costs[0]), 1.0, THRESHOLD, {}
    best = -1.0
    for number, candidate in enumerate(sorted(costs) if parts else []):
        outside = np.zeros((len(labels), classes), np.float32)
        for fold, inside in enumerate(parts):
            tell(Progress(number * len(parts) + fold, total, f"cross-validation, cost {candidate:g}"))
            weights, biases = _fit_once(scaled[~inside], labels[~inside], classes, candidate, seed)
            outside[inside] = scaled[inside] @ weights.T + biases
        accuracy = float((outside.argmax(axis=1) == labels).mean())
        found[f"{candidate:g}"] = round(accuracy, 5)
        if accuracy > best:
            best, cost, slope = accuracy, float(candidate), _likeliest_slope(outside, labels)
            threshold = chosen_threshold(np.exp(_log_softmax(slope * outside)), labels)
    tell(Progress(total - 1, total, f"fit, cost {cost:g}"))
    weights, biases = _fit_once(scaled, labels, classes, cost, seed)
    weights = np.ascontiguousarray(weights / deviation)
    machine = LinearSVM(weights.astype(np.float32), (biases - (weights * mean).sum(axis=1)).astype(np.float32), slope)
    tell(Progress(total, total, ""))
    return machine, {"cost": cost, "folds": len(parts), "cross_validated_accuracy": found}, threshold


def _spread(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each feature, 1 for one that does not vary."""
    mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    return mean, np.where(deviation > 1e-8 * max(deviation.max(), 1e-30), deviation, 1.0)


def _folds(labels: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Return which rows are left out in each fold, every class spread evenly; none if a class has a single row."""
    count = min(folds, int(np.bincount(labels).min()))
    if count < 2:
        return []
    generator = np.random.default_rng(seed)
    fold = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        fold[generator.permutation(rows)] = (np.arange(len(rows)) + label) % count
    return [fold == each for each in range(count)]


def _fit_once(
    features: np.ndarray, labels: np.ndarray, classes: int, cost: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (C, D) and biases (C) fitted by scikit-learn."""
    with scikit_learn("fitting a support vector machine"):
        from sklearn.svm import LinearSVC

        machine = LinearSVC(C=cost, dual="auto", tol=1e-2, max_iter=1000, random_state=seed)
        machine.fit(features, labels)
    weights, biases = machine.coef_, machine.intercept_
    if classes == 2:  # scikit-learn gives the second class's boundary only
        weights, biases = np.concatenate([-weights, weights]), np.concatenate([-biases, biases])
    return weights, biases


def _likeliest_slope(margins: np.ndarray, labels: np.ndarray) -> float:
    """Return the slope under which softmax(slope * margins) gives the labels the highest likelihood.

    As in Platt's method, labels count as slightly uncertain (Laplace's rule of succession), so that a few images that
    are all classified correctly do not give infinite confidence.
    """
    from scipy.optimize import minimize_scalar

    count, classes = margins.shape
    doubt = 1 / (count / classes + classes)
    targets = np.full(margins.shape, doubt)
    targets[np.arange(count), labels] = 1 - (classes - 1) * doubt

    def surprise(exponent: float) -> float:
        return -float((targets * _log_softmax(np.exp(exponent) * margins.astype(np.float64))).sum())

    return float(np.exp(minimize_scalar(surprise, bounds=(-5, 5), method="bounded").x))


def _log_softmax(values: np.ndarray) -> np.ndarray:
    """Return the logarithm of the softmax of each row."""
    shifted = values - values.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
