"""Statistics and metrics against SciPy, scikit-learn and worked examples."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from imgtool.errors import ParameterError
from imgtool.evaluation.intervals import wilson
from imgtool.evaluation.metrics import class_accuracies, confusion, top_k_hits
from imgtool.evaluation.significance import mcnemar_exact

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_wilson_equals_scipys(case):
    successes, n = case
    expected = scipy.stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_equals_the_binomial_test(b, c):
    expected = scipy.stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b)


@pytest.mark.parametrize(
    ("b", "c"), [(0, 900), (1000, 3000), (5400, 5600), (5499, 5501), (20_000, 20_000), (9000, 31_000)]
)
def test_mcnemar_of_large_counts_equals_the_sum_of_all_terms(b, c):
    """In whole numbers, term by term: C(n, k + 1) = C(n, k) (n - k) / (k + 1)."""
    n, term, total = b + c, 1, 0
    for k in range(min(b, c) + 1):
        total += term
        term = term * (n - k) // (k + 1)
    expected = min(1.0, 2 * total / 2**n)
    assert mcnemar_exact(b, c) == pytest.approx(expected, rel=1e-11, abs=1e-300)


@given(st.integers(0, 10**6), st.integers(0, 1000))
def test_mcnemar_is_a_probability_that_falls_with_the_difference(least, more):
    p, q = mcnemar_exact(least, least + more), mcnemar_exact(least, least + more + 1)
    assert 0 <= q <= p * (1 + 1e-9) <= 1 + 1e-9


def test_worked_examples():
    assert wilson(81, 263) == pytest.approx((0.255, 0.366), abs=5e-4)  # Newcombe, Statistics in Medicine 17, 1998
    assert mcnemar_exact(2, 10) == pytest.approx(2 * (1 + 12 + 66) / 2**12)


def test_impossible_counts_are_refused():
    for case in ((1, 0), (3, 2), (-1, 5)):
        with pytest.raises(ParameterError):
            wilson(*case)
    with pytest.raises(ParameterError):
        mcnemar_exact(-1, 3)


def test_top_k():
    scores = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.4, 0.2]])
    labels = np.array([1, 0, 1])
    assert top_k_hits(scores, labels, 1).tolist() == [False, False, False]
    assert top_k_hits(scores, labels, 2).tolist() == [True, False, True]
    assert top_k_hits(scores, labels, 5).all()


@pytest.mark.parametrize("classes", [3, 17, 1000])  # NumPy sorts up to 16 numbers stably whatever it is asked for
def test_of_equal_scores_the_class_that_stands_first_counts(classes):
    scores = np.full((classes, classes), 1 / classes, np.float32)
    labels = np.arange(classes)
    for k in (1, 2, 5):
        assert top_k_hits(scores, labels, k).tolist() == [label < k for label in labels]
    counts = confusion(scores, labels, classes)
    assert counts[:, 0].tolist() == [1] * classes
    scores[:, classes // 2] *= 2  # and behind the largest one the others come in their order
    best = {classes // 2, 0}
    assert top_k_hits(scores, labels, 2).tolist() == [label in best for label in labels]


@given(st.integers(1, 60), st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_confusion_counts_every_image_once(n, classes, seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.random((n, classes)), rng.integers(0, classes, n)
    counts = confusion(scores, labels, classes)
    assert counts.sum() == n
    assert np.trace(counts) == top_k_hits(scores, labels, 1).sum()
    for label in range(classes):
        assert counts[label].sum() == (labels == label).sum()
    accuracies = class_accuracies(counts)
    assert np.isnan(accuracies).sum() == (counts.sum(axis=1) == 0).sum()
