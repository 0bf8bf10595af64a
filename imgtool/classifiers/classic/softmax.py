"""Multinomial logistic regression on vectors: all classes at once, fitted by L-BFGS (SciPy).

The weights W of rows x, each followed by a 1 for the bias, minimize

    cost * sum_i -log softmax(W x_i)[label_i] + |W|^2 / 2

Where rows are longer than they are many, a triangular factor of the matrix of their products takes their place: it has
the same products, so the fit is the same, and all costs and folds of cross-validation use it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from imgtool.classifiers.classic.kernels import Scaled, blocks, gram
from imgtool.classifiers.classic.machines import LinearSVM, log_softmax
from imgtool.classifiers.classic.svm import CLASS_WEIGHTS, FOLDS, divide, likeliest_slope
from imgtool.classifiers.threshold import chosen_threshold
from imgtool.errors import DataError
from imgtool.events import Events, Progress

COSTS = (1.0, 10.0, 100.0, 1000.0)
FACTOR_ROWS = 15_000  # up to which the triangular matrix is in memory, at 0.9 GB
STEPS = 200  # of L-BFGS
TOLERANCE = 1e-5  # of the gradient's largest entry, for costs of 1
RIDGE = 1e-6  # of the mean square, added to the diagonal so that the factor exists


def fit_softmax(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    *,
    costs: Sequence[float] = COSTS,
    folds: int = FOLDS,
    class_weight: str = CLASS_WEIGHTS[0],
    seed: int = 0,
    events: Events | None = None,
) -> tuple[LinearSVM, dict[str, Any], float]:
    """Fit to features (N, D) and labels (N) in 0 .. classes - 1; every class must occur.

    The cost is the one of `costs` under which cross-validation finds the labels likeliest. Returns the machine, whose
    slope is the temperature's inverse that cross-validation finds, what else it found, and the threshold.
    """
    missing = sorted(set(range(classes)) - set(labels.tolist()))
    if missing or classes < 2:
        raise DataError(f"logistic regression needs images of two classes or more, and of each class; got {classes}")
    tell = events or (lambda _: None)
    total, fold = len(costs) + 1, divide(labels, folds, seed)
    tell(Progress(0, total, "products of all pairs of images"))
    problem = _Problem(Scaled.plain(features), labels, classes, class_weight)
    best: tuple[float, float, np.ndarray | None] = (np.inf, float(min(costs)), None)
    found: dict[str, float] = {}
    for number, cost in enumerate(sorted(costs)):
        if fold is None:  # a class has a single row
            break
        tell(Progress(number, total, f"cross-validation, cost {cost:g}"))
        outside = problem.left_out(float(cost), fold)
        found[f"{cost:g}"] = round(float((outside.argmax(axis=1) == labels).mean()), 5)
        loss = -float(log_softmax(outside)[np.arange(len(labels)), labels].mean())
        best = min(best, (loss, float(cost), outside), key=lambda each: each[0])
    cost, margins = best[1:]
    tell(Progress(total - 1, total, f"fit, cost {cost:g}"))
    weights = problem.weights(problem.fitted(cost, np.ones(len(labels))))
    slope = 1.0 if margins is None else likeliest_slope(margins, labels)
    scores = np.zeros((1, classes)) if margins is None else np.exp(log_softmax(slope * margins))
    tell(Progress(total, total, ""))
    count = 0 if fold is None else int(fold.max()) + 1
    machine = LinearSVM(weights[:, :-1].astype(np.float32), weights[:, -1].astype(np.float32), slope)
    found_all = {"cost": cost, "folds": count, "cross_validated_accuracy": found}
    return machine, found_all, chosen_threshold(scores, labels[: len(scores)])


class _Problem:
    """Rows (N, R) with the products of the features, each followed by a bias, and how much each row counts."""

    def __init__(self, features: Scaled, labels: np.ndarray, classes: int, class_weight: str) -> None:
        self.features, self.labels, self.classes = features, labels, classes
        self.factor = _factor(features) if len(labels) < features.length and len(labels) <= FACTOR_ROWS else None
        counts = np.bincount(labels, minlength=classes)
        self.importance = (len(labels) / (classes * counts) if class_weight == "balanced" else np.ones(classes))[labels]

    def parts(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows and where they stand."""
        if self.factor is not None:
            yield slice(0, len(self.labels)), self.factor
            return
        for where in blocks(len(self.labels), self.features.length):
            yield where, self.features.rows(where)

    def margins(self, weights: np.ndarray) -> np.ndarray:
        """Return (N, classes)."""
        parts = [rows @ weights[:, :-1].T.astype(np.float32) for _, rows in self.parts()]
        return np.asarray(np.concatenate(parts) + weights[:, -1])

    def fitted(self, cost: float, used: np.ndarray) -> np.ndarray:
        """Return weights (classes, R + 1), float64. used: (N), 0 for rows that are left out."""
        from scipy.optimize import minimize

        importance = cost * used * self.importance
        length = (self.features.length if self.factor is None else self.factor.shape[1]) + 1
        truth = self.labels[:, None] == np.arange(self.classes)

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weights = flat.reshape(self.classes, length)
            logs = log_softmax(self.margins(weights).astype(np.float64))
            apart = importance[:, None] * (np.exp(logs) - truth)
            slope = np.concatenate([np.zeros((self.classes, length - 1)), apart.sum(axis=0)[:, None]], axis=1)
            for where, rows in self.parts():
                slope[:, :-1] += apart[where].astype(np.float32).T @ rows
            value = -float((importance * logs[truth]).sum()) + 0.5 * float(flat @ flat)
            return value, (slope + weights).ravel()

        options = {"maxiter": STEPS, "gtol": TOLERANCE * cost, "ftol": 1e-9}
        found = minimize(loss, np.zeros(self.classes * length), jac=True, method="L-BFGS-B", options=options)
        return np.asarray(found.x.reshape(self.classes, length))

    def left_out(self, cost: float, fold: np.ndarray) -> np.ndarray:
        """Return the margins (N, classes) of rows that are left out of the fit, fold by fold."""
        outside = np.empty((len(self.labels), self.classes))
        for number in range(int(fold.max()) + 1):
            is_outside = fold == number
            outside[is_outside] = self.margins(self.fitted(cost, ~is_outside))[is_outside]
        return outside

    def weights(self, found: np.ndarray) -> np.ndarray:
        """Return weights (classes, D + 1) for the features themselves."""
        if self.factor is None:
            return found
        from scipy.linalg import solve_triangular

        coefficients = solve_triangular(self.factor, found[:, :-1].T, trans="T", lower=True, check_finite=False)
        return np.concatenate([self.features.combined(coefficients), found[:, -1:]], axis=1)


def _factor(features: Scaled) -> np.ndarray:
    """Return a triangular matrix (N, N) whose rows have the products of the features."""
    from scipy.linalg import cholesky

    matrix = gram(features).among(np.arange(len(features)))
    matrix[np.diag_indices(len(matrix))] += RIDGE * matrix.diagonal().mean()
    return np.asarray(cholesky(matrix, lower=True, overwrite_a=True, check_finite=False))
