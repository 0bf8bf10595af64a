"""The linear support vector machine against scikit-learn, and its probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.classifiers.classic.machines import LinearSVM
from imgtool.classifiers.classic.svm import fit_svm
from imgtool.errors import DataError


def blobs(classes, each, dimensions=6, spread=1.0, seed=0):
    """Return features and labels of overlapping clouds."""
    generator = np.random.default_rng(seed)
    centers = generator.normal(scale=2, size=(classes, dimensions))
    labels = np.repeat(np.arange(classes), each)
    return (centers[labels] + generator.normal(scale=spread, size=(len(labels), dimensions))).astype(np.float32), labels


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize("cost", [0.001, 0.5, 100.0])
@pytest.mark.parametrize(("classes", "rows", "dimensions"), [(2, 60, 4), (3, 40, 90), (10, 300, 20), (4, 1100, 12)])
def test_margins_equal_scikit_learns(classes, rows, dimensions, cost, class_weight):
    svm = pytest.importorskip("sklearn.svm", reason="scikit-learn fits the same by LIBLINEAR")
    features, labels = blobs(classes, 2 * rows // classes, dimensions)
    kept = np.random.default_rng(1).random(len(labels)) < 0.3 + 0.7 * labels / classes  # classes of many sizes
    kept[::7] = True
    features, labels = np.concatenate([features[kept], features[:20]]), np.concatenate([labels[kept], labels[:20]])
    features[:, 1] = 3  # does not vary
    machine, found, _ = fit_svm(features, labels, classes, costs=(cost,), class_weight=class_weight, seed=3)
    weight = None if class_weight == "none" else class_weight
    peer = svm.LinearSVC(C=cost, dual=False, tol=1e-9, max_iter=100_000, class_weight=weight, random_state=3)
    margins = peer.fit(features, labels).decision_function(features)
    if classes == 2:
        margins = np.stack([-margins, margins], axis=1)
    np.testing.assert_allclose(machine.margins(features), margins, rtol=1e-4, atol=2e-4)
    np.testing.assert_array_equal(machine.probabilities(features).argmax(axis=1), margins.argmax(axis=1))
    assert found["cost"] == cost


def test_cross_validation_finds_the_better_cost_and_says_what_to_expect():
    features, labels = blobs(3, 60, spread=2.0)
    features = features * 1e-3  # tiny features: a tiny cost learns nothing
    machine, found, _ = fit_svm(features, labels, 3, costs=(1e-4, 1e5))
    assert found["cost"] == 1e5
    accuracies = found["cross_validated_accuracy"]
    assert accuracies["100000"] > accuracies["0.0001"]
    others, labels = blobs(3, 600, spread=2.0)
    rate = (machine.probabilities(others * 1e-3).argmax(axis=1) == labels).mean()
    assert abs(rate - accuracies["100000"]) < 0.1


def test_probabilities_are_as_sure_as_they_are_right():
    features, labels = blobs(4, 150, spread=2.5)
    machine, *_ = fit_svm(features[::2], labels[::2], 4)
    scores = machine.probabilities(features[1::2])
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    right = scores.argmax(axis=1) == labels[1::2]
    assert 0.5 < right.mean() < 0.97
    assert abs(scores.max(axis=1).mean() - right.mean()) < 0.07


def test_few_images_that_are_all_right_make_no_certainty():
    features, labels = blobs(3, 8, spread=0.01)
    machine, found, _ = fit_svm(features, labels, 3)
    assert max(found["cross_validated_accuracy"].values()) == 1
    assert 0.5 < machine.probabilities(features).max(axis=1).mean() < 0.95


def test_standardized_features_need_no_common_scale():
    features, labels = blobs(3, 30)
    odd = features * np.array([1e-4, 1, 1e4, 1, 1e-2, 1], np.float32) + np.float32(3)
    odd = np.hstack([odd, np.full((len(odd), 1), 5, np.float32)])  # and one that does not vary
    plain, *_ = fit_svm(features, labels, 3, costs=(1.0,), standardize=True)
    machine, *_ = fit_svm(odd, labels, 3, costs=(1.0,), standardize=True)
    np.testing.assert_allclose(machine.probabilities(odd), plain.probabilities(features), atol=0.02)


def test_fits_are_repeatable():
    features, labels = blobs(3, 20)
    first, second = (fit_svm(features, labels, 3, seed=7)[0] for _ in range(2))
    np.testing.assert_array_equal(first.weights, second.weights)
    assert first.slope == second.slope


def test_one_image_of_a_class_is_enough_to_fit():
    features, labels = blobs(2, 5)
    machine, found, _ = fit_svm(features[:6], labels[:6], 2)
    assert found["folds"] == 0
    assert np.isfinite(machine.probabilities(features)).all()


@given(st.integers(1, 5), st.integers(1, 9), st.floats(0.01, 1e4), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_probabilities_add_up_and_survive_storage(classes, dimensions, slope, seed):
    generator = np.random.default_rng(seed)
    weights, biases = generator.normal(size=(classes, dimensions)), generator.normal(size=classes)
    machine = LinearSVM(weights.astype(np.float32), biases.astype(np.float32), float(np.float32(slope)))
    features = generator.normal(scale=10, size=(7, dimensions)).astype(np.float32)
    scores = machine.probabilities(features)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-4)
    np.testing.assert_array_equal(LinearSVM.from_arrays(machine.arrays(), classes).probabilities(features), scores)


GOOD = LinearSVM(np.ones((3, 4), np.float32), np.ones(3, np.float32), 2.0).arrays()


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("change", [lambda a: None, lambda a: a[:-1], lambda a: a.astype(np.int64), lambda a: a[None]])
def test_stored_parts_that_do_not_fit_are_refused(name, change):
    changed = {**GOOD, name: change(GOOD[name])}
    with pytest.raises(DataError, match="support vector machine"):
        LinearSVM.from_arrays({key: value for key, value in changed.items() if value is not None}, 3)


def test_a_slope_that_turns_the_answer_round_is_refused():
    with pytest.raises(DataError, match="positive"):
        LinearSVM.from_arrays({**GOOD, "svm.slope": np.array([-1], np.float32)}, 3)


def test_a_class_without_images_is_refused():
    with pytest.raises(DataError, match="of each class"):
        fit_svm(np.ones((4, 2), np.float32), np.array([0, 0, 2, 2]), 3)


def test_scikit_learn_is_not_needed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    assert fit_svm(*blobs(2, 5), 2)[0].length == 6
