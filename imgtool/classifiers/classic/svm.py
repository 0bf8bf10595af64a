"""Fit a support vector machine, one class against the rest, with its cost and its probabilities.

The loss is LIBLINEAR's: squared hinge, Euclidean penalty, the bias penalized too (Fan et al., JMLR 2008). All costs and
all folds of cross-validation use one matrix of kernel values (`kernels`), on which `squared_hinge` fits many machines
at once. Margins become probabilities by softmax(slope * margins); the slope is the one under which margins of images
left out of the fit are likeliest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from imgtool.classifiers.classic.kernels import Kernel, Scaled, gram, linear, radial, squared_distances
from imgtool.classifiers.classic.machines import SVM, LinearSVM, RadialSVM, log_softmax
from imgtool.classifiers.classic.squared_hinge import FINE, ROUGH, fit_machines
from imgtool.classifiers.threshold import chosen_threshold
from imgtool.errors import DataError
from imgtool.events import Events, Progress

COSTS = (0.001, 0.01, 0.1, 1.0, 10.0)
KERNELS = ("linear", "rbf")
GAMMAS = (0.5, 1.0, 2.0)
FOLDS = 5
RADIAL_ROWS = 14_000  # whose distances and kernel values are in memory, at 0.8 GB
CLASS_WEIGHTS = ("none", "balanced")
SEARCH_ROWS = 1000  # from which on costs are compared in two folds; `folds` then judge the one that is chosen
SOLVED_NUMBERS = 1 << 23  # of margins at once: 32 MB, of which the solver has about a dozen


def fit_svm(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    *,
    kernel: str = KERNELS[0],
    costs: Sequence[float] = COSTS,
    gammas: Sequence[float] = GAMMAS,
    folds: int = FOLDS,
    standardize: bool = False,
    class_weight: str = CLASS_WEIGHTS[0],
    seed: int = 0,
    events: Events | None = None,
) -> tuple[SVM, dict[str, Any], float]:
    """Fit the machine to features (N, D) and labels (N) in 0 .. classes - 1; every class must occur.

    The cost (how dear errors are), and of the kernel "rbf" its gamma, are those that are right most often in
    cross-validation, on a tie the smaller. standardize: first bring each feature to mean 0 and the same deviation, so
    that the mean squared length is 1; "rbf" always does, so that the mean squared distance is 2. class_weight:
    "balanced" lets an error count as much for small classes as for large ones. "rbf" learns from at most RADIAL_ROWS
    images, drawn at random. Returns the machine, what cross-validation found, and the threshold that its scores speak
    for.
    """
    missing = sorted(set(range(classes)) - set(labels.tolist()))
    if missing or classes < 2:
        raise DataError(
            f"a support vector machine needs images of two classes or more, and of each class; got {classes}"
        )
    is_radial = kernel == "rbf"
    if is_radial and len(labels) > RADIAL_ROWS:
        rows = _drawn(labels, RADIAL_ROWS, seed)
        features, labels = features[rows], labels[rows]
    tell = events or (lambda _: None)
    trials = [_Trial(cost, gamma) for gamma in (sorted(gammas) if is_radial else [0.0]) for cost in sorted(costs)]
    total = len(trials) + 2
    tell(Progress(0, total, "products of all pairs of images"))
    scaled = Scaled.standardized(features) if standardize or is_radial else Scaled.plain(features)
    kernels, problem = _Kernels(scaled, is_radial), _Problem.of(labels, classes, class_weight)
    fold = divide(labels, folds, seed)
    is_compared = len(trials) > 1 and len(labels) > SEARCH_ROWS
    quick = divide(labels, min(folds, 2), seed) if is_compared else fold
    best, active = _Judged(trials[0], 0.0, None, None), None
    found: dict[str, float] = {}
    for number, trial in enumerate(trials if quick is not None else []):
        tell(Progress(number, total, f"cross-validation, {trial.text()}"))
        assert quick is not None
        judged = problem.judged(kernels.of(trial), trial, quick, active)
        found[trial.key()], active = round(judged.accuracy, 5), judged.active
        best = judged if best.margins is None or judged.accuracy > best.accuracy else best
    tell(Progress(total - 2, total, f"fit, {best.trial.text()}"))
    machines = problem.fitted(kernels.of(best.trial), best.trial, best.active)
    if fold is not None and quick is not fold:
        tell(Progress(total - 1, total, f"cross-validation, {best.trial.text()}"))
        best = problem.judged(kernels.of(best.trial), best.trial, fold, machines != 0)
        found[best.trial.key()] = round(best.accuracy, 5)
    slope = 1.0 if best.margins is None else likeliest_slope(best.margins, labels)
    scores = np.zeros((1, classes)) if best.margins is None else np.exp(log_softmax(slope * best.margins))
    threshold = chosen_threshold(scores, labels[: len(scores)])
    tell(Progress(total, total, ""))
    coefficients = problem.of_each_class(machines)
    record: dict[str, Any] = {"cost": best.trial.cost, "folds": 0 if fold is None else int(fold.max()) + 1}
    record |= {"gamma": best.trial.gamma, "images": len(labels)} if is_radial else {}
    machine: SVM = (
        _linear(scaled, coefficients, slope)
        if not is_radial
        else _radial(scaled, coefficients, best.trial.gamma, slope)
    )
    return machine, record | {"cross_validated_accuracy": found}, threshold


class _Trial(NamedTuple):
    """What cross-validation tries. gamma: 0 for the linear kernel."""

    cost: float
    gamma: float

    def text(self) -> str:
        """Return it for people."""
        return f"gamma {self.gamma:g}, cost {self.cost:g}" if self.gamma else f"cost {self.cost:g}"

    def key(self) -> str:
        """Return its name in the record of a training."""
        return self.text() if self.gamma else f"{self.cost:g}"


class _Kernels:
    """The kernel of each trial; the last one is kept, and so are distances."""

    def __init__(self, scaled: Scaled, is_radial: bool) -> None:
        self._distances = squared_distances(gram(scaled)) if is_radial else None
        self._kernel: Kernel | None = None if is_radial else linear(scaled)
        self._gamma = 0.0

    def of(self, trial: _Trial) -> Kernel:
        """Return the kernel of a trial."""
        if self._kernel is None or self._gamma != trial.gamma:
            assert self._distances is not None
            self._kernel, self._gamma = None, trial.gamma  # its memory is needed
            self._kernel = radial(self._distances, trial.gamma)
        return self._kernel


class _Judged(NamedTuple):
    """A trial, how often it is right, the margins (N, classes) of images when left out, and support vectors (N, M)."""

    trial: _Trial
    accuracy: float
    margins: np.ndarray | None
    active: np.ndarray | None


class _Problem(NamedTuple):
    """Labels (N) as the machines see them: signs (N, M), and weights (N, M) at cost 1. Two classes share a machine."""

    labels: np.ndarray
    signs: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, classes: int, class_weight: str) -> _Problem:
        """Return the problem of telling each class from the rest.

        "balanced", as in scikit-learn: a class counts rows / (classes * its rows) times, and the rest of several
        classes once.
        """
        known = np.arange(classes) if classes > 2 else np.array([1])
        is_class = labels[:, None] == known
        signs = np.where(is_class, np.float32(1), np.float32(-1))
        weights = np.full_like(signs, 2)
        if class_weight == "balanced":
            each = 2 * len(labels) / (classes * np.bincount(labels))
            weights = np.where(is_class | (classes == 2), each[labels][:, None], weights).astype(np.float32)
        return cls(labels, signs, weights)

    def of_each_class(self, values: np.ndarray) -> np.ndarray:
        """Return margins or coefficients (N, classes), given those of the machines."""
        return values if values.shape[1] > 1 else np.concatenate([-values, values], axis=1)

    def fitted(self, kernel: Kernel, trial: _Trial, active: np.ndarray | None) -> np.ndarray:
        """Return the coefficients (N, M) of machines fitted to all rows."""
        parts = [
            fit_machines(
                kernel,
                self.signs[:, some],
                self.weights[:, some] * trial.cost,
                active=None if active is None else active[:, some],
                tolerance=FINE,
            ).coefficients
            for some in _groups(*self.signs.shape)
        ]
        return np.concatenate(parts, axis=1)

    def judged(self, kernel: Kernel, trial: _Trial, fold: np.ndarray, active: np.ndarray | None) -> _Judged:
        """Return how good a trial is by cross-validation. fold: (N), in which each row is left out."""
        count, machines = self.signs.shape
        several = int(fold.max()) + 1
        margins = np.empty_like(self.signs)
        seen = np.zeros(self.signs.shape, bool)
        for some in _groups(count, several * machines):
            part, machine = np.divmod(np.arange(some.start, some.stop), machines)
            is_outside = fold[:, None] == part
            fitted = fit_machines(
                kernel,
                self.signs[:, machine],
                np.where(is_outside, 0, self.weights[:, machine] * trial.cost),
                active=None if active is None else active[:, machine],
                tolerance=ROUGH,
            )
            row, column = np.nonzero(is_outside)
            margins[row, machine[column]] = fitted.margins[row, column]
            row, column = np.nonzero(fitted.active)
            seen[row, machine[column]] = True
        margins = self.of_each_class(margins)
        return _Judged(trial, float((margins.argmax(axis=1) == self.labels).mean()), margins, seen)


def _groups(count: int, machines: int) -> Iterator[slice]:
    """Yield slices of so many machines as are fitted at once to so many rows."""
    step = max(1, SOLVED_NUMBERS // count)
    yield from (slice(begin, min(begin + step, machines)) for begin in range(0, machines, step))


def _linear(scaled: Scaled, coefficients: np.ndarray, slope: float) -> LinearSVM:
    """Return the machine for features as they come, given the coefficients (N, C) of rows that were scaled."""
    weights = scaled.combined(coefficients) * scaled.factor
    biases = coefficients.sum(axis=0, dtype=np.float64) - weights @ scaled.mean
    return LinearSVM(weights.astype(np.float32), biases.astype(np.float32), slope)


def _radial(scaled: Scaled, coefficients: np.ndarray, gamma: float, slope: float) -> RadialSVM:
    """Return the machine of the rows that any class needs."""
    rows = np.flatnonzero(coefficients.any(axis=1))
    rows = rows if len(rows) else np.array([0])
    biases = coefficients.sum(axis=0, dtype=np.float64).astype(np.float32)
    parts = scaled.rows(rows), coefficients[rows].astype(np.float32), biases
    gamma, slope = (float(np.float32(number)) for number in (gamma, slope))  # as they are stored
    return RadialSVM(*parts, scaled.mean, scaled.factor, gamma, slope)


def _drawn(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return so many rows at most, in order, drawn at random, of each class its share and at least one."""
    generator = np.random.default_rng(seed)
    parts = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = max(1, len(rows) * most // len(labels))
        parts.append(generator.choice(rows, count, replace=False))
    return np.sort(np.concatenate(parts))


def divide(labels: np.ndarray, folds: int, seed: int) -> np.ndarray | None:
    """Return in which fold each row is left out, every class spread evenly; None if a class has a single row."""
    count = min(folds, int(np.bincount(labels).min()))
    if count < 2:
        return None
    generator = np.random.default_rng(seed)
    fold = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        fold[generator.permutation(rows)] = (np.arange(len(rows)) + label) % count
    return fold


def likeliest_slope(margins: np.ndarray, labels: np.ndarray) -> float:
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
        return -float((targets * log_softmax(np.exp(exponent) * margins.astype(np.float64))).sum())

    return float(np.exp(minimize_scalar(surprise, bounds=(-5, 5), method="bounded").x))
