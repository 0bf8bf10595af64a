"""Dividing data sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.datasets.dataset import Dataset
from imgtool.datasets.split import few_of_each, fold_numbers, split, split_indices
from imgtool.errors import DataError, ParameterError


@given(st.lists(st.integers(2, 30), min_size=1, max_size=6), st.floats(0.01, 0.99), st.integers(0, 1000))
def test_parts_are_disjoint_complete_and_stratified(counts, share, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    rest, part = split_indices(labels, share, seed)
    assert sorted([*rest, *part]) == list(range(len(labels)))
    assert (np.diff(part) > 0).all()
    for label, count in enumerate(counts):
        chosen = np.count_nonzero(labels[part] == label)
        assert 1 <= chosen <= count - 1
        assert abs(chosen - share * count) <= 1 or chosen in (1, count - 1)


def test_seed_decides():
    labels = np.repeat([0, 1], 50)
    first = split_indices(labels, 0.3, 1)[1]
    np.testing.assert_array_equal(first, split_indices(labels, 0.3, 1)[1])
    assert (first != split_indices(labels, 0.3, 2)[1]).any()


@given(st.lists(st.integers(2, 30), min_size=1, max_size=6), st.integers(2, 9), st.integers(0, 1000))
def test_folds_are_even_in_all_and_in_each_class(counts, folds, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    if folds > len(labels):
        return
    numbers = fold_numbers(labels, folds, seed)
    np.testing.assert_array_equal(numbers, fold_numbers(labels, folds, seed))
    for part in [numbers, *(numbers[labels == label] for label in range(len(counts)))]:
        assert np.ptp(np.bincount(part, minlength=folds)) <= 1
        assert len(set(part)) > 1  # so that each class is left to learn from


def test_the_seed_decides_on_folds_and_what_is_no_number_of_folds_is_refused():
    labels = np.repeat([0, 1], 50)
    assert (fold_numbers(labels, 5, 1) != fold_numbers(labels, 5, 2)).any()
    for folds in (1, 101, 2.5, "x", None):
        with pytest.raises(ParameterError, match="folds must be"):
            fold_numbers(labels, folds, 0)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 20), st.integers(0, 1000))
def test_few_images_of_each_class_are_among_more(counts, few, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    chosen = few_of_each(labels, few, seed)
    assert set(chosen) <= set(few_of_each(labels, few + 1, seed))
    assert (np.diff(chosen) > 0).all()
    assert np.bincount(labels[chosen], minlength=len(counts)).tolist() == [min(few, count) for count in counts]


def test_split_keeps_images_with_their_labels():
    data = Dataset(np.arange(20)[:, None, None], np.repeat([0, 1], 10), ("a", "b"))
    for part in split(data, 0.5, 0):
        assert all(int(part.image(i)[0, 0] >= 10) == part.labels[i] for i in range(len(part)))


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(DataError, match="single"):
        split_indices(np.array([0, 0, 1]), 0.5, 0)
    with pytest.raises(DataError, match="'cat'"):
        split(Dataset(np.zeros((3, 1, 1)), np.array([0, 0, 1]), ("ant", "cat")), 0.5, 0)
    with pytest.raises(ParameterError, match="between"):
        split_indices(np.array([0, 0]), 1.0, 0)


def test_labels_must_fit():
    for label in (2, -1):
        with pytest.raises(DataError, match=f"label {label}"):
            Dataset(np.zeros((2, 1, 1)), np.array([0, label]), ("a", "b"))
    with pytest.raises(DataError, match="differ"):
        Dataset(np.zeros((2, 1, 1)), np.array([0, 1]), ("a", "a"))
    with pytest.raises(DataError, match="2 images"):
        Dataset(np.zeros((2, 1, 1)), np.array([0]), ("a", "b"))
