"""Search by brute force against a plain sort; metrics against SciPy's distances."""

import numpy as np
import pytest
import scipy.spatial.distance as distance
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.errors import DataError, ParameterError
from imgtool.features import search
from imgtool.features.search import METRICS, near_duplicates, nearest


def expected_scores(features, query, metric):
    features, query = features.astype(float), query.astype(float)
    if metric == "intersection":
        return np.array([np.minimum(row, query).sum() for row in features])
    if metric == "euclidean":
        return np.array([distance.euclidean(row, query) for row in features])
    zero = ~query.any()
    return np.array([0.0 if zero or not row.any() else 1 - distance.cosine(row, query) for row in features])


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 9), st.integers(1, 40), st.sampled_from(METRICS),
    st.integers(1, 50),
)  # fmt: skip
@settings(max_examples=100)
def test_the_nearest_are_those_of_a_plain_sort(seed, count, dimensions, top, metric, block):
    generator = np.random.default_rng(seed)
    features = generator.integers(0, 4, (count, dimensions)).astype(np.float32)  # with ties and zeros
    query = generator.integers(0, 4, dimensions).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_BLOCK_VALUES", block)
        found, scores = nearest(features, query, top=top, metric=metric)
    expected = expected_scores(features, query, metric)
    assert len(found) == len(set(found.tolist())) == min(top, count)
    np.testing.assert_allclose(scores, expected[found], atol=1e-5)
    likeness = -expected if metric == "euclidean" else expected
    np.testing.assert_allclose(likeness[found], np.sort(likeness)[::-1][: len(found)], atol=1e-5)


def test_ties_come_in_their_order():
    features = np.ones((9, 3), np.float32)
    found, _ = nearest(features, features[0], top=4)
    assert found.tolist() == [0, 1, 2, 3]


def test_no_cosine_is_beyond_1():
    """Rounding makes the cosine of a vector and itself, or its negative, 1.0000001 as often as not."""
    rows = np.random.default_rng(0).standard_normal((200, 33)).astype(np.float32)
    features = np.concatenate([rows, rows, -rows])
    scores = np.array([nearest(features, row, top=600)[1] for row in rows])
    assert scores.min() >= -1
    assert scores.max() <= 1
    found = np.array([cosine for _, _, cosine in near_duplicates(features, threshold=-1)])
    assert found.min() >= -1
    assert found.max() <= 1
    equal = [pair[:2] for pair in near_duplicates(features, threshold=1)]
    assert equal == [(index, index + 200) for index in range(200)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("metric", METRICS)
def test_numbers_too_large_are_refused(metric):
    features = np.full((3, 8), 3e38, np.float32)
    with pytest.raises(DataError, match="too large"):
        nearest(features, -features[0], metric=metric)
    with pytest.raises(DataError, match="too large"):
        list(near_duplicates(features))


@given(st.integers(0, 2**32 - 1), st.integers(0, 25), st.integers(1, 200), st.floats(-1, 1))
@settings(max_examples=60)
def test_near_duplicates_are_all_pairs_above_the_threshold(seed, count, block, threshold):
    features = np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_BLOCK_VALUES", block)
        found = list(near_duplicates(features, threshold=threshold))
    directions = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = directions @ directions.T
    expected = [(i, j) for i in range(count) for j in range(i + 1, count) if cosines[i, j] >= threshold]
    near = {(i, j) for i in range(count) for j in range(count) if abs(cosines[i, j] - threshold) < 1e-5}
    assert {pair[:2] for pair in found} ^ set(expected) <= near
    assert [pair[:2] for pair in found] == sorted(pair[:2] for pair in found)
    assert all(cosine == pytest.approx(cosines[i, j], abs=1e-5) for i, j, cosine in found)


def test_what_does_not_fit_is_refused():
    features = np.ones((3, 4), np.float32)
    with pytest.raises(DataError, match=r"5 numbers.*4"):
        nearest(features, np.ones(5, np.float32))
    with pytest.raises(ParameterError, match="there are cosine"):
        nearest(features, features[0], metric="l1")
    with pytest.raises(ParameterError, match="top"):
        nearest(features, features[0], top=0)
    with pytest.raises(ParameterError, match="threshold"):
        list(near_duplicates(features, threshold=2))
    assert nearest(features[:0], features[0])[0].size == 0
