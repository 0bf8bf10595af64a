"""Color spaces against scikit-image, Python's colorsys and the textbook's formulas."""

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from imgtool.errors import ImageError, ParameterError
from imgtool.image import color

RGB = np.random.default_rng(0).random((20, 30, 3))
EDGE = np.array([[[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0.5, 0.5, 0.5]]], float)


@pytest.mark.parametrize("name", ["hsv", "luv", "lab", "xyz"])
@pytest.mark.parametrize("rgb", [RGB, EDGE])
def test_equals_scikit_image(name, rgb):
    peer = pytest.importorskip("skimage.color", reason="scikit-image is the reference")
    ours = getattr(color, f"to_{name}")(rgb)
    np.testing.assert_allclose(ours, getattr(peer, f"rgb2{name}")(rgb), atol=1e-3)


@pytest.mark.parametrize("rgb", [RGB, EDGE])
def test_hsv_and_back(rgb):
    np.testing.assert_allclose(color.from_hsv(color.to_hsv(rgb)), rgb, atol=1e-12)


@pytest.mark.parametrize("rgb", [RGB, EDGE])
def test_hsl_is_the_standard_librarys(rgb):
    hls = np.array([[colorsys.rgb_to_hls(*pixel) for pixel in row] for row in rgb])
    np.testing.assert_allclose(color.to_hsl(rgb), hls[:, :, [0, 2, 1]], atol=1e-12)
    np.testing.assert_allclose(color.from_hsl(hls[:, :, [0, 2, 1]]), rgb, atol=1e-12)


@pytest.mark.parametrize("rgb", [RGB, EDGE])
def test_cmyk_is_the_textbooks(rgb):
    cmyk = color.to_cmyk(rgb)
    for (c, m, y, k), (r, g, b) in zip(cmyk.reshape(-1, 4), rgb.reshape(-1, 3), strict=True):
        assert k == 1 - max(r, g, b)
        if k < 1:
            np.testing.assert_allclose((c, m, y), ((1 - r - k) / (1 - k), (1 - g - k) / (1 - k), (1 - b - k) / (1 - k)))
        np.testing.assert_allclose(((1 - c) * (1 - k), (1 - m) * (1 - k), (1 - y) * (1 - k)), (r, g, b), atol=1e-12)
    np.testing.assert_allclose(color.from_cmyk(cmyk), rgb, atol=1e-12)
    ink = np.random.default_rng(2).random((5, 6, 4))
    np.testing.assert_allclose(color.from_cmyk(ink), (1 - ink[..., :3]) * (1 - ink[..., 3:]), atol=1e-12)


@pytest.mark.parametrize("name", ["lab", "luv", "xyz"])
def test_back_to_rgb_equals_scikit_image(name):
    peer = pytest.importorskip("skimage.color", reason="scikit-image is the reference")
    rng = np.random.default_rng(1)
    for rgb in (RGB, EDGE):
        numbers = getattr(peer, f"rgb2{name}")(rgb)
        np.testing.assert_allclose(getattr(color, f"from_{name}")(numbers), rgb, atol=1e-3)
    # also colors that no screen shows
    numbers = rng.random((9, 8, 3))
    if name != "xyz":
        numbers = numbers * [100, 60, 60] - [0, 30, 30]
    expected = getattr(peer, f"{name}2rgb")(numbers)
    np.testing.assert_allclose(getattr(color, f"from_{name}")(numbers), expected, atol=1e-3)


@pytest.mark.parametrize("space", list(color.NUMBER_SPACES))
@given(image=hnp.arrays(np.uint8, (3, 4, 3)))
def test_there_and_back_is_the_same_picture(space, image):
    there = color.convert(image, space)
    assert there.dtype == np.float32
    back = color.convert(there, "rgb", source=space)
    assert np.abs(back * 255 - image).max() < 0.02


@pytest.mark.parametrize("image", [np.zeros((2, 2)), np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 4))])
def test_numbers_of_a_space_are_three_floating_channels(image):
    with pytest.raises(ImageError, match="lab"):
        color.convert(image, "rgb", source="lab")
    if image.dtype == np.uint8 or image.ndim == 2:
        with pytest.raises(ImageError, match="cmyk numbers: these are 4"):
            color.convert(image, "rgb", source="cmyk")


def test_gray_is_rec_601_or_the_mean():
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 31]]], np.uint8)
    assert color.to_gray(image).tolist() == [[76, 150, 29, 18]]
    assert color.to_gray(image, "mean").tolist() == [[85, 85, 85, 20]]
    with pytest.raises(ParameterError, match="there are"):
        color.to_gray(image, "luma")


def test_direction_picture_is_red_for_a_rise_to_the_right_and_black_where_flat():
    picture = color.direction_picture(np.array([[1.0, 0.0]]), np.array([[0.0, 0.0]]))
    assert picture.tolist() == [[[255, 0, 0], [0, 0, 0]]]


def test_direction_picture_of_what_is_not_finite():
    magnitude = np.array([[np.nan, np.inf, 2.0, 1.0]])
    picture = color.direction_picture(magnitude, np.array([[np.nan, 0.0, 0.0, 0.0]]))
    assert picture.tolist() == [[[0, 0, 0], [255, 0, 0], [255, 0, 0], [128, 0, 0]]]
    assert not color.direction_picture(np.full((2, 2), np.nan), np.full((2, 2), np.nan)).any()


def test_unknown_space_is_refused():
    with pytest.raises(ParameterError, match="there are"):
        color.convert(RGB, "yuv")
