"""Median, minimum, maximum against SciPy and NumPy; the bilateral filter against its definition and OpenCV."""

import cv2
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.errors import ImageError, ParameterError
from imgtool.filters.borders import BORDERS, pad
from imgtool.filters.neighborhood import neighborhood
from imgtool.filters.windows import NEIGHBORHOODS

SCIPY = {
    "median": scipy.ndimage.median_filter,
    "minimum": scipy.ndimage.minimum_filter,
    "maximum": scipy.ndimage.maximum_filter,
}
DTYPES = ["uint8", "uint16", "float32", "float64"]

images = st.fixed_dictionaries(
    {
        "shape": st.tuples(st.integers(9, 16), st.integers(9, 16)),
        "channels": st.sampled_from([None, 1, 2, 3, 4, 5]),
        "dtype": st.sampled_from(DTYPES),
        "border": st.sampled_from(list(BORDERS)),
        "seed": st.integers(0, 2**32 - 1),
    }
)


def image_of(case):
    shape = case["shape"] + ((case["channels"],) if case["channels"] else ())
    values = np.random.default_rng(case["seed"]).random(shape)
    tops = {"uint8": 255, "uint16": 65535}
    return (values * tops.get(case["dtype"], 1)).astype(case["dtype"])


@given(images, st.sampled_from(list(SCIPY)), st.integers(1, 9))
@settings(max_examples=300)
def test_ranks_equal_scipys(case, name, size):
    image = image_of(case)
    window = (size, size, 1)[: image.ndim]
    expected = SCIPY[name](image, size=window, mode=BORDERS[case["border"]].scipy, cval=0)
    actual = neighborhood(image, name, border=case["border"], size=size)
    assert actual.dtype == image.dtype
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(("dtype", "size"), [("uint8", 31), ("uint8", 255), ("uint8", 62), ("uint16", 33)])
def test_windows_larger_than_the_image(border, dtype, size):
    # SciPy itself is wrong here for some borders and sizes.
    image = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (4, 6)).astype(dtype)
    margins = (size // 2, (size - 1) // 2)
    windows = np.lib.stride_tricks.sliding_window_view(pad(image, margins, margins, border), (size, size))
    windows = np.sort(windows.reshape(*image.shape, -1), axis=2)
    for name, rank in (("minimum", 0), ("median", size * size // 2), ("maximum", -1)):
        np.testing.assert_array_equal(neighborhood(image, name, border=border, size=size), windows[:, :, rank])


@given(st.integers(0, 2**32 - 1), st.sampled_from(list(SCIPY)), st.integers(1, 5), st.sampled_from(list(BORDERS)))
@settings(max_examples=100)
def test_nan_spreads_to_its_windows_and_infinity_is_a_number(seed, name, size, border):
    rng = np.random.default_rng(seed)
    image = rng.random((7, 8, 2))
    for value in (np.nan, np.inf, -np.inf):
        image[rng.random(image.shape) < 0.06] = value
    margins = (size // 2, (size - 1) // 2)
    windows = np.lib.stride_tricks.sliding_window_view(pad(image, margins, margins, border), (size, size), axis=(0, 1))
    windows = np.sort(windows.reshape(*image.shape, -1), axis=3)  # NaN last
    rank = {"minimum": 0, "median": size * size // 2, "maximum": -1}[name]
    expected = np.where(np.isnan(windows[..., -1]), np.nan, windows[..., rank])
    for dtype in ("float32", "float64"):
        actual = neighborhood(image.astype(dtype), name, border=border, size=size)
        np.testing.assert_array_equal(actual, expected.astype(dtype))


def bilateral_by_definition(image, border, sigma, sigma_color, truncate, top):
    """Sum over the disc, pixel after pixel."""
    radius = int(truncate * sigma + 0.5)
    padded = pad(image.astype(np.float64), (radius, radius), (radius, radius), border)
    result = np.zeros(image.shape)
    for y, x in np.ndindex(image.shape[:2]):
        center, total, weights = padded[y + radius, x + radius], 0.0, 0.0
        for v in range(-radius, radius + 1):
            for u in range(-radius, radius + 1):
                if u * u + v * v <= radius * radius:
                    other = padded[y + radius + v, x + radius + u]
                    difference = np.abs(other - center).sum() / top
                    weight = np.exp(-(u * u + v * v) / (2 * sigma**2) - difference**2 / (2 * sigma_color**2))
                    total, weights = total + weight * other, weights + weight
        result[y, x] = total / weights
    return result


@given(images, st.floats(0.4, 1.2), st.sampled_from([0.02, 0.1, 0.5, 3.0]), st.sampled_from([1.0, 2.0, 4.0]))
@settings(max_examples=60)
def test_bilateral_is_its_definition(case, sigma, sigma_color, truncate):
    case = {**case, "shape": tuple(side - 6 for side in case["shape"])}
    image = image_of(case)
    top = {"uint8": 255, "uint16": 65535}.get(case["dtype"], 1)
    actual = neighborhood(
        image, "bilateral", border=case["border"], sigma=sigma, sigma_color=sigma_color, truncate=truncate
    )
    expected = bilateral_by_definition(image, case["border"], sigma, sigma_color, truncate, top)
    assert actual.dtype == (np.float64 if case["dtype"] == "float64" else np.float32)
    tolerance = 1e-12 if case["dtype"] == "float64" else 1e-5
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * top)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_bilateral_is_opencvs_for_8_bits(channels):
    rng = np.random.default_rng(0)
    image = scipy.ndimage.gaussian_filter(rng.random((90, 70, *channels)), 2, axes=(0, 1))
    image = ((image - image.min()) / np.ptp(image) * 255).astype(np.uint8)
    theirs = cv2.bilateralFilter(image, 13, 0.1 * 255, 3, borderType=cv2.BORDER_REFLECT)
    ours = neighborhood(image, "bilateral", sigma=3, truncate=2)
    assert np.abs(ours - theirs).max() <= 0.51


@pytest.mark.parametrize("outlier", [2.9, 1e6])
def test_bilateral_beside_an_outlier_is_as_exact(outlier):
    """OpenCV has taken weights from a table over the whole range, in which this would be coarse."""
    image = np.random.default_rng(0).random((12, 13)).astype(np.float32)
    image[3, 4] = outlier
    actual = neighborhood(image, "bilateral", sigma=1)
    expected = bilateral_by_definition(image, "reflect", 1, 0.1, 4, 1)
    assert (np.abs(actual - expected) / np.maximum(1, expected)).max() < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_numbers_make_no_warning(dtype):
    top = np.finfo(dtype).max
    image = np.array([[top, -top, 1], [0, top / 2, -1]], dtype)
    for name in NEIGHBORHOODS:
        for each in (image, np.dstack([image] * 2)):
            result = neighborhood(each, name)
            assert name == "bilateral" or np.isfinite(result).all()


def test_bilateral_strips_are_seamless():
    image = np.random.default_rng(0).random((150, 20))
    whole = neighborhood(image, "bilateral", sigma=1.5)
    part = neighborhood(image[50:100], "bilateral", sigma=1.5)
    np.testing.assert_array_equal(whole[56:94], part[6:-6])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bilateral_of_nan_and_infinity(dtype):
    image = np.full((15, 30, 3), 0.05, dtype)
    image[7, 7, 1], image[7, 22, 0] = np.nan, np.inf
    result = neighborhood(image, "bilateral", sigma=1, truncate=3)
    y, x = np.mgrid[:15, :30]
    near = (y - 7) ** 2 + (x - 7) ** 2 <= 9
    assert np.isnan(result[near]).all()
    assert not np.isnan(result[~near]).any()
    np.testing.assert_array_equal(result[7, 22], image[7, 22])
    assert np.count_nonzero(np.isinf(result)) == 1
    near[7, 22] = True
    np.testing.assert_allclose(result[~near], 0.05, rtol=1e-6)


def test_bilateral_keeps_edges_and_smooths_the_rest():
    step = np.where(np.arange(40) < 20, 0.2, 0.8) + 0.01 * np.random.default_rng(0).standard_normal((40, 40))
    result = neighborhood(step, "bilateral", sigma=3)
    assert np.abs(np.diff(result, axis=1))[:, 19].min() > 0.55
    assert result[:, :18].std() < 0.4 * step[:, :18].std()


def test_median_too_large_for_the_type_is_refused():
    for dtype, size in (("uint16", 65), ("float64", 101), ("uint8", 64), ("uint8", 257)):
        with pytest.raises(ImageError, match=f"is {dtype}, whose values take size up to 63x63"):
            neighborhood(np.zeros((3, 3), dtype), "median", size=size)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("median", {"sigma": 1}), ("maximum", {"truncate": 2}), ("bilateral", {"size": 3}), ("median", {"size": 0}),
     ("minimum", {"size": 4097}), ("bilateral", {"sigma": 0}), ("bilateral", {"sigma_color": float("nan")}),
     ("bilateral", {"sigma": 1e6}), ("median", {"border": "black"}), ("mode", {})],
)  # fmt: skip
def test_wrong_parameters_are_refused(name, wrong):
    with pytest.raises(ParameterError):
        neighborhood(np.zeros((3, 3)), name, **wrong)
    if name in NEIGHBORHOODS:
        with pytest.raises(ImageError, match="no pixels"):
            neighborhood(np.zeros((0, 3)), name)


@pytest.mark.parametrize("border", BORDERS)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 7), st.integers(1, 7), st.data())
def test_windows_of_any_shape_and_rank_are_scipys(border, height, width, rows, columns, data):
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]))
    image = np.random.default_rng(height * 13 + width).integers(0, 250, (height, width)).astype(dtype)
    size, mode = (rows, columns), BORDERS[border].scipy
    rank = data.draw(st.integers(-rows * columns, rows * columns - 1))
    percent = data.draw(st.sampled_from([0, 1, 25, 33.3, 50, 75, 99.5, 100]))
    theirs = {
        "median": scipy.ndimage.median_filter(image, size=size, mode=mode),
        "minimum": scipy.ndimage.minimum_filter(image, size=size, mode=mode),
        "maximum": scipy.ndimage.maximum_filter(image, size=size, mode=mode),
        "rank": scipy.ndimage.rank_filter(image, rank, size=size, mode=mode),
        "percentile": scipy.ndimage.percentile_filter(image, percent, size=size, mode=mode),
    }
    more = {"rank": {"rank": rank}, "percentile": {"percentile": percent}}
    for name, expected in theirs.items():
        found = neighborhood(image, name, border=border, size=size, **more.get(name, {}))
        np.testing.assert_array_equal(found, expected, err_msg=name)
        assert found.dtype == dtype


def test_nan_spreads_to_the_windows_of_a_rank_that_hold_it():
    image = np.arange(35.0).reshape(5, 7)
    image[2, 3] = np.nan
    found = neighborhood(image, "percentile", percentile=30, size=(1, 3))
    assert np.isnan(found[2, 2:5]).all()
    assert np.isnan(found).sum() == 3


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("percentile", {"percentile": 101}, "from 0 to 100"),
        ("percentile", {"percentile": float("nan")}, "from 0 to 100"),
        ("rank", {"rank": 9}, "rank must be"),
        ("rank", {"rank": -10}, "rank must be"),
        ("rank", {"rank": 1.5}, "rank must be"),
        ("median", {"size": (3, 0)}, "size must be"),
        ("median", {"size": (3, 3, 3)}, "size must be"),
        ("bilateral", {"sigma": (1, 2)}, "one number, got two"),
    ],
)
def test_ranks_and_windows_that_are_none_are_refused(name, parameters, message):
    with pytest.raises(ParameterError, match=message):
        neighborhood(np.zeros((9, 9)), name, **parameters)
