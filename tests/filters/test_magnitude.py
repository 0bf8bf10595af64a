"""The magnitude in one pass against both derivatives and their length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.errors import ParameterError
from imgtool.filters.borders import BORDERS
from imgtool.filters.convolve import convolve
from imgtool.filters.engine.magnitude import magnitude_by
from imgtool.filters.kernels import gaussian, kernel

OPERATORS = ("sobel", "scharr", "prewitt", "central", "forward", "backward")
SLOPE = gaussian(2.0) * np.arange(8, -9, -1)  # an antisymmetric kernel of rank 1, as a derivative of Gaussian is
PAIRS = {
    **{
        name: (kernel(f"{name}-x"), kernel(f"{name}-y"))
        for name in ("sobel", "scharr", "prewitt", "central", "forward")
    },
    "backward": (kernel("backward-x"), kernel("backward-y")),
    "diagonals": (np.array([[1.0, 0], [0, -1]]), np.array([[0, 1.0], [-1, 0]])),
    "gaussian": (SLOPE, SLOPE.T),
    "swapped sobel": (kernel("sobel-y"), kernel("sobel-x") * 0.1),
}


def expected_of(image, pair, border):
    return np.hypot(*(convolve(image.astype(np.float64), each, border=border, method="direct") for each in pair))


@given(
    st.sampled_from(list(PAIRS)),
    st.tuples(st.integers(1, 200), st.integers(1, 40)),
    st.sampled_from([None, 1, 2, 3, 5]),
    st.sampled_from(list(BORDERS)),
    st.sampled_from(["uint8", "uint16", "float32", "float64"]),
    st.sampled_from([None, "uint8", "uint16", "float32"]),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=250)
def test_magnitude_is_the_length_of_both_derivatives(name, shape, channels, border, source, result, threads, seed):
    rng = np.random.default_rng(seed)
    shape += (channels,) if channels else ()
    image = (rng.random(shape) * 255).astype(source)
    expected = expected_of(image, PAIRS[name], border)
    actual = magnitude_by(image, *PAIRS[name], border=border, dtype=result, threads=threads)
    assert actual.dtype == (result or ("float32" if source == "float32" else "float64"))
    slack = 1e-6 * max(1, image.max()) * np.abs(PAIRS[name][0]).sum()
    if actual.dtype.kind == "u":
        expected, slack = expected.clip(0, np.iinfo(result).max), 0.5 + slack
    np.testing.assert_allclose(actual, expected, rtol=0, atol=slack)


@pytest.mark.parametrize("name", PAIRS)
def test_8_bit_magnitude_is_the_float64_one_rounded(name):
    image = np.random.default_rng(0).integers(0, 256, (500, 400), dtype=np.uint8)
    image //= 4  # so that few are saturated
    expected = np.rint(expected_of(image, PAIRS[name], "mirror")).clip(0, 255)
    actual = magnitude_by(image, *PAIRS[name], border="mirror", dtype=np.uint8)
    assert np.abs(actual - expected).max() <= 1
    assert (actual != expected).mean() <= (0 if np.all(PAIRS[name][0] % 1 == 0) else 1e-4)
    np.testing.assert_array_equal(magnitude_by(image, *PAIRS[name], border="mirror", dtype=np.uint8, threads=2), actual)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_holes_reach_what_a_tap_brings_them_to(bad):
    image = np.zeros((9, 9), np.float32)
    image[4, 4] = bad
    reached = ~np.isfinite(magnitude_by(image, *PAIRS["central"]))
    assert np.argwhere(reached).tolist() == [[3, 4], [4, 3], [4, 5], [5, 4]]


def test_unknown_borders_are_refused():
    with pytest.raises(ParameterError, match="there are"):
        magnitude_by(np.zeros((3, 3), np.uint8), *PAIRS["sobel"], border="black")
