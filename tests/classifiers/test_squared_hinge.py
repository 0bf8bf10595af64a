"""Machines with squared hinge loss against a minimizer that knows nothing of them, and against each other."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from imgtool.classifiers.classic import kernels, squared_hinge
from imgtool.classifiers.classic.kernels import Scaled, Symmetric
from imgtool.classifiers.classic.squared_hinge import FINE, ROUGH, fit_machines, solve_positive


def problem(rows, dimensions, machines, seed=0):
    """Return features, signs and weights; some rows stand twice, and some are left out of some machines."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, dimensions)).astype(np.float32)
    features[rows // 2 : rows // 2 + 3] = features[:3]
    truth = generator.normal(size=(dimensions, machines))
    signs = np.where(features @ truth + generator.normal(size=(rows, machines)) > 0.3, 1, -1)
    weights = generator.uniform(0.1, 3, (rows, machines)) * (generator.random((rows, machines)) < 0.8)
    return features, signs, weights


def objective(matrix, signs, weights, coefficients):
    margins = matrix @ coefficients
    losses = weights * np.maximum(1 - signs * margins, 0) ** 2
    return ((coefficients * margins).sum(axis=0) + losses.sum(axis=0)) / 2


def entries(kernel):
    return kernel.among(np.arange(len(kernel)))


def kernel_of(features, gamma):
    if gamma is None:
        return kernels.linear(Scaled.plain(features))
    return kernels.radial(kernels.squared_distances(kernels.gram(Scaled.plain(features))), gamma)


@pytest.mark.parametrize("cost", [0.01, 1, 100])
@pytest.mark.parametrize("gamma", [None, 0.05, 1.0])
@pytest.mark.parametrize(("rows", "dimensions"), [(40, 3), (25, 60), (90, 12)])
def test_no_minimizer_finds_a_lower_objective(rows, dimensions, gamma, cost):
    features, signs, weights = problem(rows, dimensions, 3)
    kernel = kernel_of(features, gamma)
    squares = ((features[:, None].astype(float) - features) ** 2).sum(axis=2)
    matrix = 1 + (features.astype(float) @ features.T if gamma is None else np.exp(-gamma * squares))
    np.testing.assert_allclose(entries(kernel), matrix, rtol=1e-5, atol=1e-5)
    found = fit_machines(kernel, signs, cost * weights)
    np.testing.assert_allclose(found.margins, matrix @ found.coefficients, rtol=1e-3, atol=1e-3)
    values, vectors = np.linalg.eigh(matrix)
    root = vectors * np.sqrt(np.maximum(values, 0))  # margins are root @ w, the penalty is w'w / 2
    for machine in range(3):
        sign, weight = signs[:, machine], cost * weights[:, machine]

        def primal(w, sign=sign, weight=weight):
            loss = np.maximum(1 - sign * (root @ w), 0)
            return w @ w / 2 + weight @ loss**2 / 2, w - root.T @ (weight * sign * loss)

        expected = minimize(primal, np.zeros(rows), jac=True, method="L-BFGS-B", options={"maxiter": 5000})
        reached = objective(matrix, signs, cost * weights, found.coefficients)[machine]
        assert reached <= expected.fun * (1 + 1e-5)


def test_rows_that_are_left_out_have_margins_and_no_influence():
    features, signs, weights = problem(80, 5, 4)
    whole = kernel_of(features, None)
    found = fit_machines(whole, signs, weights)
    for machine in range(4):
        rows = np.flatnonzero(weights[:, machine])
        alone = fit_machines(kernel_of(features[rows], None), signs[rows, machine, None], weights[rows, machine, None])
        np.testing.assert_allclose(found.coefficients[rows, machine], alone.coefficients[:, 0], atol=1e-5)
        others = np.flatnonzero(weights[:, machine] == 0)
        assert not found.coefficients[others, machine].any()
        expected = entries(whole)[np.ix_(others, rows)] @ alone.coefficients[:, 0]
        np.testing.assert_allclose(found.margins[others, machine], expected, atol=1e-4)


@pytest.mark.parametrize("gamma", [None, 0.1])
@pytest.mark.parametrize("tolerance", [FINE, ROUGH])
def test_all_ways_lead_to_the_same_machines(gamma, tolerance, monkeypatch):
    """Directly, by conjugate gradients, in float32, begun elsewhere, first fitted to a quarter of the rows."""
    features, signs, weights = problem(200, 8, 3)
    kernel = kernel_of(features, gamma)
    expected = fit_machines(kernel, signs, weights).margins
    bound = 1e-2 if tolerance == FINE else 0.3
    begin = np.random.default_rng(0).random(signs.shape) < 0.5

    def check(kernel, **more):
        found = fit_machines(kernel, signs, weights, tolerance=tolerance, **more)
        np.testing.assert_allclose(found.margins, expected, atol=bound)

    check(kernel, active=begin)
    check(kernel, active=np.zeros(signs.shape, bool))
    check(kernels.Dense(Symmetric.of(entries(kernel).astype(np.float32))))
    monkeypatch.setattr(squared_hinge, "GUESSED_ROWS", 30)
    check(kernel)
    monkeypatch.setattr(squared_hinge, "PASS", 0)
    check(kernel)
    check(kernels.Dense(Symmetric.of(entries(kernel).astype(np.float32))))


@pytest.mark.parametrize("count", [7, 700])
def test_features_that_are_read_in_blocks_have_the_same_products(count, monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK_NUMBERS", count)
    features, signs, weights = problem(70, 30, 5)
    features += 2
    plain, shifted = Scaled.plain(features), Scaled.standardized(features)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    expected = (features - mean) / deviation / np.sqrt(30)
    for scaled, rows in ((plain, features), (shifted, expected)):
        rows = rows.astype(np.float64)
        np.testing.assert_allclose(scaled.rows(slice(3, 9)), rows[3:9], atol=1e-5)
        np.testing.assert_allclose(kernels.gram(scaled).among(np.arange(70)), rows @ rows.T, atol=1e-3)
        np.testing.assert_allclose(scaled.combined(weights), weights.T @ rows, atol=1e-3)
        streamed = kernels.Streamed(scaled)
        np.testing.assert_allclose(
            streamed.product(weights.astype(np.float32)), (rows @ rows.T + 1) @ weights, rtol=1e-4
        )
        assert streamed.trace == pytest.approx((rows**2).sum() + 70, rel=1e-5)
        direct = fit_machines(kernels.linear(scaled), signs, weights)
        np.testing.assert_allclose(fit_machines(streamed, signs, weights).margins, direct.margins, atol=1e-2)


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_positive_systems_are_solved(size, seed):
    generator = np.random.default_rng(seed)
    half = generator.normal(size=(size, size))
    matrix, right = half @ half.T + 0.1 * np.eye(size), generator.normal(size=size)
    np.testing.assert_allclose(matrix @ solve_positive(matrix.copy(), right), right, atol=1e-8)
    with pytest.raises(np.linalg.LinAlgError):
        solve_positive(-matrix, right)


def test_costs_without_bound_give_finite_machines():
    features, signs, weights = problem(150, 3, 2)
    for cost in (1e-9, 1e9):
        for kind in (np.float32, np.float64):
            kernel = kernels.Dense(Symmetric.of(entries(kernel_of(features, None)).astype(kind)))
            assert np.isfinite(fit_machines(kernel, signs, cost * weights).margins).all()


def test_a_machine_without_rows_is_zero():
    features, signs, weights = problem(20, 3, 2)
    weights[:, 1] = 0
    found = fit_machines(kernel_of(features, None), signs, weights)
    assert found.active.any(axis=0).tolist() == [True, False]


@given(st.integers(1, 60), st.integers(1, 70), st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_half_a_symmetric_matrix_is_the_whole(count, tile, kind, seed):
    generator = np.random.default_rng(seed)
    half = generator.normal(size=(count, count))
    matrix = (half + half.T).astype(kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "TILE_ROWS", tile)
        stored = Symmetric.of(matrix)
        assert len(stored) == count
        assert stored.dtype == kind
        assert stored.nbytes <= matrix.nbytes * (count + tile) / (2 * count)
        np.testing.assert_array_equal(stored.diagonal(), matrix.diagonal())
        np.testing.assert_array_equal(stored.among(np.arange(count)), matrix)
        rows = np.flatnonzero(generator.random(count) < 0.5)
        np.testing.assert_array_equal(stored.among(rows, np.float64), matrix[np.ix_(rows, rows)])
        columns = generator.normal(size=(count, 3)).astype(kind)
        np.testing.assert_allclose(stored.product(columns), matrix @ columns, atol=1e-4)


def test_a_mapped_file_gives_the_same_and_does_not_count_as_memory(tmp_path):
    features = np.random.default_rng(0).normal(size=(64, 1 << 18)).astype(np.float32)  # 64 MB
    np.save(tmp_path / "x.npy", features)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for kind in (Scaled.plain, Scaled.standardized):
        scaled, expected = kind(mapped), kind(features)
        products = kernels.gram(scaled).among(np.arange(64))
        np.testing.assert_array_equal(products, kernels.gram(expected).among(np.arange(64)))
        np.testing.assert_array_equal(scaled.combined(np.eye(64)[:, :2]), expected.combined(np.eye(64)[:, :2]))
    smaps = Path("/proc/self/smaps")
    if smaps.exists():
        kilobytes = re.search(r"x\.npy\n.*?\nRss:\s+(\d+) kB", smaps.read_text(), re.DOTALL)[1]
        assert int(kilobytes) < 1 << 14
