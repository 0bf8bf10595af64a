"""Convolution against SciPy, the stored reference arrays, and itself by other methods."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.errors import ParameterError
from imgtool.filters.borders import BORDERS, indices
from imgtool.filters.convolve import convolve, margins
from imgtool.filters.engine.plan import METHODS, separate
from imgtool.filters.gradient import gradient, magnitude, phase
from locations import REFERENCE

FILTERING = np.load(REFERENCE / "filtering.npz")
IMAGES = np.load(REFERENCE / "images.npz")
CASES = [key for key in FILTERING.files if key.startswith(("conv__", "corr__"))]


def image_of(name):
    return FILTERING[name] if name in FILTERING.files else IMAGES[name]


def assert_close(actual, expected, relative=1e-12):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=relative * max(1.0, np.abs(expected).max()))


def methods_for(kernel):
    return [method for method in METHODS if method != "separable" or separate(kernel)]


def test_there_are_reference_arrays():
    assert len(CASES) > 100


@pytest.mark.parametrize("method", ["auto", "direct", "fft", "gemm"])
def test_equals_the_reference_arrays(method):
    for key in CASES:
        operation, name, kernel, border = key.split("__")
        actual = convolve(
            image_of(name), FILTERING[f"kernel__{kernel}"], border=border, method=method, correlate=operation == "corr"
        )
        assert_close(actual, FILTERING[key])


@pytest.mark.parametrize("border", BORDERS)
def test_textbook_box_example_is_exact(border):
    result = np.rint(convolve(FILTERING["textbook_input"], np.full((3, 3), 1 / 9), border=border))
    np.testing.assert_array_equal(result, np.rint(FILTERING[f"textbook_box3_{border}"]))
    np.testing.assert_array_equal(result[1:-1, 1:-1], FILTERING["textbook_interior"])


@pytest.mark.parametrize("key", [key for key in FILTERING.files if key.startswith("grad__") and "gx" in key])
def test_gradient_equals_the_reference_arrays(key):
    _, name, _, border = key.split("__")
    gx, gy = gradient(image_of(name), border=border)
    expected = {what: FILTERING[f"grad__{name}__{what}__{border}"] for what in ("gx", "gy", "magnitude", "phase")}
    assert_close(gx, expected["gx"])
    assert_close(gy, expected["gy"])
    assert_close(magnitude(gx, gy), expected["magnitude"])
    strong = expected["magnitude"] > 1e-6
    turn = np.abs(phase(gx, gy) - expected["phase"])[strong]
    assert np.minimum(turn, 2 * np.pi - turn).max(initial=0) < 1e-12


cases = st.fixed_dictionaries(
    {
        "shape": st.tuples(st.integers(1, 12), st.integers(1, 12)),
        "channels": st.sampled_from([None, 1, 3, 5]),
        "size": st.tuples(st.integers(1, 15), st.integers(1, 15)),
        "border": st.sampled_from(list(BORDERS)),
        "dtype": st.sampled_from(["uint8", "uint16", "float32", "float64"]),
        "correlate": st.booleans(),
        "seed": st.integers(0, 2**32 - 1),
    }
)


@given(cases)
@settings(max_examples=200)
def test_every_method_agrees_with_scipy(case):
    rng = np.random.default_rng(case["seed"])
    shape = case["shape"] + ((case["channels"],) if case["channels"] else ())
    image = (rng.random(shape) * 255).astype(case["dtype"])
    row, column = rng.standard_normal(case["size"][1]), rng.standard_normal(case["size"][0])
    for kernel in (rng.standard_normal(case["size"]), np.outer(column, row)):
        taps = kernel if case["correlate"] else kernel[::-1, ::-1]
        wide = taps.reshape(*taps.shape, 1) if case["channels"] else taps
        # SciPy's correlation puts the origin at size // 2; flipping moves it for even sizes
        origin = [0 if case["correlate"] or size % 2 else -1 for size in taps.shape]
        origin += [0] if case["channels"] else []
        expected = scipy.ndimage.correlate(
            image.astype(np.float64), wide, mode=BORDERS[case["border"]].scipy, origin=origin
        )
        eps = 5e-7 if case["dtype"] == "float32" else 1e-13  # sums that cancel are as exact as what they are made of
        tolerance = eps * max(1.0, float(np.abs(image).max() * np.abs(kernel).sum()))
        for method in methods_for(kernel):
            actual = convolve(image, kernel, border=case["border"], method=method, correlate=case["correlate"])
            assert actual.dtype == (np.float32 if case["dtype"] == "float32" else np.float64)
            np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_F12_holes_spread_only_where_a_tap_reaches(method, bad):
    image = np.zeros((9, 9))
    image[4, 4] = bad
    kernel = np.array([[1.0, 0.0, 2.0]])
    reached = ~np.isfinite(convolve(image, kernel, method=method))
    assert np.argwhere(reached).tolist() == [[4, 3], [4, 5]]


def tap_by_tap(image, kernel, border):
    """Sum the definition, leaving out taps that are 0."""
    rows, columns = kernel.shape
    result = np.zeros(image.shape)
    down = [indices(image.shape[0], rows, rows, border), rows]
    across = [indices(image.shape[1], columns, columns, border), columns]
    for y, x in np.ndindex(image.shape):
        for p, q in zip(*np.nonzero(kernel), strict=True):
            i, j = down[0][y - p + rows // 2 + down[1]], across[0][x - q + columns // 2 + across[1]]
            with np.errstate(invalid="ignore"):
                result[y, x] += kernel[p, q] * (image[i, j] if i >= 0 and j >= 0 else 0.0)
    return result


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from(list(BORDERS)),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=100)
def test_F12_holes_are_those_of_a_plain_sum(shape, size, border, seed):
    rng = np.random.default_rng(seed)
    image = rng.choice([0.0, 1.0, 2.5, np.nan, np.inf, -np.inf], shape, p=[0.3, 0.3, 0.25, 0.05, 0.05, 0.05])
    column, row = rng.choice([0.0, 1.0, -2.0], size[0]), rng.choice([0.0, 1.0, 3.0], size[1])
    for kernel in (rng.choice([0.0, 1.0, -1.0, 0.5], size), np.outer(column, row)):
        expected = tap_by_tap(image, kernel, border)
        for method in methods_for(kernel):
            for dtype in (np.float64, np.float32):
                actual = convolve(image.astype(dtype), kernel, border=border, method=method)
                np.testing.assert_allclose(actual, expected, atol=1e-5 if dtype == np.float32 else 1e-12)


LARGE = {
    "sobel": np.outer([1.0, 2, 1], [1, 0, -1]),
    "sobel down": np.outer([1, 0, -1], [1.0, 2, 1]),
    "gaussian": np.outer(*[np.exp(-(np.linspace(-2, 2, 9) ** 2))] * 2),
    "laplacian": np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "long, with zeros": np.outer([1.0, 0, 0, 1, 2], [1.0, -1, 0, 3]),
    "dense": np.random.default_rng(0).standard_normal((11, 7)),
    "dense, even": np.random.default_rng(0).standard_normal((4, 6)),
    "many": np.random.default_rng(0).standard_normal((13, 12)),
    **{f"box {size}": np.full((size, size), 1 / size**2) for size in (3, 4, 5, 31)},
}


def seen_through(padded, kernel, shape):
    """Return, for each result, the non-finite number that a plain sum gives, or 0: kernel as it lies on the image."""
    nan, plus, minus = np.zeros((3, *shape), bool)
    for row, column in np.argwhere(~np.isfinite(padded)):
        pixel = padded[row, column]
        for (p, q), tap in np.ndenumerate(kernel):
            if tap and 0 <= row - p < shape[0] and 0 <= column - q < shape[1]:
                kind = nan if np.isnan(pixel) else plus if pixel * tap > 0 else minus
                kind[row - p, column - q] = True
    result = np.where(plus, np.inf, np.where(minus, -np.inf, 0.0))
    return np.where(nan | (plus & minus), np.nan, result)


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2])
def test_F12_holes_in_images_that_fill_the_registers_of_a_processor(name, dtype, threads):
    kernel, rng = LARGE[name], np.random.default_rng(0)
    for trial in range(12):
        shape = (int(rng.integers(40, 600)), int(rng.integers(40, 140)))
        image = rng.standard_normal(shape).astype(dtype)
        for _ in range(trial % 4):
            image[rng.integers(shape[0]), rng.integers(shape[1])] = rng.choice([np.nan, np.inf, -np.inf])
        if trial % 4 == 0:
            image[-1 - trial // 4, rng.integers(shape[1])] = np.nan
        padded = np.pad(image, margins(kernel, correlate=True), "symmetric")
        expected = seen_through(padded, kernel, shape)
        for method in methods_for(kernel):
            if method == "gemm" and kernel.size > 500 and trial >= 4:
                continue  # half a second each; four trials have every number of holes
            actual = convolve(image, kernel, method=method, correlate=True, threads=threads)
            np.testing.assert_array_equal(np.where(np.isfinite(actual), 0, actual), expected)


def test_separable_needs_rank_one():
    assert separate(np.outer([1, 2, 1], [1, 0, -1]).astype(float)) is not None
    assert separate(np.eye(3)) is None
    with pytest.raises(ParameterError, match="product"):
        convolve(np.zeros((3, 3)), np.eye(3), method="separable")


@pytest.mark.parametrize("wrong", [{"border": "black"}, {"method": "gpu"}])
def test_unknown_names_are_refused_with_the_known_ones(wrong):
    with pytest.raises(ParameterError, match="there are"):
        convolve(np.zeros((3, 3)), np.ones((1, 1)), **wrong)
