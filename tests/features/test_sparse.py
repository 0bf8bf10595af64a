"""Sparse codes against scikit-learn's coordinate descent and the conditions of the minimum; LLC against its formula."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imgtool.errors import ParameterError
from imgtool.features.encoding import LocalSettings
from imgtool.features.pyramid import cells
from imgtool.features.sparse import PENALTY, learn_dictionary, llc_codes, max_pool, objective, sparse_codes
from locations import REFERENCE

CAMERA = np.load(REFERENCE / "images.npz")["camera_256"]


def unit_rows(generator, count, dimensions, *, positive):
    rows = generator.standard_normal((count, dimensions))
    rows = np.abs(rows) if positive else rows  # as SIFT's, which makes all atoms alike
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


PROBLEMS = {
    "seed": st.integers(0, 2**32 - 1), "dimensions": st.integers(1, 20), "atoms": st.integers(1, 40),
    "count": st.integers(1, 12), "positive": st.booleans(), "penalty": st.floats(0.01, 1.5),
}  # fmt: skip


@given(**PROBLEMS)
@settings(max_examples=100)
def test_codes_meet_the_conditions_of_the_minimum(seed, dimensions, atoms, count, positive, penalty):
    generator = np.random.default_rng(seed)
    data, dictionary = (unit_rows(generator, n, dimensions, positive=positive) for n in (count, atoms))
    codes = sparse_codes(data, dictionary, penalty=penalty).astype(np.float64)
    slope = (data - codes @ dictionary) @ dictionary.T
    assert np.abs(slope).max() <= penalty * 1.0009 + 1e-5
    used = codes != 0
    np.testing.assert_allclose(slope[used], penalty * np.sign(codes[used]), atol=1e-3)
    assert (objective(data, codes, dictionary, penalty=penalty) <= 0.5 + 1e-6).all()  # no code at all costs 1/2


@pytest.mark.filterwarnings("ignore:Objective did not converge")  # scikit-learn's, to 1e-8; 1e-7 is near enough
@given(**PROBLEMS)
@example(seed=0, dimensions=2, atoms=17, count=2, positive=True, penalty=0.25)  # an atom that is but little missed
@settings(max_examples=40)
def test_objective_is_scikit_learns(seed, dimensions, atoms, count, positive, penalty):
    peer = pytest.importorskip("sklearn.decomposition", reason="needs the extra 'classic'")
    generator = np.random.default_rng(seed)
    data, dictionary = (unit_rows(generator, n, dimensions, positive=positive) for n in (count, atoms))
    data, dictionary = data.astype(np.float64), dictionary.astype(np.float64)
    expected = peer.sparse_encode(data, dictionary, algorithm="lasso_cd", alpha=penalty, max_iter=100_000)
    least = objective(data, expected, dictionary, penalty=penalty)
    reached = objective(data, sparse_codes(data, dictionary, penalty=penalty), dictionary, penalty=penalty)
    assert (reached <= least * (1 + 1e-3) + 1e-7).all()


@pytest.mark.parametrize("rooted", [False, True])
def test_objective_is_scikit_learns_on_sift_and_1024_atoms(rooted):
    peer = pytest.importorskip("sklearn.decomposition", reason="needs the extra 'classic'")
    found = LocalSettings(root=rooted).describe(CAMERA).values
    drawn = np.random.default_rng(0).permutation(len(found))
    dictionary, data = found[drawn[:1024]], found[drawn[1024:1184]]  # atoms as alike as they can be
    expected = peer.sparse_encode(
        data.astype(float), dictionary.astype(float), algorithm="lasso_cd", alpha=PENALTY, max_iter=100_000
    )
    least = objective(data, expected, dictionary).mean()
    reached = objective(data, sparse_codes(data, dictionary), dictionary).mean()
    assert abs(reached / least - 1) <= 1e-4  # 1e-3 is promised


def test_atoms_that_are_equal_do_no_harm():
    dictionary = np.repeat(unit_rows(np.random.default_rng(0), 5, 8, positive=True), 3, axis=0)
    data = unit_rows(np.random.default_rng(1), 20, 8, positive=True)
    expected = objective(data, sparse_codes(data, dictionary[::3]), dictionary[::3])
    np.testing.assert_allclose(objective(data, sparse_codes(data, dictionary), dictionary), expected, atol=1e-5)


def test_a_flat_descriptor_and_none_at_all_have_no_codes():
    dictionary = unit_rows(np.random.default_rng(0), 6, 8, positive=True)
    assert not sparse_codes(np.zeros((2, 8)), dictionary).any()
    assert sparse_codes(np.zeros((0, 8)), dictionary).shape == (0, 6)
    assert llc_codes(np.zeros((0, 8)), dictionary).shape == (0, 6)


@given(
    st.integers(0, 2**32 - 1), st.integers(2, 20), st.integers(5, 30), st.integers(1, 8), st.integers(1, 5)
)  # fmt: skip
@settings(max_examples=50)
def test_llc_is_its_formula(seed, dimensions, atoms, count, neighbors):
    generator = np.random.default_rng(seed)
    data, dictionary = generator.standard_normal((count, dimensions)), generator.standard_normal((atoms, dimensions))
    data, dictionary = data.astype(np.float32), dictionary.astype(np.float32)
    codes = llc_codes(data, dictionary, neighbors=neighbors)
    for x, code in zip(data.astype(float), codes, strict=True):
        near = np.argsort(((dictionary - x) ** 2).sum(axis=1), kind="stable")[:neighbors]
        apart = dictionary[near].astype(float) - x
        c = apart @ apart.T
        w = np.linalg.solve(c + 1e-4 * np.trace(c) * np.eye(neighbors), np.ones(neighbors))
        expected = np.zeros(atoms)
        expected[near] = w / w.sum()
        np.testing.assert_allclose(code, expected, atol=1e-4)


def test_a_learned_dictionary_codes_nearly_as_well_as_what_made_the_descriptors():
    generator = np.random.default_rng(0)
    truth = unit_rows(generator, 12, 16, positive=False)
    mixing = np.where(generator.random((3000, 12)) < 0.15, generator.uniform(1, 2, (3000, 12)), 0)
    data = (mixing @ truth).astype(np.float32)
    told = []
    learned = learn_dictionary(data, atoms=12, penalty=0.1, passes=6, progress=lambda *what: told.append(what))
    assert told[-1][:2] == (len(told), len(told))
    np.testing.assert_allclose(np.linalg.norm(learned, axis=1), 1, atol=1e-5)
    rows = data[data.any(axis=1)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def cost(dictionary):
        return objective(rows, sparse_codes(rows, dictionary, penalty=0.1), dictionary, penalty=0.1).mean()

    assert cost(learned) < 1.15 * cost(truth) < 0.75 * cost(rows[:12])
    np.testing.assert_array_equal(learned, learn_dictionary(data, atoms=12, penalty=0.1, passes=6))
    assert not np.array_equal(learned, learn_dictionary(data, atoms=12, penalty=0.1, passes=6, seed=1))


@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
@settings(max_examples=30)
def test_pooling_takes_the_largest_of_each_cell(seed, count):
    generator = np.random.default_rng(seed)
    codes = generator.standard_normal((count, 4)).astype(np.float32)
    where = generator.uniform(-0.5, 0.5, (count, 2))
    vector = max_pool(codes, where)
    assert vector.shape == (21 * 4,)
    expected = [[max((abs(codes[n, k]) for n in np.flatnonzero(inside)), default=0) for k in range(4)]
                for inside in cells(where, ("1x1", "2x2", "4x4"))]  # fmt: skip
    length = np.linalg.norm(expected)
    np.testing.assert_allclose(vector, np.ravel(expected) / (length or 1), atol=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ParameterError, match="do not fit"):
        sparse_codes(np.zeros((3, 5)), np.zeros((7, 6)))
    with pytest.raises(ParameterError, match="penalty"):
        sparse_codes(np.zeros((3, 5)), np.zeros((7, 5)), penalty=0)
    with pytest.raises(ParameterError, match="neighbors"):
        llc_codes(np.zeros((3, 5)), np.zeros((4, 5)))
    with pytest.raises(ParameterError, match="need as many descriptors"):
        learn_dictionary(np.ones((3, 5)), atoms=4)
