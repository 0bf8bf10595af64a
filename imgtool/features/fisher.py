"""Encodings of a set of local descriptors by one vector: Fisher vector, VLAD, bag of words.

Sources: Perronnin, Sanchez and Mensink, "Improving the Fisher kernel for large-scale image classification", ECCV 2010;
Jegou et al., "Aggregating local descriptors into a compact image representation", CVPR 2010. Formulas, order and
thresholds are those of VLFeat's `vl_fisher_encode` and `vl_vlad_encode`, not scikit-image's, which appends the weights'
gradient and turns the variances' sign.

A codebook is a mixture of K Gaussians in D dimensions with diagonal covariances: means (K, D), covariances (K, D;
variances), priors (K). Everything is computed in the type of the data, float32 or float64.
"""

from __future__ import annotations

import numpy as np

from imgtool.errors import ParameterError

SMALLEST_POSTERIOR = 1e-6  # smaller ones, and components of a smaller prior, count as nothing
SMALLEST_NORM = 1e-12
_ROWS = 512  # of data at once: their posteriors stay in the processor's cache
_FAR = -80.0  # logarithms below it count as it: exp of less is a slow, denormal float32


def posteriors(data: np.ndarray, means: np.ndarray, covariances: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Return (N, K): the probability of each component given each row of data; 0 for components of negligible prior."""
    likely = np.asarray(priors) >= SMALLEST_POSTERIOR
    scores = log_likelihoods(data, means[likely], covariances[likely])
    scores += np.log(priors[likely]).astype(scores.dtype)
    scores -= scores.max(axis=1, keepdims=True)
    np.maximum(scores, scores.dtype.type(_FAR), out=scores)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    if likely.all():
        return scores
    result = np.zeros((len(scores), len(priors)), scores.dtype)
    result[:, likely] = scores
    return result


def log_likelihoods(data: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Return (N, K): the logarithm of each Gaussian's density, without the constant D/2 log(2 pi).

    The squares are expanded into matrix products; data and means are first moved by the mixture's middle, so that
    little is lost by cancellation.
    """
    data, means, covariances = _same_type(data, means, covariances)
    middle = means.mean(axis=0)
    data, means = data - middle, means - middle
    precisions = 1 / covariances
    constants = np.log(covariances).sum(axis=1) + (means**2 * precisions).sum(axis=1)
    scores = (data**2) @ precisions.T
    scores -= 2 * (data @ (means * precisions).T)
    scores += constants
    scores *= -0.5
    return scores


def fisher_vector(
    data: np.ndarray,
    means: np.ndarray,
    covariances: np.ndarray,
    priors: np.ndarray,
    *,
    square_root: bool = True,
    normalized: bool = True,
    fast: bool = False,
) -> np.ndarray:
    """Return the Fisher vector (2KD) of data (N, D): all gradients by the means, then all by the variances.

    square_root and normalized (Euclidean length 1) together are the improved Fisher vector; fast gives each row
    wholly to its likeliest component. No rows give zeros.
    """
    data, means, covariances = _same_type(data, means, covariances)
    _check_shapes(data, means, covariances, priors)
    by_mean, by_variance = _gradients(data, means, covariances, priors, fast=fast)
    used = np.where(priors >= SMALLEST_POSTERIOR, priors, np.inf)[:, None] * max(len(data), 1) ** 2
    vector = np.concatenate([by_mean / np.sqrt(used), by_variance / np.sqrt(2 * used)]).reshape(-1)
    vector = vector.astype(data.dtype, copy=False)
    if square_root:
        vector = signed_root(vector)
    return unit(vector) if normalized else vector


def vlad(
    data: np.ndarray,
    means: np.ndarray,
    *,
    assignment: np.ndarray | None = None,
    mass: bool = False,
    square_root: bool = False,
    components: bool = False,
    normalized: bool = True,
) -> np.ndarray:
    """Return the vector of locally aggregated descriptors (KD) of data (N, D), cluster slowest.

    assignment: (N, K) shares of each row; without it each belongs to the nearest mean. mass: divide each cluster's sum
    by its number of rows; square_root: of each entry; components: length 1 for each cluster; normalized: for all.
    """
    data, means = _same_type(data, means)
    shares = _nearest(data, means) if assignment is None else np.asarray(assignment, data.dtype)
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


def bag_of_words(data: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return the share (K) of rows whose nearest mean each is; zeros for no rows."""
    data, means = _same_type(data, means)
    return np.asarray(_nearest(data, means).sum(axis=0) / max(len(data), 1), data.dtype)


def signed_root(values: np.ndarray) -> np.ndarray:
    """Return sign(v) sqrt|v|."""
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))


def unit(values: np.ndarray) -> np.ndarray:
    """Return values divided by their Euclidean length along the last axis; zeros stay zeros."""
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, np.asarray(SMALLEST_NORM, values.dtype)))


def _shares(probabilities: np.ndarray, *, fast: bool) -> np.ndarray:
    """Return what of each row counts for each component: all for the likeliest, or posteriors without tiny ones."""
    if fast:
        return _one_hot(probabilities.argmax(axis=1), probabilities)
    probabilities[probabilities < SMALLEST_POSTERIOR] = 0
    return probabilities


def _nearest(data: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return (N, K), 1 for the nearest mean (the first on ties) and 0 for the others."""
    scores = log_likelihoods(data, means, np.ones_like(means))
    return _one_hot(scores.argmax(axis=1), scores)


def _one_hot(chosen: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return an array of the same shape, 1 at the chosen column of each row."""
    result = np.zeros_like(like)
    result[np.arange(len(chosen)), chosen] = 1
    return result


def _gradients(
    data: np.ndarray, means: np.ndarray, covariances: np.ndarray, priors: np.ndarray, *, fast: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of q z and q (z^2 - 1), each (K, D), over all rows, z being (x - m) / sigma.

    With q's sums of x and x^2 known, both follow without an array of N x K x D. Around the mixture's middle, as the
    likelihoods.
    """
    middle = means.mean(axis=0)
    data, means = data - middle, means - middle
    mass, first, second = np.zeros((len(means), 1), data.dtype), np.zeros_like(means), np.zeros_like(means)
    for start in range(0, len(data), _ROWS):
        rows = data[start : start + _ROWS]
        shares = _shares(posteriors(rows, means, covariances, priors), fast=fast)
        mass += shares.sum(axis=0)[:, None]
        first += shares.T @ rows
        second += shares.T @ rows**2
    by_mean = (first - mass * means) / np.sqrt(covariances)
    by_variance = (second - 2 * means * first + mass * means**2) / covariances - mass
    return by_mean, by_variance


def _same_type(data: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return all arrays in the data's type: float32, or float64 for any other."""
    kind = np.float32 if data.dtype == np.float32 else np.float64
    return tuple(np.asarray(each, kind) for each in (data, *others))


def _check_shapes(data: np.ndarray, means: np.ndarray, covariances: np.ndarray, priors: np.ndarray) -> None:
    """Raise ParameterError unless data and codebook fit together."""
    components, dimensions = means.shape
    if covariances.shape != means.shape or np.shape(priors) != (components,):
        raise ParameterError(f"a mixture of {components} components in {dimensions} dimensions has other shapes")
    if data.ndim != 2 or data.shape[1] != dimensions:
        raise ParameterError(f"the codebook takes descriptors of {dimensions} numbers, got {data.shape[-1]}")
