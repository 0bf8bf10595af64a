"""Filters of images with alpha: premultiplied in float64 with SciPy, every kernel, every border."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from imgtool import convolve, filter_image, flatten, kernel, neighborhood
from imgtool.filters.borders import BORDERS, pad
from imgtool.filters.kernels import KERNELS, is_derivative
from imgtool.filters.strip_filter import merge_extremes
from imgtool.filters.windows import NEIGHBORHOODS
from imgtool.pipelines import image_filter
from imgtool.pipelines.kernel_filter import filter_of

SCIPY = {name: border.scipy for name, border in BORDERS.items()}
WEIGHING = [name for name in KERNELS if kernel(name).sum() > 0 and not is_derivative(kernel(name))]
DERIVING = [name for name in KERNELS if name not in WEIGHING]
RANKS = ("median", "minimum", "maximum", "percentile", "rank")


def cut_out(shape=(17, 13), channels=4, dtype=np.uint8, seed=0):
    """Return an image some of which is transparent, half or not at all."""
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    image = rng.random((*shape, channels)) * top
    image[..., -1] = rng.choice([0, 0, 0.4 * top, top], shape)
    image[:6, :6, -1] = 0
    return np.rint(image).astype(dtype) if top > 1 else image.astype(dtype)


def reference(image, taps, border):
    """Return color 0..1 and alpha 0..1 by SciPy."""
    top = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1
    unit = image.astype(np.float64) / top
    alpha = unit[..., -1]
    rows, columns = taps.shape
    around = (rows, rows), (columns, columns)

    def correlated(plane, outside):
        padded = pad(plane, *around, border) if border != "clip" else np.pad(plane, around, constant_values=outside)
        done = ndimage.convolve(padded, taps, mode="nearest", origin=(-(rows % 2 == 0), -(columns % 2 == 0)))
        return done[rows:-rows, columns:-columns]

    shares = correlated(alpha, 1.0)
    colors = [correlated(unit[..., k] * alpha, 0.0) for k in range(image.shape[2] - 1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        shown = [np.where(shares > 1e-12, taps.sum() * color / shares, 0) for color in colors]
    return np.stack(shown, axis=2), (shares / taps.sum()).clip(0, 1)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("name", WEIGHING)
@pytest.mark.parametrize("channels", [2, 4])
def test_premultiplied_color_and_alpha_are_convolved_alike(name, border, channels):
    image = cut_out(channels=channels)
    taps = kernel(name)
    colors, shares = reference(image, taps, border)
    alpha = np.rint(shares * 255)
    expected = np.where(alpha[..., None] > 0, np.rint(colors * 255).clip(0, 255), 0)
    for method in ("auto", "direct", "fft", "gemm"):
        actual = filter_image(image, name, border=border, method=method)
        assert actual.dtype == np.uint8
        np.testing.assert_allclose(actual[..., -1], alpha, atol=1)
        both = (alpha > 0) & (actual[..., -1] > 0)
        np.testing.assert_allclose(actual[..., :-1][both], expected[both], atol=1)
        assert not actual[actual[..., -1] == 0].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("border", BORDERS)
def test_numbers_are_those_of_scipy(dtype, border):
    image = cut_out(dtype=dtype)
    colors, shares = reference(image, kernel("gaussian", sigma=1.5), border)
    actual = filter_image(image, "gaussian", sigma=1.5, border=border, range="raw")
    white = 255 if dtype == np.uint8 else 1
    tolerance = 1e-6 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(actual[..., -1], shares, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(actual[..., :-1], colors * white, rtol=tolerance * 100, atol=tolerance * white)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("name", RANKS)
@pytest.mark.parametrize("size", [3, 4, 7])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_ranks_are_taken_of_premultiplied_color_and_of_alpha(name, border, size, dtype):
    image = cut_out(dtype=dtype)
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    exact = image.astype(np.float64)
    products, alpha = exact[..., :-1] * exact[..., -1:], exact[..., -1]
    before, after = size // 2, (size - 1) // 2
    alpha = (
        np.pad(alpha, (before, after), constant_values=top)
        if border == "clip"
        else pad(alpha, (before, after), (before, after), border)
    )
    seen = neighborhood(products, name, border=border, size=size)
    shares = neighborhood(alpha, name, size=size)[before:, before:][: image.shape[0], : image.shape[1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        colors = np.where(shares[..., None] > 0, seen / shares[..., None], 0)
    expected = np.dstack([colors, shares])
    actual = filter_image(image, name, size=size, border=border)
    np.testing.assert_allclose(actual, np.rint(expected) if top > 1 else expected, rtol=1e-6)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_bilateral_colors_are_at_most_their_alpha(border, dtype):
    image = cut_out(dtype=dtype)
    actual = filter_image(image, "bilateral", border=border, range="raw")
    white = 255 if dtype == np.uint8 else 1
    assert actual[..., :-1].min() >= 0
    assert actual[..., :-1].max() <= white * (1 + 1e-6)
    opaque = image.copy()
    opaque[..., -1] = white
    expected = neighborhood(opaque[..., :-1], "bilateral", border=border)
    np.testing.assert_array_equal(filter_image(opaque, "bilateral", border=border, range="raw")[..., :-1], expected)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("name", [*WEIGHING, *NEIGHBORHOODS])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_an_opaque_alpha_changes_no_bit(name, border, dtype):
    image = cut_out(dtype=dtype)
    image[..., -1] = 255 if dtype == np.uint8 else 1
    for range in ("auto", "stretch", "raw"):
        actual = filter_image(image, name, border=border, range=range)
        np.testing.assert_array_equal(actual[..., :-1], filter_image(image[..., :-1], name, border=border, range=range))
        assert (actual[..., -1] == (255 if dtype == np.uint8 and range != "raw" else 1)).all()


@pytest.mark.parametrize("name", DERIVING)
@pytest.mark.parametrize("border", BORDERS)
def test_taps_that_add_up_to_0_or_less_see_the_background(name, border):
    image = cut_out()
    for range in ("auto", "stretch", "raw"):
        actual = filter_image(image, name, border=border, range=range)
        np.testing.assert_array_equal(actual, filter_image(flatten(image), name, border=border, range=range))
    expected = filter_image(flatten(image, "black"), name, border=border)
    np.testing.assert_array_equal(filter_image(image, name, border=border, background="black"), expected)


@settings(max_examples=40)
@given(
    name=st.sampled_from([*KERNELS, *NEIGHBORHOODS]),
    border=st.sampled_from(sorted(BORDERS)),
    range=st.sampled_from(["auto", "clip", "abs", "center", "stretch", "raw"]),
    floating=st.booleans(),
    hidden=hnp.arrays(np.uint8, (9, 11, 3)),
)
def test_F19_hidden_color_counts_nowhere(name, border, range, floating, hidden):
    image = cut_out((9, 11))
    other = image.copy()
    clear = image[..., -1] == 0
    other[clear, :3] = hidden[clear]
    if floating:
        image, other = image / 255, other / 255
        other[clear, 0] = np.where(hidden[clear, 0] > 127, np.nan, np.inf)
    for method in ["auto"] if name in NEIGHBORHOODS else ["auto", "fft"]:
        one, two = (filter_image(each, name, border=border, range=range, method=method) for each in (image, other))
        np.testing.assert_array_equal(one, two)


def test_one_color_stays_one_color():
    image = np.full((12, 12, 4), (200, 100, 50, 0), np.uint8)
    image[4:8, 4:8, 3] = 255
    for name in WEIGHING:
        done = filter_image(image, name)
        expected = np.rint(np.array([200, 100, 50]) * kernel(name).sum())
        assert (done[done[..., 3] > 0][:, :3] == expected).all(), name


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("range", ["clip", "stretch", "raw"])
@pytest.mark.parametrize("name", ["gaussian", "sharpen", "median", "sobel-x", "laplacian-8"])
def test_strips_have_the_bits_of_the_whole_image(name, border, range, monkeypatch):
    monkeypatch.setattr("imgtool.filters.strip_filter.SHORT_REACH_STRIP_BYTES", 64)
    monkeypatch.setattr("imgtool.filters.strip_filter.STRIP_BYTES", 1)
    monkeypatch.setattr(image_filter, "SURVEY_PIXELS", 100)
    image = cut_out((60, 9))
    image[20:60, :, 3] = 255  # strips that are opaque beside such as are not
    local = filter_of(name, border=border, range=range)
    whole, own = local(image), local.of(image)
    rows = list(own.strips(image))
    extremes = None
    for part in rows:
        extremes = merge_extremes(extremes, own.strip_extremes(image, part))
    made = [own.strip_pixels(image, part, extremes) for part in rows]
    assert len(rows) > 2
    np.testing.assert_array_equal(np.concatenate([each.pixels for each in made]), whole.pixels)
    assert {each.flattened for each in made} == {whole.flattened} == {name in ("sobel-x", "laplacian-8")}


def test_convolve_knows_no_alpha():
    image = cut_out()
    np.testing.assert_array_equal(convolve(image, kernel("box"))[..., 3], convolve(image[..., 3], kernel("box")))


@pytest.mark.parametrize(
    "dtype", ["bool", *(f"{kind}int{size}" for kind in ("", "u") for size in (8, 16, 32, 64)), "f2", "f4", "f8"]
)
@pytest.mark.parametrize("channels", [2, 4])
def test_every_type_of_image_with_alpha_is_filtered(dtype, channels):
    rng = np.random.default_rng(0)
    unit = rng.random((9, 8, channels)).round(1)
    unit[..., -1] = rng.choice([0, 0.5, 1], (9, 8))
    kind = np.dtype(dtype)
    scaled = unit if kind.kind in "bf" else (unit * 0.99 * np.iinfo(kind).max)
    image = scaled.astype(kind)
    hidden = image.copy()
    hidden[image[..., -1] == 0] = 0
    for name in ("gaussian", "sharpen", "median", "bilateral", "sobel-x"):
        for range in ("auto", "stretch", "raw"):
            done = filter_image(image, name, range=range)
            assert np.isfinite(done).all()
            np.testing.assert_array_equal(done, filter_image(hidden, name, range=range))
