"""Sparse codes of local descriptors, and their pooling over a spatial pyramid (ScSPM).

Yang, Yu, Gong, Huang, "Linear spatial pyramid matching using sparse coding for image classification", CVPR 2009. A
descriptor x is written with few atoms of a dictionary B (K, D), by the codes u that minimize

    |x - u B|^2 / 2 + penalty sum |u|

The solver is feature-sign search (Lee, Battle, Raina, Ng, "Efficient sparse coding algorithms", NIPS 2006) on many
descriptors at once. The fast alternative is locality-constrained linear coding (Wang et al., CVPR 2010).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import float_array, real_number, whole_number
from imgtool.errors import ParameterError
from imgtool.features.fisher import unit
from imgtool.features.pyramid import cells

PENALTY = 0.15
LEVELS = ("1x1", "2x2", "4x4")
_BLOCK_ROWS = 512  # of descriptors at once
MAX_PENALTY = 1e30  # far beyond every correlation, and well within float32
_SLACK = 8e-4  # by which a correlation may exceed the penalty, relative to it: bounds the objective's excess likewise
_RIDGE = 1e-6  # keeps atoms that are nearly the same from being told apart by rounding
_STEPS = 1000  # far more than a descriptor needs


def sparse_codes(data: ArrayLike, dictionary: ArrayLike, *, penalty: float = PENALTY) -> np.ndarray:
    """Encode local descriptors as sparse sums of a dictionary's atoms.

    Parameters
    ----------
    data : array_like, (N, D)
        Descriptors, computed in float32.
    dictionary : array_like, (K, D)
        Atoms of Euclidean length 1.
    penalty : float
        Weight of ``|u|``; larger values give fewer nonzero codes.

    Returns
    -------
    ndarray, (N, K), float32
        Codes; few of each row are nonzero.

    Raises
    ------
    ParameterError
        The arrays are not numbers or do not fit together, or the penalty is not positive.

    Notes
    -----
    Codes u of a descriptor x minimize ``|x - u B|^2 / 2 + penalty sum |u|`` (Yang et al., CVPR 2009) by feature-sign
    search (Lee et al., NIPS 2006) on many descriptors at once; each objective is within a thousandth of its minimum.
    `sklearn.decomposition.sparse_encode(algorithm="lasso_cd", alpha=penalty)` minimizes the same.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> np.allclose(imgtool.sparse_codes([[0.5, 0.1]], np.eye(2), penalty=0.15), [[0.35, 0.0]])
    True
    """
    rows, atoms = _require_matching(data, dictionary)
    penalty = real_number(penalty, "penalty")
    if not 0 < penalty <= MAX_PENALTY:
        raise ParameterError(f"penalty must be above 0 and up to {MAX_PENALTY:g}, got {penalty}")
    gram = atoms @ atoms.T
    codes = np.zeros((len(rows), len(atoms)), np.float32)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        _Search(rows[block], atoms, gram, penalty).store_codes(codes[block])
    return codes


def objective(data: np.ndarray, codes: np.ndarray, dictionary: np.ndarray, *, penalty: float = PENALTY) -> np.ndarray:
    """Return (N): what the codes of each descriptor cost."""
    rest = data - codes @ dictionary
    return np.asarray(0.5 * (rest**2).sum(axis=1) + penalty * np.abs(codes).sum(axis=1))


class _Search:
    """Feature-sign search: per descriptor a set of active atoms, their signs, and codes that solve for these.

    active, signs, values: (N, A), the first count[n] of a row being in use. A step solves for the active codes. If all
    keep their signs, they stand, and the atom that violates its condition most becomes active; else the codes go
    towards the solution until the first becomes 0, which is no longer active. Each step lowers the objective.
    """

    def __init__(self, data: np.ndarray, dictionary: np.ndarray, gram: np.ndarray, penalty: float) -> None:
        self.data, self.dictionary, self.gram, self.penalty = data, dictionary, gram, penalty
        self.target = data @ dictionary.T
        self.count = np.zeros(len(data), int)
        self.active = np.zeros((len(data), 8), int)
        self.signs = np.zeros(self.active.shape, np.float32)
        self.values = np.zeros(self.active.shape, np.float32)

    def store_codes(self, codes: np.ndarray) -> None:
        """Search to the end, and store the codes (N, K), which are 0 before."""
        live = self._activate_worst(np.arange(len(self.data)))
        for _ in range(_STEPS):
            if not live.size:
                break
            solved = self._solve(live)
            live = np.concatenate([self._activate_worst(live[solved]), live[~solved]])
        used = np.arange(self.active.shape[1]) < self.count[:, None]
        rows = np.nonzero(used)[0]
        codes[rows, self.active[used]] = self.values[used]

    def _solve(self, rows: np.ndarray) -> np.ndarray:
        """Solve for the active codes; return which rows kept all their signs. The others lose an atom."""
        width = int(self.count[rows].max())
        active, signs, old = self.active[rows, :width], self.signs[rows, :width], self.values[rows, :width]
        used = np.arange(width) < self.count[rows][:, None]
        both = used[:, :, None] & used[:, None, :]
        system = np.where(both, self.gram[active[:, :, None], active[:, None, :]], 0)
        system[:, np.arange(width), np.arange(width)] += np.where(used, np.float32(_RIDGE), 1)
        wanted = np.take_along_axis(self.target[rows], active, 1) - np.float32(self.penalty) * signs
        new = np.linalg.solve(system, np.where(used, wanted, 0)[:, :, None])[:, :, 0]
        crossing = used & (new * signs <= 0)
        solved = np.asarray(~crossing.any(axis=1))
        self.values[rows[solved], :width] = new[solved]
        self._drop(rows[~solved], old[~solved], new[~solved], crossing[~solved])
        return solved

    def _drop(self, rows: np.ndarray, old: np.ndarray, new: np.ndarray, crossing: np.ndarray) -> None:
        """Go towards the solution until the first code becomes 0, and remove that atom."""
        share = np.where(crossing, old / np.where(crossing, old - new, 1), np.inf)
        first = share.argmin(axis=1)
        step = np.take_along_axis(share, first[:, None], 1)
        self.values[rows, : old.shape[1]] = old + step * (new - old)
        last = self.count[rows] - 1
        for each in (self.active, self.signs, self.values):
            each[rows, first] = each[rows, last]
        self.values[rows, last] = 0
        self.count[rows] = last

    def _activate_worst(self, rows: np.ndarray) -> np.ndarray:
        """Make the worst violator of each row active; return the rows that had one."""
        width = int(self.count[rows].max(initial=0))
        active, values = self.active[rows, :width], self.values[rows, :width]
        used = np.arange(width) < self.count[rows][:, None]
        codes = np.zeros((len(rows), len(self.dictionary)), np.float32)
        codes[np.nonzero(used)[0], active[used]] = values[used]
        violation = self.target[rows] - (codes @ self.dictionary) @ self.dictionary.T
        size = np.abs(violation)
        size[np.nonzero(used)[0], active[used]] = 0
        worst = size.argmax(axis=1)
        open_ = size[np.arange(len(rows)), worst] > self.penalty * (1 + _SLACK)
        rows, worst, violation = rows[open_], worst[open_], violation[open_]
        if self.count[rows].max(initial=0) == self.active.shape[1]:
            self.active, self.signs, self.values = (
                np.concatenate([each, np.zeros_like(each)], axis=1) for each in (self.active, self.signs, self.values)
            )
        place = self.count[rows]
        self.active[rows, place] = worst
        self.signs[rows, place] = np.sign(violation[np.arange(len(rows)), worst])
        self.values[rows, place] = 0
        self.count[rows] += 1
        return rows


def llc_codes(
    data: ArrayLike, dictionary: ArrayLike, *, neighbors: int = 5, regularization: float = 1e-4
) -> np.ndarray:
    """Return (N, K) float32 codes by locality-constrained linear coding: weights of the nearest atoms, of sum 1.

    neighbors: how many atoms; regularization: of the least squares, relative to the trace of its matrix.
    """
    data, dictionary = _require_matching(data, dictionary)
    neighbors = whole_number(neighbors, "neighbors", high=len(dictionary))
    distances = (dictionary**2).sum(axis=1) - 2 * data @ dictionary.T
    nearest = np.argpartition(distances, neighbors - 1, axis=1)[:, :neighbors]
    apart = dictionary[nearest].astype(np.float64) - data[:, None, :]
    covariance = apart @ apart.transpose(0, 2, 1)
    ridge = regularization * np.trace(covariance, axis1=1, axis2=2) + np.finfo(np.float64).tiny
    covariance += ridge[:, None, None] * np.eye(neighbors)
    weights = np.linalg.solve(covariance, np.ones((*nearest.shape, 1)))[:, :, 0]
    codes = np.zeros((len(data), len(dictionary)), np.float32)
    np.put_along_axis(codes, nearest, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), 1)
    return codes


def learn_dictionary(
    descriptors: ArrayLike,
    *,
    atoms: int = 1024,
    penalty: float = PENALTY,
    passes: int = 2,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> np.ndarray:
    """Return (atoms, D) float32 atoms of length 1 that code the descriptors sparsely.

    Online dictionary learning (Mairal, Bach, Ponce, Sapiro, ICML 2009): descriptors come in small chunks, and after
    each the atoms move to where they would best have coded all so far. An atom that nothing uses becomes a descriptor.
    """
    data = _unit_rows(descriptors)
    if len(data) < atoms:
        raise ParameterError(f"{atoms} atoms need as many descriptors, got {len(data)}")
    generator = np.random.default_rng(seed)
    dictionary = data[generator.choice(len(data), atoms, replace=False)].copy()
    used, wanted = np.zeros((atoms, atoms)), np.zeros((atoms, data.shape[1]))
    order = np.concatenate([generator.permutation(len(data)) for _ in range(passes)])
    chunks = range(0, len(order), _BLOCK_ROWS)
    for chunk, start in enumerate(chunks):
        rows = data[order[start : start + _BLOCK_ROWS]]
        codes = sparse_codes(rows, dictionary, penalty=penalty)
        forget = 1 - 1 / (chunk + 1)  # early chunks were coded with poor atoms
        used = forget * used + codes.T @ codes
        wanted = forget * wanted + codes.T @ rows
        _move(dictionary, used, wanted, data, generator)
        if progress:
            progress(chunk + 1, len(chunks), "dictionary")
    return dictionary


def _move(
    dictionary: np.ndarray, used: np.ndarray, wanted: np.ndarray, data: np.ndarray, generator: np.random.Generator
) -> None:
    """Bring each atom in turn to its best place, given the others."""
    for atom in range(len(dictionary)):
        if used[atom, atom] < 1e-6:
            dictionary[atom] = data[generator.integers(len(data))]
            continue
        moved = dictionary[atom] + (wanted[atom] - used[atom] @ dictionary) / used[atom, atom]
        dictionary[atom] = moved / max(float(np.linalg.norm(moved)), 1e-12)


def max_pool(codes: np.ndarray, where: np.ndarray, *, levels: Sequence[str] = LEVELS) -> np.ndarray:
    """Return the largest absolute code of each atom in each cell of a pyramid, cell by cell, of length 1.

    codes: (N, K); where: (N, 2), as `pyramid.places` gives them. A cell without descriptors has zeros.
    """
    sizes = np.abs(codes)
    largest = [sizes[inside].max(axis=0, initial=0) for inside in cells(where, levels)]
    return unit(np.concatenate(largest))


def _unit_rows(descriptors: ArrayLike) -> np.ndarray:
    """Return the descriptors that are not flat, of length 1, float32."""
    rows = np.asarray(float_array(descriptors, "descriptors", dimensions=2), np.float32)
    return unit(rows[np.abs(rows).max(axis=1, initial=0) > 0])


def _require_matching(data: ArrayLike, dictionary: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float32. Raises ParameterError unless they fit together."""
    rows, atoms = float_array(data, "data", dimensions=2), float_array(dictionary, "dictionary", dimensions=2)
    if rows.shape[1] != atoms.shape[1] or not atoms.size:
        raise ParameterError(f"descriptors {rows.shape} do not fit a dictionary {atoms.shape}")
    return np.asarray(rows, np.float32), np.asarray(atoms, np.float32)
