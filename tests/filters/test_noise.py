"""Rounding noise is no content: flat areas of derivatives, phase, pictures and stretched results."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool import convolve, filter_image, gradient, kernel, phase
from imgtool.filters.borders import BORDERS, pad
from imgtool.filters.engine.flat import _flat_windows
from imgtool.filters.gradient import OPERATORS, noise_floor
from imgtool.filters.kernels import KERNELS, is_derivative
from imgtool.filters.strip_filter import merge_extremes
from imgtool.pipelines import image_filter
from imgtool.pipelines.gradient_images import gradient_filter

DERIVATIVES = [name for name in KERNELS if is_derivative(kernel(name))]
FLAT_BORDERS = [border for border in BORDERS if border != "clip"]
LEVELS = {"uint8": (1, 77, 200, 255), "uint16": (3, 60_001), "float32": (0.1, 0.7, 1.0), "float64": (0.1, 1 / 3, 1e6)}


@pytest.mark.parametrize("dtype", LEVELS)
@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_of_flat_images_are_0(name, dtype):
    for level in LEVELS[dtype]:
        image = np.full((24, 21), level, dtype)
        for border in FLAT_BORDERS:
            for method in ("auto", "direct", "fft", "gemm"):
                done = convolve(image, kernel(name), border=border, method=method)
                limit = 0 if "gaussian" in name or name in ("log", "dog") else 1e-5 * level
                assert np.abs(done).max() <= limit, (border, method, level)


SEPARABLE = ["gaussian-x", "gaussian-y", "gaussian-xy"]
SIZES = [(name, sigma) for name in [*SEPARABLE, "gaussian-xx", "log", "dog"] for sigma in (0.4, 1, 3.3)]


@pytest.mark.parametrize(("name", "sigma"), [*SIZES, *((name, sigma) for name in SEPARABLE for sigma in (20, 40))])
def test_flat_areas_are_0_whatever_lies_beside_them(name, sigma):
    rng = np.random.default_rng(0)
    taps = kernel(name, sigma=sigma)
    reach = len(taps) // 2
    side = 2 * reach + 9
    for dtype in (np.uint8, np.float32, np.float64):
        image = np.full((side, side + 12), 200 if dtype == np.uint8 else 0.3, dtype)
        image[:, :4] = rng.integers(0, 256, (side, 4))
        done = convolve(image, taps, border="reflect")
        assert not done[:, 4 + reach :].any()
        if reach:
            assert done[:, : 3 + reach].any()


def test_nan_and_infinity_in_flat_areas_stay():
    for value in (np.nan, np.inf):
        image = np.full((15, 15), 0.3)
        image[7, 7] = value
        done = convolve(image, kernel("gaussian-x", sigma=0.5))
        assert not np.isfinite(done[6:9, 5:7]).any()
        assert not np.isfinite(convolve(np.full((5, 5), value), kernel("log"))).any()


@pytest.mark.parametrize("method", ["auto", "direct", "fft", "gemm"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("name", DERIVATIVES)
def test_stretched_flat_images_have_one_value(name, dtype, method):
    for level in LEVELS[dtype]:
        for channels in ((), (3,), (4,)):
            image = np.full((20, 30, *channels), level, dtype)
            done = filter_image(image, name, range="stretch", method=method)
            assert len(np.unique(done)) == 1, level


@pytest.mark.parametrize("show", ["phase", "picture", "x", "magnitude"])
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("sigma", [None, 1.7])
def test_gradients_of_flat_images_show_nothing(operator, sigma, show):
    for level in (3, 200, 255):
        for image in (np.full((20, 30), level, np.uint8), np.full((20, 30, 3), level / 255, np.float32)):
            for range in ("auto", "raw") if show == "phase" else ("auto",) if show == "picture" else ("stretch",):
                local = gradient_filter(operator, show, sigma, "reflect", "max", False, range, "keep")
                done = local(image).pixels
                assert len(np.unique(done)) == 1
                if show == "picture":
                    assert not done.any()
                if range == "raw":
                    assert not done.any()
                    assert not np.signbit(done).any()


def test_the_floor_follows_from_taps_type_and_the_largest_pixel():
    eps = np.finfo(np.float32).eps
    assert noise_floor("sobel", None, 255.0, np.dtype(np.float32)) == 8 * eps * 8 * 255
    assert noise_floor("central", None, 1.0, np.dtype(np.float64)) == 8 * np.finfo(np.float64).eps * 2
    gx, gy = np.array([[3e-14, -2.0]]), np.array([[-1e-14, 0.0]])
    assert phase(gx, gy, floor=1e-13).tolist() == [[0.0, np.pi]]
    assert phase(gx, gy)[0, 0] < 0


def test_raw_values_stay_as_computed():
    image = np.zeros((12, 12))
    image[6, 6], image[2, 2] = 1e9, 1e-9
    gx, gy = gradient(image)
    local = gradient_filter("sobel", "x", None, "reflect", "max", False, "raw", "keep")
    np.testing.assert_array_equal(local(image).pixels, gx)
    local = gradient_filter("sobel", "phase", None, "reflect", "max", False, "raw", "keep")
    angles = local(image).pixels
    assert not angles[:4, :4].any()
    np.testing.assert_array_equal(angles[5:8, 5:8], phase(gx, gy)[5:8, 5:8])


@pytest.mark.parametrize("show", ["phase", "picture", "magnitude", "x"])
def test_the_largest_pixel_is_that_of_the_whole_image_in_strips_too(show, monkeypatch):
    monkeypatch.setattr("imgtool.filters.strip_filter.SHORT_REACH_STRIP_BYTES", 64)
    monkeypatch.setattr("imgtool.filters.strip_filter.STRIP_BYTES", 1)
    monkeypatch.setattr(image_filter, "SURVEY_PIXELS", 100)
    image = np.random.default_rng(0).random((80, 9)) * 1e-16
    image[70, 4] = 1.0
    local = gradient_filter("sobel", show, None, "reflect", "max", False, "auto" if "p" in show else "stretch", "keep")
    whole, own = local(image), local.of(image)
    rows, extremes = list(own.strips(image)), None
    for part in rows:
        extremes = merge_extremes(extremes, own.strip_extremes(image, part))
    made = np.concatenate([own.strip_pixels(image, part, extremes).pixels for part in rows])
    assert len(rows) > 5
    np.testing.assert_array_equal(made, whole.pixels)
    if show == "picture":
        assert not made[:60].any()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "uint32", "float32", "float64"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_flat_windows_are_those_of_one_value_and_no_others(dtype, seed):
    rng = np.random.default_rng(seed)
    rows, columns, channels = rng.integers(1, 6), rng.integers(1, 6), rng.integers(1, 4)
    shape = (rows + rng.integers(0, 9), columns + rng.integers(0, 9), channels)[: 2 + (channels > 1)]
    block = (rng.random(shape) < rng.choice([0.02, 0.1, 0.5])).astype(dtype)
    windows = np.lib.stride_tricks.sliding_window_view(block, (rows, columns), axis=(0, 1))
    expected = windows.min(axis=(-2, -1)) == windows.max(axis=(-2, -1))
    np.testing.assert_array_equal(_flat_windows(block, rows, columns) > 0, expected)


@given(seed=st.integers(0, 2**32 - 1), sigma=st.sampled_from([0.4, 0.8, 1.5]), border=st.sampled_from(FLAT_BORDERS))
@settings(max_examples=60)
def test_no_flat_window_is_missed_and_nothing_else_becomes_0(seed, sigma, border):
    rng = np.random.default_rng(seed)
    image, taps = rng.random(rng.integers(1, 40, 2)), kernel("gaussian-x", sigma=sigma)
    y, x, side = rng.integers(0, image.shape[0]), rng.integers(0, image.shape[1]), rng.integers(1, 20)
    image[y : y + side, x : x + side] = 0.3
    reach = len(taps) // 2
    windows = np.lib.stride_tricks.sliding_window_view(pad(image, (reach, reach), (reach, reach), border), taps.shape)
    flat = windows.min(axis=(-2, -1)) == windows.max(axis=(-2, -1))
    found = convolve(image, taps, border=border)
    assert not found[flat].any()
    np.testing.assert_allclose(found, (windows[..., ::-1, ::-1] * taps).sum(axis=(-2, -1)), atol=1e-14)
