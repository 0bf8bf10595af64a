"""Fisher vectors, VLAD and posteriors against VLFeat (tests/reference/fisher.npz), SciPy and scikit-learn."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.errors import ParameterError
from imgtool.features.fisher import bag_of_words, fisher_vector, nearest_means, posteriors, vlad
from locations import REFERENCE

FISHER = np.load(REFERENCE / "fisher.npz")
DATA = FISHER["data"]
MIXTURE = FISHER["means"], FISHER["covariances"], FISHER["priors"]
PLAIN = {"square_root": False, "normalized": False}
FORMS = {
    "plain": PLAIN,
    "square_root": {"normalized": False},
    "normalized": {"square_root": False},
    "improved": {},
    "fast": {**PLAIN, "fast": True},
    "improved_fast": {"fast": True},
}
VLAD_FORMS = {
    "default": {},
    "unnormalized": {"normalized": False},
    "components": {"components": True},
    "square_root": {"square_root": True},
    "mass": {"mass": True},
    "components_sqrt": {"components": True, "square_root": True},
    "mass_unnormalized": {"mass": True, "normalized": False},
    "all": {"mass": True, "square_root": True, "components": True},
}


def equal(actual, expected, tolerance=1e-10):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("form", FORMS)
def test_fisher_equals_vlfeat(form):
    found = fisher_vector(DATA, *MIXTURE, **FORMS[form])
    assert found.dtype == np.float64
    equal(found, FISHER[f"fisher_{form}"])


@pytest.mark.parametrize("form", FORMS)
def test_fisher_in_single_precision_equals_vlfeats(form):
    found = fisher_vector(DATA.astype(np.float32), *MIXTURE, **FORMS[form])
    assert found.dtype == np.float32
    equal(found, FISHER[f"fisher_f32_{form}"], 1e-5)


def test_negligible_components_give_zeros():
    tiny = FISHER["priors_tiny"]
    equal(fisher_vector(DATA, *MIXTURE[:2], tiny, **PLAIN), FISHER["fisher_plain_tinyprior"])
    equal(posteriors(DATA, *MIXTURE[:2], tiny), FISHER["posteriors_tinyprior"])


def test_one_descriptor_and_one_far_away():
    equal(fisher_vector(DATA[:1], *MIXTURE, **PLAIN), FISHER["fisher_plain_first1"])
    equal(fisher_vector(FISHER["data_outlier"], *MIXTURE), FISHER["fisher_improved_outlier"])


def test_posteriors_equal_vlfeats():
    equal(posteriors(DATA, *MIXTURE), FISHER["posteriors"])


@pytest.mark.parametrize("form", VLAD_FORMS)
@pytest.mark.parametrize("kind", ["hard", "soft", "empty"])
def test_vlad_equals_vlfeat(kind, form):
    assignment = {"hard": None, "soft": FISHER["posteriors"], "empty": FISHER["vlad_empty_assign"]}[kind]
    equal(vlad(DATA, MIXTURE[0], assignment=assignment, **VLAD_FORMS[form]), FISHER[f"vlad_{kind}_{form}"])


def test_bag_of_words_counts_nearest_means():
    found = bag_of_words(DATA, MIXTURE[0])
    equal(found, FISHER["vlad_hard_assign"].mean(axis=0))
    assert not bag_of_words(DATA[:0], MIXTURE[0]).any()


@st.composite
def mixtures(draw, rows=30):
    """Data and a mixture of any small size."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k, d = draw(st.integers(1, rows)), draw(st.integers(1, 6)), draw(st.integers(1, 7))
    priors = generator.dirichlet(np.ones(k))
    return generator.normal(size=(n, d)), generator.normal(size=(k, d)), generator.uniform(0.2, 2, (k, d)), priors


@given(mixtures())
@settings(max_examples=50)
def test_fisher_is_the_gradient_of_the_likelihood(case):
    """Plain Fisher vectors are VLFeat's scaled gradients of the mean log likelihood, here by finite differences."""
    data, means, covariances, priors = case
    likely = priors >= 1e-6

    def mean_likelihood(means, deviations):
        densities = scipy.stats.norm.logpdf(data[:, None], means, deviations).sum(axis=2)
        return scipy.special.logsumexp(densities + np.log(priors), axis=1).mean()

    deviations = np.sqrt(covariances)
    found = fisher_vector(data, means, covariances, priors, **PLAIN).reshape(2, *means.shape)
    step = 1e-6
    for index in np.ndindex(means.shape):
        nudge = np.zeros_like(means)
        nudge[index] = step
        by_mean = (mean_likelihood(means + nudge, deviations) - mean_likelihood(means - nudge, deviations)) / step / 2
        by_deviation = (mean_likelihood(means, deviations + nudge) - mean_likelihood(means, deviations - nudge)) / step
        scale = deviations[index] / np.sqrt(priors[index[0]]) * likely[index[0]]
        np.testing.assert_allclose(found[0][index], by_mean * scale, atol=1e-3)
        np.testing.assert_allclose(found[1][index], by_deviation / 2 * scale / np.sqrt(2), atol=1e-3)


def fisher_by_its_formula(data, means, covariances, priors, *, fast):
    """Every row and component alone, as the formula is written."""
    vector = np.zeros((2, *means.shape))
    for x in data:
        with np.errstate(divide="ignore"):
            scores = np.log(priors) + scipy.stats.norm.logpdf(x, means, np.sqrt(covariances)).sum(axis=1)
        scores[priors < 1e-6] = -np.inf
        shares = np.exp(scores - scipy.special.logsumexp(scores))
        shares = (np.arange(len(priors)) == shares.argmax()) * 1.0 if fast else np.where(shares < 1e-6, 0, shares)
        z = (x - means) / np.sqrt(covariances)
        vector += [shares[:, None] * z, shares[:, None] * (z**2 - 1)]
    scale = len(data) * np.sqrt(np.where(priors < 1e-6, np.inf, priors))[:, None]
    return np.ravel([vector[0] / scale, vector[1] / scale / np.sqrt(2)])


@given(mixtures(rows=1200), st.booleans(), st.booleans())  # more rows than are worked on at once
@settings(max_examples=15)
def test_fisher_is_its_formula(case, fast, tiny):
    data, means, covariances, priors = case
    if tiny and len(priors) > 1:
        priors[0], priors[1] = 1e-7, priors[0] + priors[1] - 1e-7
    expected = fisher_by_its_formula(data, means, covariances, priors, fast=fast)
    equal(fisher_vector(data, means, covariances, priors, fast=fast, **PLAIN), expected)
    single = fisher_vector(data.astype(np.float32), means, covariances, priors, fast=fast, **PLAIN)
    if not fast:  # which of two equally likely components is likelier is a matter of rounding
        equal(single, expected, 1e-4)


@given(mixtures(rows=1200))
@settings(max_examples=30)
def test_vlad_and_words_are_their_formulas(case):
    data, means, *_ = case
    means = np.concatenate([means, means[:1]])  # of two that are equal the first counts
    nearest = np.array([((x - means) ** 2).sum(axis=1).argmin() for x in data])
    nearest[nearest == len(means) - 1] = 0
    np.testing.assert_array_equal(nearest_means(data, means), nearest)
    apart = [(data[nearest == k] - mean).sum(axis=0) for k, mean in enumerate(means)]
    equal(vlad(data, means, normalized=False), np.ravel(apart))
    equal(bag_of_words(data, means), [(nearest == k).mean() for k in range(len(means))])


@given(mixtures(), st.sampled_from([np.float32, np.float64]), st.floats(1e-3, 1e6))
@settings(max_examples=50)
def test_improved_vectors_have_unit_length_and_no_nan(case, kind, far):
    data, *mixture = case
    found = fisher_vector((data * far).astype(kind), *mixture)
    assert found.dtype == kind
    np.testing.assert_allclose(np.linalg.norm(found), 1, rtol=1e-4)


def test_no_descriptors_give_zeros():
    assert not fisher_vector(DATA[:0], *MIXTURE).any()
    assert not vlad(DATA[:0], MIXTURE[0], mass=True).any()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ParameterError, match="16 numbers, got 15"):
        fisher_vector(DATA[:, :15], *MIXTURE)
    with pytest.raises(ParameterError, match="other shapes"):
        fisher_vector(DATA, MIXTURE[0], MIXTURE[1][:, :5], MIXTURE[2])
