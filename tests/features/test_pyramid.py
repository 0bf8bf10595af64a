"""Places and cells of a spatial pyramid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.errors import ParameterError
from imgtool.features.pyramid import cells, count_cells, groups, parse_levels, places


def test_places_run_from_corner_to_corner():
    frames = np.array([[0, 0, 4], [99, 49, 4], [49.5, 24.5, 4]], np.float32)
    np.testing.assert_allclose(places(frames, 50, 100), [[-0.495, -0.49], [0.495, 0.49], [0, 0]], atol=1e-7)


def test_three_by_one_is_three_rows():
    where = np.array([[0, -0.4], [0.4, 0], [-0.4, 0.4], [0, 0.49]], np.float32)
    found = np.array(list(cells(where, ["3x1"])))
    np.testing.assert_array_equal(found, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]])


@given(st.integers(0, 2**32 - 1), st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=3))
def test_every_place_lies_in_one_cell_of_each_level(seed, levels):
    where = np.random.default_rng(seed).uniform(-0.5, 0.5, (20, 2)).astype(np.float32)
    where[:2] = [[-0.5, 0.5], [0.5, -0.5]]
    names = [f"{rows}x{columns}" for rows, columns in levels]
    assert parse_levels(names) == levels
    found = list(cells(where, names))
    assert len(found) == sum(rows * columns for rows, columns in levels)
    np.testing.assert_array_equal(np.sum(found, axis=0), len(levels))
    assert len(found) == count_cells(names)
    joined = np.zeros_like(found, int)
    for indices, numbers in groups(where, names):
        joined[np.ix_(numbers, indices)] += 1
    np.testing.assert_array_equal(joined, found)


@pytest.mark.parametrize("levels", [[], ["2"], ["0x1"], ["1x1", "x"], ["2x2x2"], ["10x1"], ["-1x1"]])
def test_other_texts_are_refused(levels):
    with pytest.raises(ParameterError, match="ROWSxCOLUMNS"):
        parse_levels(levels)
