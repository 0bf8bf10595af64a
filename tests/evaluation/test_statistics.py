"""Statistics and metrics against SciPy, scikit-learn, statsmodels, simulations and worked examples."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from imgtool.errors import ParameterError
from imgtool.evaluation.calibration import calibration_error, reliability
from imgtool.evaluation.intervals import paired_bootstrap, wilson
from imgtool.evaluation.metrics import class_accuracies, confusion, log_loss, top_k, top_k_hits
from imgtool.evaluation.scored import all_pairs
from imgtool.evaluation.significance import LEVEL, holm, images_needed, mcnemar_exact

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


@pytest.mark.parametrize("least", [0, 1, 7, 43, 1000])
def test_without_a_difference_or_with_one_p_is_1_to_the_last_bit(least):
    assert mcnemar_exact(least, least) == mcnemar_exact(least, least + 1) == 1
    assert mcnemar_exact(least, least + 2) < 1


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
    counts = confusion(scores.argmax(axis=1), labels, classes, classes)
    assert counts[:, 0].tolist() == [1] * classes
    scores[:, classes // 2] *= 2  # and behind the largest one the others come in their order
    best = {classes // 2, 0}
    assert top_k_hits(scores, labels, 2).tolist() == [label in best for label in labels]


@given(st.integers(1, 60), st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_confusion_counts_every_image_once(n, classes, seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.random((n, classes)), rng.integers(0, classes, n)
    counts = confusion(scores.argmax(axis=1), labels, classes, classes)
    assert counts.sum() == n
    assert np.trace(counts) == top_k_hits(scores, labels, 1).sum()
    for label in range(classes):
        assert counts[label].sum() == (labels == label).sum()
    accuracies = class_accuracies(scores.argmax(axis=1) == labels, labels)
    for label, accuracy in enumerate(accuracies):
        expected = counts[label, label] / counts[label].sum() if counts[label].sum() else math.nan
        assert accuracy == pytest.approx(expected, nan_ok=True)


@given(st.integers(1, 60), st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_the_k_best_hold_the_label_where_it_is_hit(n, classes, seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 4, (n, classes)) / 4, rng.integers(0, classes, n)  # many are equal
    for k in range(1, classes + 1):
        assert top_k_hits(scores, labels, k).tolist() == (top_k(scores, k) == labels[:, None]).any(axis=1).tolist()
    assert not top_k_hits(scores, np.full(n, -1), classes).any()


def test_statsmodels_gives_the_same_numbers():
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables")
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(0)
    for _ in range(50):
        both, b, c, neither = rng.integers(0, 60, 4)
        expected = contingency.mcnemar([[both, b], [c, neither]], exact=True).pvalue if b + c else 1
        assert mcnemar_exact(int(b), int(c)) == pytest.approx(expected, rel=1e-9)
        n = int(both + b + c + neither) + 1
        expected = proportion.proportion_confint(int(b), n, method="wilson")
        assert wilson(int(b), n) == pytest.approx(expected, abs=1e-12)
        p = rng.random(rng.integers(1, 12)) ** 3
        assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


def test_holm_by_hand():
    """Four p: 0.01 by 4, 0.02 by 3, 0.03 by 2 (0.06, as large as the one before), 0.5 by 1."""
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_log_loss_equals_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics", reason="the extra 'classic' is not installed")
    rng = np.random.default_rng(0)
    scores, labels = rng.dirichlet(np.full(5, 0.9), 200), rng.integers(0, 5, 200)
    own = scores.astype(np.float32)[np.arange(200), labels]
    assert own.min() > np.finfo(np.float32).eps
    assert log_loss(own) == pytest.approx(metrics.log_loss(labels, scores, labels=range(5)), rel=1e-6)
    assert log_loss(np.zeros(1)) == pytest.approx(-math.log(np.finfo(np.float32).eps))
    assert log_loss(np.array([0.5, 0.25])) == pytest.approx(1.5 * math.log(2))


def test_calibration_error_by_hand():
    """Four images between 0.6 and 0.667, three of them right; one of 1 is right, one of 0.3 wrong."""
    scores, right = np.array([0.61, 0.62, 0.64, 0.65, 1, 0.3]), np.array([1, 1, 0, 1, 1, 0], bool)
    assert calibration_error(scores, right) == pytest.approx((4 * (0.75 - 0.63) + 0 + 0.3) / 6)
    filled = [each for each in reliability(scores, right) if each.n]
    assert [(each.n, each.accuracy) for each in filled] == [(1, 0), (4, 0.75), (1, 1)]
    assert all(each.low < each.score <= each.high for each in filled)
    edge = [each.n for each in reliability(np.array([0, 0.2, 0.4]), np.ones(3, bool), bins=5)]
    assert edge == [2, 1, 0, 0, 0]  # the upper end belongs to an interval, the lower one does not


@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_calibration_lies_between_its_bounds(n, seed):
    """At least the difference of mean score and accuracy (one interval), at most 1; every image is in one interval."""
    rng = np.random.default_rng(seed)
    scores, right = rng.random(n).astype(np.float32), rng.random(n) < 0.7
    found = calibration_error(scores, right)
    assert abs(scores.mean() - right.mean()) - 1e-6 <= found <= 1
    assert calibration_error(scores, right, bins=1) == pytest.approx(abs(scores.mean() - right.mean()), abs=1e-6)
    assert sum(each.n for each in reliability(scores, right)) == n


def test_scores_as_large_as_they_should_be_have_a_small_calibration_error():
    scores = np.random.default_rng(0).uniform(0.2, 1, 100_000)
    assert calibration_error(scores, np.random.default_rng(1).random(100_000) < scores) < 0.01
    assert calibration_error(scores, np.random.default_rng(1).random(100_000) < scores - 0.2) == pytest.approx(
        0.2, abs=0.01
    )


@pytest.mark.parametrize(("more", "fewer", "n"), [(4, 0, 12), (0, 0, 12), (30, 12, 200), (400, 380, 5000)])
def test_the_bootstraps_interval_is_that_of_very_many_samples(more, fewer, n):
    """Samples are drawn here; two images more are half an image of each of four kinds."""
    drawn = n + 2
    shares = np.array([more + 0.5, fewer + 0.5, n - more - fewer + 1]) / drawn
    up, down, _ = np.random.default_rng(0).multinomial(drawn, shares, 200_000).T
    expected = np.quantile((up - down) / drawn, [0.025, 0.975], method="inverted_cdf")
    assert paired_bootstrap(more, fewer, n) == pytest.approx(expected, abs=1.01 / drawn)


differences = st.integers(1, 400).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n)).flatmap(
        lambda pair: st.tuples(st.just(pair[0]), st.integers(0, pair[1] - pair[0]), st.just(pair[1]))
    )
)


@given(differences)
def test_the_bootstraps_interval_holds_the_difference_and_turns_round_with_it(case):
    more, fewer, n = case
    low, high = paired_bootstrap(more, fewer, n)
    assert -1 <= low <= (more - fewer) / n <= high <= 1
    assert low < high
    assert paired_bootstrap(fewer, more, n) == pytest.approx((-high, -low), abs=1e-12)


def coverage(intervals, chances, truth):
    """How often an interval holds the truth: intervals of each possible count, with the count's chance."""
    return sum(chance for (low, high), chance in zip(intervals, chances, strict=True) if low <= truth <= high)


@pytest.mark.parametrize("n", [12, 30, 100])
def test_95_of_100_intervals_hold_the_true_error_in_the_mean_over_error_rates(n):
    rates = (np.arange(200) + 0.5) / 200
    intervals = [wilson(wrong, n) for wrong in range(n + 1)]
    found = [coverage(intervals, scipy.stats.binom.pmf(np.arange(n + 1), n, rate), rate) for rate in rates]
    assert 0.94 <= np.mean(found) <= 0.96


@pytest.mark.parametrize("n", [12, 30, 100])
def test_95_of_100_intervals_hold_the_true_difference_in_the_mean_over_error_rates(n):
    """Two models of 2 to 50 % error, whose mistakes are the same ones to some part."""
    rng = np.random.default_rng(0)
    known, found = {}, []
    for _ in range(60):
        first, second = rng.uniform(0.02, 0.5, 2)
        both = rng.uniform(0.3, 1) * min(first, second)
        draws = rng.multinomial(n, [second - both, first - both, 1 - first - second + 2 * both], 400)
        for more, fewer, _ in draws.tolist():
            if (more, fewer) not in known:
                known[more, fewer] = paired_bootstrap(more, fewer, n)
            low, high = known[more, fewer]
            found.append(low - 1e-12 <= second - first <= high + 1e-12)
    assert 0.94 <= np.mean(found) <= 0.96


@pytest.mark.parametrize("models", [2, 6])
def test_of_2000_comparisons_of_equal_models_few_find_one_that_is_worse_than_the_best(models):
    """Equally good models, some images harder than others; the best is chosen on the same images."""
    rng, errs = np.random.default_rng(models), 0
    for _ in range(2000):
        hits = rng.random((models, 300)) < rng.beta(3, 1, 300)
        pairs = all_pairs(list(hits))
        best = int(hits.sum(axis=1).argmax())
        errs += any(pairs[best, other].p < LEVEL for other in range(models) if other != best)
    assert errs <= 0.065 * 2000


def test_identical_models_are_not_told_apart():
    hits = np.arange(20) % 3 > 0
    assert [pair.p for pair in all_pairs([hits, hits, hits]).values()] == [1] * 6
    assert images_needed(4, 4, 100) is None
    assert images_needed(0, 0, 100) is None


def test_pairs_by_hand():
    """10 images only the first labels right, 2 only the second, against none and 3: three tests, p by 3, 2 and 1."""
    first = np.array([1] * 10 + [0] * 2 + [1] * 8, bool)
    second, third = first.copy(), first.copy()
    second[:12], third[:3] = ~second[:12], False
    pairs = all_pairs([first, second, third])
    assert (pairs[0, 1].only_first, pairs[0, 1].only_second, pairs[1, 0].only_first) == (10, 2, 2)
    assert pairs[0, 1].difference == -pairs[1, 0].difference == 0.4
    assert pairs[0, 1].p_uncorrected == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert pairs[0, 2].p_uncorrected == pytest.approx(0.25)
    assert pairs[0, 1].p == pytest.approx(3 * pairs[0, 1].p_uncorrected)
    assert pairs[0, 2].p == pytest.approx(2 * min(pairs[0, 2].p_uncorrected, pairs[1, 2].p_uncorrected))


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_pairs_do_not_depend_on_the_order_of_images_and_models(models, seed):
    rng = np.random.default_rng(seed)
    hits = rng.random((models, 40)) < rng.random((models, 1))
    order, images = rng.permutation(models), rng.permutation(40)
    pairs, turned = all_pairs(list(hits)), all_pairs(list(hits[order][:, images]))
    for i, j in turned:
        assert turned[i, j] == pairs[order[i], order[j]]


def test_images_needed_by_hand():
    """Of 100 images 45 and 5: (1.95996 sqrt(0.5) + 0.84162 sqrt(0.34))^2 / 0.16 = 22.01 (Connor's formula)."""
    assert images_needed(45, 5, 100) == images_needed(5, 45, 100) == 23
    assert images_needed(45, 5, 100, tests=10) > 23
    assert images_needed(1, 0, 1) == 6  # fewer cannot be told by the exact test


@pytest.mark.parametrize(
    ("more", "fewer", "tests"), [(0.33, 0, 1), (0.1, 0.05, 1), (0.02, 0.01, 1), (0.1, 0.05, 10), (0.3, 0.2, 3)]
)
def test_as_many_images_as_it_says_tell_models_apart_in_four_of_five_comparisons(more, fewer, tests):
    n = images_needed(round(10_000 * more), round(10_000 * fewer), 10_000, tests)
    draws = np.random.default_rng(0).multinomial(n, [more, fewer, 1 - more - fewer], 1000).tolist()
    told = [b > c and mcnemar_exact(b, c) < LEVEL / tests for b, c, _ in draws]
    assert 0.72 <= np.mean(told) <= 0.95
    fewer_images = np.random.default_rng(0).multinomial(n // 2, [more, fewer, 1 - more - fewer], 1000).tolist()
    assert np.mean([b > c and mcnemar_exact(b, c) < LEVEL / tests for b, c, _ in fewer_images]) < 0.65
