"""Resizing against Pillow and torchvision's recipe (tests/reference/preprocess.npz)."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imgtool.errors import ParameterError
from imgtool.image.resize import RESAMPLE, fit_crop, fit_crop_stack, fit_crops, fitted, resize
from locations import REFERENCE

CROPS = np.load(REFERENCE / "preprocess.npz")
IMAGES = np.load(REFERENCE / "images.npz")


@pytest.mark.parametrize("key", [key for key in CROPS.files if key.startswith("crop__")])
def test_crop_equals_the_reference_byte_for_byte(key):
    _, name, *rest = key.split("__")
    short, crop = (int(re.sub(r"\D", "", part)) for part in rest[0].split("_")) if rest else (256, 224)
    np.testing.assert_array_equal(fit_crop(IMAGES[name], short, crop), CROPS[key])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 4))
def test_every_type_agrees_with_pillow_within_a_level(rows, columns, height, width, channels):
    image = np.random.default_rng(rows * 41 + columns).integers(0, 256, (rows, columns, channels), dtype=np.uint8)
    image = image[:, :, 0] if channels == 1 else image
    expected = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)).astype(float)
    np.testing.assert_array_equal(resize(image, height, width), expected)
    for scale, dtype in ((257, np.uint16), (1.0, np.float32), (1.0, np.float64)):
        got = resize((image * np.asarray(scale, dtype)).astype(dtype), height, width)
        assert got.dtype == dtype
        if channels in (1, 3):
            assert np.abs(got / scale - expected).max() <= 1.0
        else:  # Pillow rounds to 8 bits four times on the way, so the exact result is the reference
            np.testing.assert_allclose(got / scale, exact_with_alpha(image, height, width), atol=0.01)


def exact_with_alpha(image, height, width):
    """The triangle filter as two matrices, on colors times alpha."""
    down, across = triangles(image.shape[0], height), triangles(image.shape[1], width).T
    alpha = image[:, :, -1:].astype(float)
    weighted = np.concatenate([image[:, :, :-1] * alpha, alpha], axis=2)
    result = np.stack([down @ plane @ across for plane in np.moveaxis(weighted, 2, 0)], axis=2)
    colors = np.divide(
        result[:, :, :-1], result[:, :, -1:], out=np.zeros_like(result[:, :, :-1]), where=result[:, :, -1:] > 0
    )
    return np.concatenate([colors, result[:, :, -1:]], axis=2)


def triangles(rows, height):
    scale = rows / height
    centers = (np.arange(height)[:, None] + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(rows) + 0.5 - centers) / max(scale, 1))
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_is_transparent_gives_no_color(dtype):
    top = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    image = np.zeros((4, 8, 4), dtype)
    image[:, :4] = (0, top, 0, 0)  # invisible green
    image[:, 4:] = (top, 0, 0, top)
    small = resize(image, 2, 3)
    assert small[..., 1].max() == 0
    assert (small[:, 1:, 0] == top).all()
    assert 0 < small[0, 1, 3] < top


@pytest.mark.parametrize("hidden", [np.nan, np.inf])
@pytest.mark.parametrize("resample", ["bilinear", "box", "bicubic"])
def test_what_is_transparent_gives_no_nan(resample, hidden):
    image = np.ones((4, 8, 4), np.float32)
    image[:, :4] = (hidden, hidden, hidden, 0)
    plain = np.where(np.isfinite(image), image, 0)
    np.testing.assert_array_equal(resize(image, 7, 13, resample=resample), resize(plain, 7, 13, resample=resample))


def test_bytes_are_pillows():
    image = IMAGES["coffee_200x300"]
    expected = np.asarray(Image.fromarray(image).resize((77, 31), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(image, 31, 77), expected)


def test_wrong_sizes_are_refused():
    with pytest.raises(ParameterError, match="at least 1, got 0"):
        resize(np.zeros((4, 4)), 0, 4)
    with pytest.raises(ParameterError, match="crop"):
        fit_crop(np.zeros((4, 4)), 4, 5)


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 40), st.booleans(), st.integers(1, 40), st.integers(0, 9))
def test_many_images_of_one_size_are_fitted_as_each_alone(resample, n, height, width, is_color, crop, margin):
    shape = (n, height, width, 3) if is_color else (n, height, width)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = np.stack([fit_crop(image, crop + margin, crop, resample=resample) for image in images])
    np.testing.assert_array_equal(fit_crop_stack(images, crop + margin, crop, resample=resample), expected)


@pytest.mark.parametrize("resample", RESAMPLE)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 4))
def test_every_filter_gives_pillows_bytes_and_other_types_agree(resample, rows, columns, height, width, channels):
    image = np.random.default_rng(rows * 41 + columns).integers(0, 256, (rows, columns, channels), dtype=np.uint8)
    image = image[:, :, 0] if channels == 1 else image
    expected = np.asarray(Image.fromarray(image).resize((width, height), RESAMPLE[resample]))
    np.testing.assert_array_equal(resize(image, height, width, resample=resample), expected)
    if resample == "nearest":
        for dtype in (np.uint16, np.int64, np.float64):
            np.testing.assert_array_equal(resize(image.astype(dtype), height, width, resample=resample), expected)
    elif channels in (1, 3):
        planes = np.moveaxis(np.atleast_3d(image.astype(np.float32)), 2, 0)
        exact = [np.asarray(Image.fromarray(each).resize((width, height), RESAMPLE[resample])) for each in planes]
        exact = exact[0] if channels == 1 else np.dstack(exact)
        np.testing.assert_array_equal(resize(image.astype(np.float32), height, width, resample=resample), exact)
        wide = resize(image.astype(np.uint16) * 257, height, width, resample=resample)
        assert np.abs(wide / 257 - exact.clip(0, 255)).max() <= 0.5 / 257 + 1e-4


def test_wide_numbers_stay_exact_with_nearest():
    image = np.array([[2**53 + 1, -(2**60)]], np.int64)
    np.testing.assert_array_equal(resize(image, 1, 4, resample="nearest"), image[:, [0, 0, 1, 1]])


def test_a_cubic_leaves_no_alpha_below_0_and_no_color_where_nothing_is_opaque():
    image = np.zeros((1, 12, 4), np.float32)
    image[:, 5:] = (1, 0.5, 0, 1)
    found = resize(image, 1, 24, resample="bicubic")
    assert found[..., 3].min() == 0
    assert np.isfinite(found).all()
    assert (found[..., :3][found[..., 3] == 0] == 0).all()


def test_an_unknown_filter_is_refused():
    with pytest.raises(ParameterError, match="did you mean bicubic"):
        resize(np.zeros((4, 4)), 2, 2, resample="Bi-Cubic")


@pytest.mark.parametrize("shape", [(40, 60, 3), (60, 40), (48, 48, 3), (10, 90)])
@pytest.mark.parametrize("short", [16, 20])
def test_ten_crops_are_corners_center_and_mirrors(shape, short):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    crops = fit_crops(image, short, 16)
    assert crops.shape == (10, 16, 16, *shape[2:])
    rows, columns = (short * shape[0] // min(shape[:2]), short * shape[1] // min(shape[:2]))
    resized = resize(image, rows, columns)
    for crop, (top, left) in zip(crops, [(0, 0), (0, -16), (-16, 0), (-16, -16)], strict=False):
        np.testing.assert_array_equal(crop, resized[top : top + 16 or None, left : left + 16 or None])
    np.testing.assert_array_equal(crops[4], fit_crop(image, short, 16))
    np.testing.assert_array_equal(crops[5:], crops[:5, :, ::-1])


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(1, 50), (3, 200, 3), (90, 2), (300, 5, 3), (40, 2000)])
def test_a_square_of_a_long_image_is_that_of_the_whole(shape, resample):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    height, width, window = fitted(*shape[:2], 16, 12)
    whole = resize(image, height, width, resample=resample)
    assert np.abs(fit_crop(image, 16, 12, resample=resample).astype(int) - whole[window]).max() <= 1
    corner = fit_crops(image, 16, 12, resample=resample)[3]
    assert np.abs(corner.astype(int) - whole[-12:, -12:]).max() <= 1


@pytest.mark.parametrize("shape", [(1, 20_000_000), (20_000_000, 1)])
def test_F23_an_image_of_one_row_is_not_made_large(shape):
    image = np.zeros(shape, np.uint8)
    assert fit_crop(image, 256, 224).shape == (224, 224)
    assert fit_crops(image, 256, 224).shape == (10, 224, 224)
    assert fit_crop_stack(image[None], 256, 224).shape == (1, 224, 224)
