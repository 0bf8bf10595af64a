"""Support vector machines with squared hinge loss: many at once, all on one matrix of kernel values.

Newton's method in the margins (Chapelle, "Training a support vector machine in the primal", Neural Computation 2007),
with exact line search (Keerthi and DeCoste, "A modified finite Newton method", JMLR 2005). A machine's coefficients
b minimize

    b'Kb / 2 + sum_i weights_i / 2 * max(0, 1 - signs_i * margins_i)^2,    margins = K b

which is LIBLINEAR's problem where weights are twice the cost and K = XX' + 1: the bias is penalized as a weight of a
feature that is always 1. Given the active rows, those whose margin is below 1, b solves (K + 1 / weights) b = signs
among them and is 0 elsewhere. A small system is solved directly, a large one by conjugate gradients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from imgtool.batch.pool import ordered_map, processors
from imgtool.classifiers.classic.kernels import Dense, Factors, Kernel, Streamed, Symmetric

NEWTON_STEPS = 60
GRADIENT_STEPS = 200  # of conjugate gradients, at most, for one of Newton's
LINE_STEPS = 20
SOLVER_BLOCK = 64  # columns
GUESSED_ROWS, THINNING = 1000, 4  # from so many rows on, machines are first fitted to one row of so many
# Conjugate gradients take about as many passes as the square root of the condition; a pass is a product of rows^2
# numbers, which takes so many times as long as a direct solution takes for each of rows^3.
PASS = 5
DIRECT_BYTES = 1 << 26  # that systems solved at once may take beside a small matrix
LEFT = 0.2  # of what the objective decreases by, after conjugate gradients in one of Newton's steps
ROUGH, FINE = 1e-3, 1e-7  # tolerances: for margins that are only compared, and for a machine that is kept
SINGLE = 1e-6  # the least that products in float32 allow


class Machines(NamedTuple):
    """Of M machines fitted to N rows: coefficients and margins, both (N, M), margins of rows without weight too."""

    coefficients: np.ndarray
    margins: np.ndarray

    @property
    def active(self) -> np.ndarray:
        """(N, M) bool: the support vectors."""
        return np.asarray(self.coefficients != 0)


def fit_machines(
    kernel: Kernel,
    signs: np.ndarray,
    weights: np.ndarray,
    *,
    active: np.ndarray | None = None,
    tolerance: float = FINE,
) -> Machines:
    """Fit M machines, each to its own signs (N, M), -1 or 1, and weights (N, M), 0 for rows that are left out.

    active: support vectors of similar machines to begin with. tolerance: share of the objective that a machine may
    still be above the minimum.
    """
    signs, weights = (np.asarray(each, kernel.dtype) for each in (signs, weights))
    state = _Columns(signs, weights, np.zeros_like(signs), np.zeros_like(signs))
    guess = _guess(kernel, signs, weights) if active is None else active
    if tolerance < ROUGH and kernel.dtype == np.float32:
        _improve(kernel, state, guess, ROUGH)
        guess, tolerance = state.active(), max(tolerance, SINGLE)
    _improve(kernel, state, guess, tolerance)
    return Machines(state.coefficients, state.margins)


def _improve(kernel: Kernel, state: _Columns, guess: np.ndarray, tolerance: float) -> None:
    """Change coefficients and margins to those of the best machines. guess: which rows are active (N, M)."""
    going = np.arange(state.signs.shape[1])
    for step in range(NEWTON_STEPS):
        now = state.some(going)
        active = guess & (now.weights > 0) if step == 0 else now.active()
        target, left = _solved(kernel, now, active, tolerance)
        reached = kernel.product(target)
        lengths, is_near = _line_search(now, target, reached, tolerance)
        state.coefficients[:, going] += lengths * (target - now.coefficients)
        state.margins[:, going] += lengths * (reached - now.margins)
        is_near &= (left <= tolerance * now.height()) & (step > 0)  # of a guess nothing is known
        going = going[~is_near]
        if not len(going):
            return


def _guess(kernel: Kernel, signs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return which rows may be support vectors, (N, M): those of machines fitted to a part of the rows alone."""
    if not isinstance(kernel, Dense) or len(kernel) <= GUESSED_ROWS:
        return np.full(signs.shape, True)
    some = np.arange(0, len(kernel), THINNING)
    coefficients = np.zeros_like(signs)
    fitted = fit_machines(
        Dense(Symmetric.of(kernel.among(some))), signs[some], weights[some] * THINNING, tolerance=ROUGH
    )
    coefficients[some] = fitted.coefficients
    return np.asarray(signs * kernel.product(coefficients) < 1)


class _Columns(NamedTuple):
    """Machines that are being fitted, each (N, M)."""

    signs: np.ndarray
    weights: np.ndarray
    coefficients: np.ndarray
    margins: np.ndarray

    def some(self, columns: np.ndarray) -> _Columns:
        """Return some of the machines."""
        return _Columns(*(each[:, columns] for each in self))

    def active(self) -> np.ndarray:
        """Return which rows have an error."""
        return np.asarray((self.signs * self.margins < 1) & (self.weights > 0))

    def height(self) -> np.ndarray:
        """Return twice the objective of each machine."""
        loss = np.maximum(1 - self.signs * self.margins, 0)
        return np.asarray(_dot(self.coefficients, self.margins) + _dot(self.weights * loss, loss))


def _solved(kernel: Kernel, state: _Columns, active: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients (N, m) that are best if exactly the active rows have margins below 1.

    And a bound on twice how far the objective of each machine is still above that of the best ones.
    """
    found, left = np.zeros_like(state.signs), np.zeros(state.signs.shape[1])
    is_direct = _is_direct(kernel, active.sum(axis=0), state.weights.max(axis=0))

    def solve(column: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.flatnonzero(active[:, column])
        assert not isinstance(kernel, Streamed)
        return rows, _direct(kernel, rows, state.signs[rows, column], state.weights[rows, column], tolerance)

    columns: list[int] = np.flatnonzero(is_direct).tolist()
    largest = 8 * int(active[:, columns].sum(axis=0).max(initial=1)) ** 2
    several = max(1, min(processors(), _direct_bytes(kernel) // largest))
    for column, (rows, values) in zip(columns, ordered_map(solve, columns, several), strict=True):
        found[rows, column] = values
    if not is_direct.all():
        others = np.flatnonzero(~is_direct)
        found[:, others], left[others] = _conjugate_gradients(kernel, state.some(others), active[:, others], tolerance)
    return found, left


def _is_direct(kernel: Kernel, active: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Tell which systems are solved sooner directly, given the number of active rows and the largest weight of each."""
    passes = np.minimum(np.sqrt(1 + weights * kernel.trace), GRADIENT_STEPS)
    if isinstance(kernel, Streamed):
        return np.zeros(len(active), bool)
    if isinstance(kernel, Factors):
        width = kernel.factors.shape[1]
        return np.asarray(active * np.minimum(active, width) <= PASS * passes * len(kernel))
    is_sooner = active**3 <= PASS * passes * len(kernel) ** 2
    return np.asarray(is_sooner & (8 * active**2 <= _direct_bytes(kernel)))


def _direct_bytes(kernel: Kernel) -> int:
    """Return the memory that systems which are solved directly may take: half of the matrix's, or some megabytes."""
    return max(DIRECT_BYTES, kernel.matrix.nbytes // 2 if isinstance(kernel, Dense) else 0)


def _direct(
    kernel: Dense | Factors, rows: np.ndarray, signs: np.ndarray, weights: np.ndarray, tolerance: float
) -> np.ndarray:
    """Return the coefficients of the active rows; in float32 where its rounding is below the tolerance."""
    if isinstance(kernel, Factors) and len(rows) > kernel.factors.shape[1]:
        return _by_factors(kernel.factors[rows], signs, weights)
    rounding = np.finfo(np.float32).eps * weights.max(initial=0) * kernel.trace
    precision = np.float32 if rounding <= 20 * tolerance else np.float64
    try:
        return _by_entries(kernel.among(rows, precision), signs, 1 / weights)
    except np.linalg.LinAlgError:  # by rounding, at costs without bound
        ridge = np.maximum(1 / weights, np.finfo(kernel.dtype).eps * kernel.trace)
        return _by_entries(kernel.among(rows, np.float64), signs, ridge)


def _by_entries(matrix: np.ndarray, signs: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """Return the coefficients of the active rows, given their kernel values (n, n), which are overwritten."""
    np.einsum("ii->i", matrix)[:] += ridge
    return solve_positive(matrix, signs.astype(matrix.dtype))


def _by_factors(factors: np.ndarray, signs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the coefficients of the active rows, given their factors (n, R): by a system of R numbers."""
    scaled = factors * np.sqrt(weights)[:, None]
    matrix = scaled.T @ scaled
    np.einsum("ii->i", matrix)[:] += 1
    return np.asarray(weights * (signs - factors @ solve_positive(matrix, factors.T @ (weights * signs))))


def solve_positive(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the solution x of matrix x = right, a symmetric positive matrix, which is overwritten.

    By Cholesky factors, block by block. Its time goes into NumPy's products, which several threads compute at once;
    SciPy's solvers make all other threads wait. Raises LinAlgError for a matrix that is not positive.
    """
    size, result = len(right), right.copy()
    inverses = list[np.ndarray]()
    for begin in range(0, size, SOLVER_BLOCK):
        end = min(begin + SOLVER_BLOCK, size)
        panel = matrix[begin:, begin:end]
        panel -= matrix[begin:, :begin] @ matrix[begin:end, :begin].T
        inverses.append(np.linalg.inv(np.linalg.cholesky(panel[: end - begin])))
        panel[end - begin :] = panel[end - begin :] @ inverses[-1].T
        result[begin:end] = inverses[-1] @ (result[begin:end] - matrix[begin:end, :begin] @ result[:begin])
    for begin in reversed(range(0, size, SOLVER_BLOCK)):
        end = min(begin + SOLVER_BLOCK, size)
        result[begin:end] -= matrix[end:, begin:end].T @ result[end:]
        result[begin:end] = inverses.pop().T @ result[begin:end]
    return result


def _conjugate_gradients(
    kernel: Kernel, state: _Columns, active: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients of the active rows near the solution, and a bound on twice what is left of the objective.

    Left of it is at most the sum of weights * residual^2 / 2, since (K + 1 / weights)^-1 is at most the weights. It is
    made small beside what the objective has decreased by, or beside the objective itself.
    """
    weights = state.weights * active
    ridge = np.divide(1, weights, out=np.zeros_like(weights), where=active)
    found = state.coefficients * active
    residual = (state.signs - kernel.product(found) - ridge * found) * active
    direction = residual.copy()
    size, bound, height = _dot(residual, residual), _dot(weights * residual, residual), state.height()
    for _ in range(GRADIENT_STEPS):
        loss = residual + ridge * found
        lower = _dot(found, state.signs - loss) + _dot(weights * loss, loss)
        is_going = bound > np.maximum(LEFT * (height - lower), tolerance * height / 2)
        if not is_going.any():
            return found, bound
        image = kernel.product(direction) * active + ridge * direction
        step = _ratio(size, _dot(direction, image)) * is_going
        found += step * direction
        residual -= step * image
        before, size, bound = size, _dot(residual, residual), _dot(weights * residual, residual)
        direction = residual + _ratio(size, before) * direction
    return found, np.where(is_going, 0, bound)  # rounding may be in the way


def _line_search(
    state: _Columns, target: np.ndarray, reached: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each machine should go towards its target, 1 for all the way, and which are then near the minimum.

    The objective along the line is convex and quadratic in pieces; the root of its slope is found by Newton's method,
    kept between the nearest points where the slope was seen to be negative and positive.
    """
    toward, change = target - state.coefficients, reached - state.margins
    linear, square = _dot(state.coefficients, change), _dot(toward, change)
    signed = state.signs * change
    slack, pull = 1 - state.signs * state.margins, state.weights * signed
    loss = np.maximum(slack, 0)
    decrement = _dot(loss, pull) - linear
    is_near = decrement <= tolerance * state.height()
    lengths = np.ones(len(linear))
    low, high = np.zeros(len(linear)), np.full(len(linear), np.inf)
    for _ in range(LINE_STEPS):
        left = slack - lengths.astype(slack.dtype) * signed
        is_lossy = left > 0
        slope = linear + lengths * square - _dot(left * is_lossy, pull)
        low, high = np.where(slope < 0, lengths, low), np.where(slope > 0, lengths, high)
        ahead = lengths - _ratio(slope, square + _dot(signed * is_lossy, pull))
        middle = np.where(np.isfinite(high), (low + np.where(np.isfinite(high), high, 0)) / 2, 2 * lengths)
        ahead = np.where((ahead < low) | (ahead > high), middle, ahead)
        is_done = np.abs(ahead - lengths) <= 1e-3 * lengths
        lengths = ahead
        if (is_done | is_near).all():
            break
    lengths = np.where(is_near, 1, lengths)
    return np.where(decrement > 0, lengths, 0).astype(slack.dtype), is_near


def _dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the product of each pair of columns, summed in float64."""
    return np.asarray(np.einsum("ij,ij->j", first, second, dtype=np.float64))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return the ratio of each pair, 0 where there is nothing to divide by."""
    return np.asarray(np.divide(above, below, out=np.zeros_like(above), where=below > 0))
