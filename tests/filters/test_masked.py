"""Pixels that hold no data: normalized convolution with SciPy, windows of what counts in plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from imgtool import ImageError, ParameterError, convolve, filter_image, kernel, neighborhood
from imgtool.filters.borders import BORDERS, pad
from imgtool.filters.strip_filter import merge_extremes
from imgtool.filters.windows import NEIGHBORHOODS
from imgtool.pipelines import image_filter
from imgtool.pipelines.kernel_filter import filter_of

SCIPY = {name: border.scipy for name, border in BORDERS.items()}
SHAPES = [(14, 11), (14, 11, 3)]
DTYPES = ["uint8", "uint16", "float32", "float64"]


def image_and_mask(shape=(14, 11), dtype="uint8", share=0.3, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.random(shape) * (255 if dtype[0] == "u" else 1)
    mask = rng.random(shape[:2]) > share
    mask[:6, :6] = False
    mask[1, 1] = True
    return image.astype(dtype), mask


def each_channel(function, image):
    planes = image.reshape(*image.shape[:2], -1)
    return np.stack([function(planes[..., k]) for k in range(planes.shape[2])], axis=2).reshape(image.shape)


@pytest.mark.parametrize("shape", SHAPES, ids=["gray", "color"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("name", ["box", "gaussian", "motion", "sharpen"])
def test_convolution_is_normalized(name, border, dtype, shape):
    image, mask = image_and_mask(shape, dtype)
    taps = kernel(name)
    outside = 1.0 if border == "clip" else 0.0
    weights = ndimage.convolve(mask.astype(float), taps, mode=SCIPY[border], cval=outside)
    filled = np.where(mask if image.ndim == 2 else mask[..., None], image, 0).astype(float)
    sums = each_channel(lambda plane: ndimage.convolve(plane, taps, mode=SCIPY[border]), filled)
    counts = mask & (weights > 1e-12)
    divisor = np.where(counts, weights, 1)
    shown = each_channel(lambda plane: plane * taps.sum() / divisor, sums)
    expected = np.where(counts if image.ndim == 2 else counts[..., None], shown, image)
    for method in ("auto", "direct", "fft", "gemm"):
        actual = convolve(image, taps, border=border, mask=mask, method=method)
        assert actual.dtype == (np.float32 if dtype == "float32" else np.float64)
        np.testing.assert_allclose(actual, expected, rtol=1e-6 if dtype == "float32" else 1e-9, atol=1e-7)
        np.testing.assert_array_equal(actual[~mask], image[~mask])


def window_value(name, values, own):
    """Return a filter's value of the values that count, sorted."""
    count = len(values)
    if name == "median":
        return values[count // 2]
    if name == "percentile":
        return values[min(int(count * own["percentile"] / 100), count - 1)]
    if name == "rank":
        return values[min(own["rank"], count - 1)] if own["rank"] >= 0 else values[max(count + own["rank"], 0)]
    return values[0] if name == "minimum" else values[-1]


@pytest.mark.parametrize(
    ("name", "own"),
    [("median", {}), ("minimum", {}), ("maximum", {}), ("percentile", {"percentile": 30}), ("rank", {"rank": 2}),
     ("rank", {"rank": -2})],
    ids=lambda each: str(each),
)  # fmt: skip
@pytest.mark.parametrize("size", [3, 4, (5, 2)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("border", BORDERS)
def test_windows_hold_what_counts(name, own, size, border, dtype):
    image, mask = image_and_mask((9, 8), dtype)
    rows, columns = size if isinstance(size, tuple) else (size, size)
    down, across = (rows // 2, (rows - 1) // 2), (columns // 2, (columns - 1) // 2)
    values, gaps = pad(image, down, across, border), pad(~mask, down, across, border)
    expected = image.copy()
    for y, x in np.argwhere(mask):
        window, left_out = (each[y : y + rows, x : x + columns] for each in (values, gaps))
        expected[y, x] = window_value(name, np.sort(window[~left_out]), own)
    actual = neighborhood(image, name, border=border, mask=mask, size=size, **own)
    np.testing.assert_array_equal(actual, expected)
    assert actual.dtype == image.dtype


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_bilateral_counts_nothing_that_is_left_out(dtype):
    image, mask = image_and_mask((16, 15, 3), dtype)
    other = image.copy()
    other[~mask] = 0
    one, two = (neighborhood(each, "bilateral", mask=mask) for each in (image, other))
    np.testing.assert_array_equal(one[mask], two[mask])
    np.testing.assert_array_equal(one[~mask], image[~mask])
    assert np.isfinite(one).all()


@settings(max_examples=40)
@given(
    st.sampled_from(["gaussian", "box", "sharpen", "log", *NEIGHBORHOODS]),
    st.sampled_from(DTYPES),
    st.sampled_from(SHAPES),
    st.sampled_from(sorted(BORDERS)),
)
def test_a_mask_of_all_changes_no_bit(name, dtype, shape, border):
    image, _ = image_and_mask(shape, dtype)
    mask = np.ones(shape[:2], bool)
    function = neighborhood if name in NEIGHBORHOODS else lambda *a, **k: convolve(a[0], kernel(name), **k)
    np.testing.assert_array_equal(function(image, name, border=border, mask=mask), function(image, name, border=border))


@pytest.mark.parametrize("name", ["gaussian", "median", "minimum", "bilateral"])
def test_what_is_left_out_may_be_anything(name):
    image, mask = image_and_mask((12, 12), "float32")
    results = []
    for value in (0.0, np.nan, np.inf, -9999.0, 3e38):
        image[~mask] = value
        function = neighborhood if name in NEIGHBORHOODS else lambda *a, **k: convolve(a[0], kernel("gaussian"), **k)
        done = function(image, name, mask=mask)
        np.testing.assert_array_equal(done[~mask], image[~mask])
        results.append(done[mask])
    for each in results[1:]:
        np.testing.assert_array_equal(each, results[0])


@pytest.mark.parametrize("name", ["sobel-x", "log", "laplacian-8", "dog"])
def test_differences_are_refused(name):
    image, mask = image_and_mask()
    with pytest.raises(ParameterError, match="add up to more than 0"):
        convolve(image, kernel(name), mask=mask)
    with pytest.raises(ParameterError, match="add up to more than 0"):
        convolve(image, -kernel("box"), mask=mask)
    with pytest.raises(ParameterError, match="add up to more than 0"):
        filter_image(image, name, nodata=3)


@pytest.mark.parametrize("mask", [np.ones((3, 3), bool), np.ones((14, 11)), [[True], [True, False]], "mask", 1])
def test_what_is_no_mask_is_refused(mask):
    image, _ = image_and_mask()
    with pytest.raises((ParameterError, ImageError), match="mask must be bool"):
        convolve(image, kernel("box"), mask=mask)
    with pytest.raises((ParameterError, ImageError), match="mask must be bool"):
        neighborhood(image, "median", mask=mask)


@pytest.mark.parametrize("name", ["gaussian", "median", "bilateral"])
@pytest.mark.parametrize("range", ["auto", "stretch", "raw"])
@pytest.mark.parametrize("nodata", [-9999.0, np.nan])
def test_a_value_stands_for_no_data(name, range, nodata):
    image, mask = image_and_mask((20, 15), "float32")
    image[~mask] = nodata
    actual = filter_image(image, name, range=range, nodata=nodata)
    np.testing.assert_array_equal(actual[~mask], image[~mask])
    whole = neighborhood if name in NEIGHBORHOODS else lambda *a, **k: convolve(a[0], kernel("gaussian"), **k)
    expected = whole(image, name, mask=mask)[mask]
    if range == "stretch":
        expected = (expected - expected.min()) / (expected.max() - expected.min())
    np.testing.assert_allclose(actual[mask], expected, atol=1e-6)
    np.testing.assert_array_equal(
        filter_image(image, name, range=range, nodata=7.5), filter_image(image, name, range=range)
    )


def test_color_is_no_data_where_every_channel_holds_the_value():
    image = np.full((6, 6, 3), 100, np.uint8)
    image[2, 2], image[4, 4, 1] = 0, 0
    actual = filter_image(image, "box", nodata=0)
    assert actual[2, 2].tolist() == [0, 0, 0]
    assert actual[1, 1].tolist() == [100, 100, 100]
    assert actual[4, 4].tolist() == [100, 89, 100]


def test_alpha_and_no_data_together():
    rng = np.random.default_rng(0)
    image = rng.integers(1, 256, (15, 14, 4), dtype=np.uint8)
    image[..., 3] = rng.choice([0, 100, 255], (15, 14))
    mask = rng.random((15, 14)) > 0.2
    image[~mask, :3] = 0
    for name in ("gaussian", "median", "bilateral"):
        actual = filter_image(image, name, nodata=0)
        np.testing.assert_array_equal(actual[~mask], image[~mask])
    taps = kernel("gaussian")
    alpha = image[..., 3] / 255 * mask
    sums = each_channel(
        lambda plane: ndimage.convolve(plane * alpha, taps, mode="reflect"), image[..., :3].astype(float)
    )
    expected = sums / ndimage.convolve(alpha, taps, mode="reflect")[..., None]
    shares = ndimage.convolve(alpha, taps, mode="reflect") / ndimage.convolve(mask * 1.0, taps, mode="reflect")
    actual = filter_image(image, "gaussian", nodata=0)[mask].astype(float)
    np.testing.assert_allclose(actual[:, 3], shares[mask] * 255, atol=0.5 + 1e-9)
    np.testing.assert_allclose(actual[:, :3], expected[mask], atol=0.5 + 1e-9)


@pytest.mark.parametrize("name", ["gaussian", "median", "sharpen"])
@pytest.mark.parametrize("range", ["clip", "stretch", "raw"])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_strips_have_the_bits_of_the_whole_image(name, range, channels, monkeypatch):
    monkeypatch.setattr("imgtool.filters.strip_filter.SHORT_REACH_STRIP_BYTES", 64)
    monkeypatch.setattr("imgtool.filters.strip_filter.STRIP_BYTES", 1)
    monkeypatch.setattr(image_filter, "SURVEY_PIXELS", 100)
    image = np.random.default_rng(0).integers(1, 256, (60, 9, *channels), dtype=np.uint8)
    image[20:24, 3:7] = 0
    local = filter_of(name, range=range, nodata=0)
    whole, own = local(image), local.of(image)
    rows, extremes = list(own.strips(image)), None
    for part in rows:
        extremes = merge_extremes(extremes, own.strip_extremes(image, part))
    made = [own.strip_pixels(image, part, extremes) for part in rows]
    np.testing.assert_array_equal(np.concatenate([each.pixels for each in made]), whole.pixels)
    assert sum(each.nodata for each in made) == whole.nodata == 16
