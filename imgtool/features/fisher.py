"""Encodings of a set of local descriptors by one vector: Fisher vector, VLAD, bag of words.

Sources: Perronnin, Sanchez and Mensink, "Improving the Fisher kernel for large-scale image classification", ECCV 2010;
Jegou et al., "Aggregating local descriptors into a compact image representation", CVPR 2010. Formulas, order and
thresholds are those of VLFeat's `vl_fisher_encode` and `vl_vlad_encode`, not scikit-image's, which appends the weights'
gradient and turns the variances' sign.

A codebook is a mixture of K Gaussians in D dimensions with diagonal covariances: means (K, D), covariances (K, D;
variances), priors (K). Everything is computed in the type of the data, float32 or float64.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import float_array
from imgtool.errors import ParameterError

SMALLEST_POSTERIOR = 1e-6  # smaller ones, and components of a smaller prior, count as nothing
SMALLEST_NORM = 1e-12
_BLOCK_ROWS = 512  # of data at once: their posteriors stay in the processor's cache
_MIN_LOGARITHM = -80.0  # logarithms below it count as it: exp of less is a slow, denormal float32


def posteriors(data: ArrayLike, means: ArrayLike, covariances: ArrayLike, priors: ArrayLike) -> np.ndarray:
    """Return (N, K): the probability of each component given each row of data; 0 for components of negligible prior."""
    data, means, covariances, priors = mixture_arrays(data, means, covariances, priors)
    likely = priors >= SMALLEST_POSTERIOR
    shares = _weights(means, covariances, priors)[likely] @ _terms(data - means.mean(axis=0)).T
    _make_posteriors(shares)
    result = np.zeros((len(data), len(priors)), data.dtype)
    result[:, likely] = shares.T
    return result


def fisher_vector(
    data: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    priors: ArrayLike,
    *,
    square_root: bool = True,
    normalized: bool = True,
    fast: bool = False,
) -> np.ndarray:
    """Encode a set of local descriptors as a Fisher vector.

    Parameters
    ----------
    data : array_like, (N, D)
        Local descriptors; float32 is computed in float32, everything else in float64.
    means : array_like, (K, D)
        Means of a mixture of K Gaussians.
    covariances : array_like, (K, D)
        Variances of the Gaussians; positive.
    priors : array_like, (K,)
        Priors of the Gaussians; they add up to 1.
    square_root : bool
        Take the signed square root of each entry.
    normalized : bool
        Scale the vector to Euclidean length 1; with `square_root` this is the improved Fisher vector.
    fast : bool
        Assign each row only to its most likely Gaussian (hard assignment).

    Returns
    -------
    ndarray, (2 K D,)
        Gradients with respect to the means, then the variances; zeros if there are no rows.

    Raises
    ------
    ParameterError
        The arrays are not numbers, or do not fit together.

    Notes
    -----
    Perronnin, Sanchez and Mensink, ECCV 2010, with the formulas, order and thresholds of VLFeat's `vl_fisher_encode`.
    `skimage.feature.fisher_vector` also returns the gradient with respect to the weights, at the beginning, and
    reverses the sign of the variances' gradients.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> means = np.array([[0.0, 0.0], [4.0, 4.0]])
    >>> vector = imgtool.fisher_vector([[0.0, 1.0], [4.0, 4.0]], means, np.ones((2, 2)), [0.5, 0.5])
    >>> vector.round(3).tolist()
    [0.0, 0.566, -0.003, -0.002, -0.476, 0.0, -0.476, -0.476]
    """
    data, means, covariances, priors = mixture_arrays(data, means, covariances, priors)
    mixture = means, covariances, priors
    vector = fisher_of_sums(fisher_sums(data, *mixture, fast=fast), len(data), *mixture)
    if square_root:
        vector = signed_root(vector)
    return unit(vector) if normalized else vector


def vlad(
    data: ArrayLike,
    means: ArrayLike,
    *,
    assignment: ArrayLike | None = None,
    mass: bool = False,
    square_root: bool = False,
    components: bool = False,
    normalized: bool = True,
) -> np.ndarray:
    """Encode a set of local descriptors as a vector of locally aggregated descriptors (VLAD).

    Parameters
    ----------
    data : array_like, (N, D)
        Local descriptors; float32 is computed in float32, everything else in float64.
    means : array_like, (K, D)
        The words.
    assignment : array_like, (N, K), optional
        Weight of each row for each word; default: each row belongs to the nearest mean.
    mass : bool
        Divide each word's sum by its number of rows.
    square_root : bool
        Take the signed square root of each entry.
    components : bool
        Scale each word's part to Euclidean length 1.
    normalized : bool
        Scale the whole vector to Euclidean length 1.

    Returns
    -------
    ndarray, (K D,)
        Word by word; zeros if there are no rows.

    Raises
    ------
    ParameterError
        The arrays are not numbers, or do not fit together.

    Notes
    -----
    Jegou et al., CVPR 2010, as VLFeat's `vl_vlad_encode` computes it.

    Examples
    --------
    >>> import imgtool
    >>> imgtool.vlad([[1.0, 2.0], [5.0, 4.0]], [[0.0, 0.0], [4.0, 4.0]], normalized=False)
    array([1., 2., 1., 0.])
    """
    data, means = word_arrays(data, means)
    if assignment is None:
        shares = _one_hot(nearest_means(data, means), len(means)).astype(data.dtype)
    else:
        shares = float_array(assignment, "assignment", dimensions=2).astype(data.dtype, copy=False)
    if shares.shape != (len(data), len(means)):
        raise ParameterError(f"the assignment must be {(len(data), len(means))}, got {shares.shape}")
    masses = shares.sum(axis=0)[:, None]
    sums = shares.T @ data - masses * means
    if mass:
        sums = np.divide(sums, masses, out=np.zeros_like(sums), where=masses > 0)
    if square_root:
        sums = signed_root(sums)
    if components:
        sums = unit(sums)
    vector = sums.reshape(-1)
    return unit(vector) if normalized else vector


def bag_of_words(data: ArrayLike, means: ArrayLike) -> np.ndarray:
    """Encode a set of local descriptors as a bag of words: each word's share of the rows.

    Parameters
    ----------
    data : array_like, (N, D)
        Local descriptors; float32 is computed in float32, everything else in float64.
    means : array_like, (K, D)
        The words.

    Returns
    -------
    ndarray, (K,)
        Shares, which add up to 1; zeros if there are no rows.

    Raises
    ------
    ParameterError
        The arrays are not numbers, or do not fit together.

    Notes
    -----
    Sivic and Zisserman, ICCV 2003; a row belongs to the nearest mean, the first on ties.

    Examples
    --------
    >>> import imgtool
    >>> imgtool.bag_of_words([[1.0, 2.0], [5.0, 4.0], [9.0, 9.0], [8.0, 8.0]], [[0.0, 0.0], [4.0, 4.0], [9.0, 9.0]])
    array([0.25, 0.25, 0.5 ])
    """
    data, means = word_arrays(data, means)
    counts = np.bincount(nearest_means(data, means), minlength=len(means))
    return (counts / max(len(data), 1)).astype(data.dtype)


def nearest_means(data: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return (N): which of the means (K, D) is nearest to each row of data, the first on ties."""
    data, means = word_arrays(data, means)
    middle = means.mean(axis=0)
    means = means - middle
    halves = 0.5 * (means**2).sum(axis=1)
    found = np.empty(len(data), np.int64)
    for start in range(0, len(data), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        found[rows] = ((data[rows] - middle) @ means.T - halves).argmax(axis=1)
    return found


def signed_root(values: np.ndarray) -> np.ndarray:
    """Return sign(v) sqrt|v|."""
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))


def unit(values: np.ndarray) -> np.ndarray:
    """Return values divided by their Euclidean length along the last axis; zeros stay zeros."""
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, np.asarray(SMALLEST_NORM, values.dtype)))


def fisher_sums(
    data: np.ndarray, means: np.ndarray, covariances: np.ndarray, priors: np.ndarray, *, fast: bool = False
) -> np.ndarray:
    """Return (K, 2D + 1): sums over all rows of q x^2, q x and q, x being counted from the mixture's middle.

    They are all that a Fisher vector needs of the rows, without an array of N x K x D, and add up over parts of them.
    """
    likely = priors >= SMALLEST_POSTERIOR
    weights, middle = _weights(means, covariances, priors)[likely], means.mean(axis=0)
    found = np.zeros_like(weights)
    for start in range(0, len(data), _BLOCK_ROWS):
        found += _sum_terms(_terms(data[start : start + _BLOCK_ROWS] - middle), weights, fast=fast)
    sums = np.zeros((len(means), weights.shape[1]), data.dtype)
    sums[likely] = found
    return sums


def fisher_of_sums(
    sums: np.ndarray, count: int, means: np.ndarray, covariances: np.ndarray, priors: np.ndarray
) -> np.ndarray:
    """Return (2 K D,): the Fisher vector of `count` rows with these sums, without square roots, of any length."""
    dimensions = means.shape[1]
    means = means - means.mean(axis=0)
    second, first, mass = np.split(sums, [dimensions, 2 * dimensions], axis=1)
    by_mean = (first - mass * means) / np.sqrt(covariances)
    by_variance = (second - 2 * means * first + mass * means**2) / covariances - mass
    used = np.where(priors >= SMALLEST_POSTERIOR, priors, np.inf)[:, None] * max(count, 1) ** 2
    return np.concatenate([by_mean / np.sqrt(used), by_variance / np.sqrt(2 * used)]).reshape(-1)


def _sum_terms(terms: np.ndarray, weights: np.ndarray, *, fast: bool) -> np.ndarray:
    """Return (K, 2D + 1): sums of terms (N, 2D + 1) over the rows, each counting for a component by its posterior."""
    shares = weights @ terms.T
    if fast:
        return np.asarray(_one_hot(shares.argmax(axis=0), len(weights)).astype(terms.dtype).T @ terms)
    _make_posteriors(shares)
    cv2.threshold(shares, SMALLEST_POSTERIOR, 0, cv2.THRESH_TOZERO, dst=shares)
    return np.asarray(shares @ terms)


def _weights(means: np.ndarray, covariances: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Return (K, 2D + 1): what x^2, x and 1 count for in the logarithm of p N(x; m, v), without D/2 log(2 pi).

    x and m are counted from the mixture's middle, so that little is lost when the squares cancel.
    """
    means = means - means.mean(axis=0)
    precisions = 1 / covariances
    with np.errstate(divide="ignore"):
        constants = np.log(priors) - 0.5 * (np.log(covariances) + means**2 * precisions).sum(axis=1)
    return np.concatenate([-0.5 * precisions, means * precisions, constants[:, None]], axis=1)


def _terms(data: np.ndarray) -> np.ndarray:
    """Return (N, 2D + 1): x^2, x and 1 of each row."""
    return np.concatenate([data**2, data, np.ones((len(data), 1), data.dtype)], axis=1)


def _make_posteriors(scores: np.ndarray) -> None:
    """Make scores (K, N) exp(scores), divided by the sum of its column, in place."""
    scores -= scores.max(axis=0)
    np.clip(scores, _MIN_LOGARITHM, 0, out=scores)  # in a third of np.maximum's time
    cv2.exp(scores, dst=scores)  # in a third of np.exp's time, the error being as small: 3e-7 of it
    scores /= scores.sum(axis=0)


def _one_hot(chosen: np.ndarray, count: int) -> np.ndarray:
    """Return (N, count) booleans, true at the chosen column of each row."""
    return np.asarray(chosen[:, None] == np.arange(count))


def word_arrays(data: ArrayLike, means: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return data (N, D) and means (K, D) in the data's type: float32, or float64 for any other.

    Raises ParameterError unless they fit together.
    """
    rows = float_array(data, "data", dimensions=2)
    words = float_array(means, "means", dimensions=2).astype(rows.dtype, copy=False)
    if not words.size:
        raise ParameterError(f"the codebook has no numbers: its means have the shape {words.shape}")
    if rows.shape[1] != words.shape[1]:
        raise ParameterError(f"the codebook takes descriptors of {words.shape[1]} numbers, got {rows.shape[1]}")
    return rows, words


def mixture_arrays(
    data: ArrayLike, means: ArrayLike, covariances: ArrayLike, priors: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return data and the parts of a mixture in the data's type. Raises ParameterError unless they fit together."""
    rows, words = word_arrays(data, means)
    variances = float_array(covariances, "covariances", dimensions=2).astype(rows.dtype, copy=False)
    shares = float_array(priors, "priors", dimensions=1).astype(rows.dtype, copy=False)
    if variances.shape != words.shape or shares.shape != (len(words),):
        components, dimensions = words.shape
        raise ParameterError(f"a mixture of {components} components in {dimensions} dimensions has other shapes")
    return rows, words, variances, shares
