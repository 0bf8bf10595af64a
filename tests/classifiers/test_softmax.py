"""Softmax regression against scikit-learn's."""

import numpy as np
import pytest

from imgtool.classifiers.classic import softmax
from imgtool.classifiers.classic.softmax import fit_softmax
from imgtool.errors import DataError


def vectors(count, length, classes=4, seed=0):
    """Return rows of length 1 about a center of each class, and labels of which each class has some."""
    centers = 1.5 / np.sqrt(length) * np.random.default_rng(0).normal(size=(classes, length))
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), generator.choice(classes, count - classes, p=[0.6, 0.2, 0.1, 0.1])])
    rows = centers[labels] + generator.normal(size=(count, length))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize("length", [20, 300])
@pytest.mark.parametrize("dense_rows", [15_000, 10])
def test_weights_are_scikit_learns(monkeypatch, length, class_weight, dense_rows):
    """With rows longer or shorter than they are many, with and without a factor of their products."""
    peer = pytest.importorskip("sklearn.linear_model", reason="needs the extra 'classic'")
    monkeypatch.setattr(softmax, "FACTOR_ROWS", dense_rows)
    rows, labels = vectors(120, length)
    weight = None if class_weight == "none" else "balanced"
    expected = peer.LogisticRegression(C=10, fit_intercept=False, class_weight=weight, tol=1e-8, max_iter=10_000)
    expected.fit(np.hstack([rows, np.ones((120, 1))]), labels)
    machine, found, _ = fit_softmax(rows, labels, 4, costs=[10.0], folds=1, class_weight=class_weight)
    assert found == {"cost": 10.0, "folds": 0, "cross_validated_accuracy": {}}
    assert machine.slope == 1
    np.testing.assert_allclose(machine.weights, expected.coef_[:, :-1], atol=2e-3 * np.abs(expected.coef_).max())
    np.testing.assert_allclose(machine.biases, expected.coef_[:, -1], atol=2e-3 * np.abs(expected.coef_).max())


def test_the_cost_is_the_one_whose_scores_are_likeliest_outside_and_the_slope_cools_them():
    rows, labels = vectors(200, 30)
    machine, found, threshold = fit_softmax(rows, labels, 4, costs=[1e-6, 10.0, 1e6])
    assert (found["cost"], found["folds"]) == (10.0, 5)
    others, truth = vectors(2000, 30, seed=1)
    assert (machine.margins(others).argmax(axis=1) == truth).mean() > found["cross_validated_accuracy"]["1e-06"]
    assert 0.5 <= threshold <= 0.95
    sure, _, _ = fit_softmax(rows, labels, 4, costs=[1e6])
    assert sure.slope < 0.5 < machine.slope


def test_a_class_without_rows_is_refused():
    with pytest.raises(DataError, match="each class; got 3"):
        fit_softmax(np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1]), 3)
