"""What a filter makes of strips is what it makes of the whole image."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.filters import strip_filter as local_filters
from imgtool.filters.borders import BORDERS
from imgtool.filters.convolve import convolve
from imgtool.filters.gradient import OPERATORS, gradient, magnitude, reach
from imgtool.filters.strip_filter import StripFilter, merge_extremes
from imgtool.image.pixels import Pixels, extremes_of, to_pixels


def in_strips(local, image):
    """Apply a filter strip by strip, keeping the strips' rows apart from each other."""
    parts = list(local.strips(image))
    extremes = None
    for rows in parts:
        extremes = merge_extremes(extremes, local.strip_extremes(image, rows))
    made = [local.strip_pixels(image, rows, extremes) for rows in parts]
    counts = (sum(each.clipped for each in made), sum(each.not_finite for each in made))
    return Pixels(np.concatenate([each.pixels for each in made]), *counts), len(parts)


def assert_same(local, image, *, rtol=0.0):
    made, count = in_strips(local, image)
    whole = local(image)
    if rtol:
        top = np.abs(whole.pixels).max()
        np.testing.assert_allclose(made.pixels, whole.pixels, rtol=0, atol=rtol * top)
    else:
        np.testing.assert_array_equal(made.pixels, whole.pixels)
        assert made[1:] == whole[1:]
    assert made.pixels.dtype == whole.pixels.dtype
    return count


def filtered(kernel, border, *, range="clip", method="auto", correlate=False, signed=False):
    def values(image):
        return convolve(image, kernel, border=border, method=method, correlate=correlate)

    def pixels(numbers, image, extremes):
        return to_pixels(numbers, range, like=image.dtype, signed=signed, extremes=extremes)

    measure = extremes_of if range == "stretch" else None
    return StripFilter(values, pixels, reach=len(kernel) // 2, wraps=border == "wrap", measure=measure)


@pytest.fixture(autouse=True)
def short_strips(monkeypatch):
    monkeypatch.setattr(local_filters, "SHORT_REACH_STRIP_BYTES", 64)  # strips of as many rows as the kernel reaches
    monkeypatch.setattr(local_filters, "STRIP_BYTES", 1)


@settings(max_examples=150)
@given(
    st.sampled_from(["uint8", "uint16", "float32", "float64"]),
    st.tuples(st.integers(1, 300), st.integers(1, 9), st.sampled_from([(), (1,), (3,)])),
    st.tuples(st.integers(1, 80), st.integers(1, 12)),
    st.sampled_from(sorted(BORDERS)),
    st.sampled_from(["clip", "abs", "center", "stretch", "raw"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_any_kernel_on_any_image(dtype, shape, size, border, range, correlate, separable, seed):
    rng = np.random.default_rng(seed)
    image = rng.random((*shape[:2], *shape[2])) * 300
    image = image.astype(dtype) if dtype[0] == "u" else (image - 150).astype(dtype)
    kernel = np.outer(*map(rng.standard_normal, size)) if separable else rng.standard_normal(size)
    local = filtered(kernel, border, range=range, correlate=correlate)
    by_fft = not separable and kernel.size >= 50  # from so many taps on OpenCV itself multiplies spectra of float64
    if by_fft and np.dtype(dtype).kind == "u" and range != "raw":
        return  # a level may fall to the other side of a half
    assert_same(local, image, rtol=1e-5 if by_fft else 0.0)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("method", ["direct", "separable", "fft"])
def test_every_method(border, method):
    image = np.random.default_rng(0).random((120, 30)).astype(np.float32)
    local = filtered(np.outer(np.arange(1, 10), np.arange(1, 8)) / 100, border, range="raw", method=method)
    assert assert_same(local, image, rtol=1e-5 if method == "fft" else 0.0) > 5


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("range", ["clip", "stretch", "raw"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_and_infinity(border, range, dtype):
    image = np.random.default_rng(0).random((190, 12)).astype(dtype)
    image[[0, 63, 64, 150, 189], [3, 0, 7, 11, 2]] = [np.nan, np.inf, -np.inf, np.inf, np.nan]
    kernel = np.array([[1, 0, -1], [2, 0, -2], [0, 0.5, 1], [1, 1, 1]])
    assert_same(filtered(kernel, border, range=range), image)


def test_stretch_goes_by_the_extremes_of_the_whole_image():
    image = np.linspace(0, 1, 200)[:, None] * np.ones(5)
    image[199] = 1e308
    image[0] = -1e308
    made, _ = in_strips(filtered(np.ones((1, 1)), "copy", range="stretch"), image)
    assert (made.pixels[0] == 0).all()
    assert (made.pixels[199] == 1).all()
    assert (made.pixels[1:199] == 0.5).all()


@pytest.mark.parametrize("value", [7.0, np.nan])
def test_stretch_of_a_constant_image_and_of_no_numbers(value):
    assert_same(filtered(np.ones((1, 1)), "copy", range="stretch"), np.full((150, 4), value))


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("sigma", [None, 1.5])
@pytest.mark.parametrize("height", [5, 100, 250])
def test_gradients(operator, border, sigma, height):
    image = np.random.default_rng(0).integers(0, 256, (height, 23), dtype=np.uint8)

    def values(part):
        return magnitude(*gradient(part, operator=operator, border=border, sigma=sigma))

    def pixels(numbers, part, extremes):
        return to_pixels(numbers, "raw", like=part.dtype)

    assert_same(StripFilter(values, pixels, reach=reach(operator, sigma), wraps=border == "wrap"), image)


def test_a_reach_that_is_too_short_is_noticed():
    image = np.random.default_rng(0).random((150, 6))
    local = filtered(np.ones((5, 5)), "reflect", range="raw")
    with pytest.raises(AssertionError):
        assert_same(replace(local, reach=1), image)
