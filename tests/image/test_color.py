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


SPACES = ("rgb", *color.NUMBER_SPACES)


@pytest.mark.parametrize("name", ["hsv", "luv", "lab", "xyz"])
@pytest.mark.parametrize("rgb", [RGB, EDGE])
def test_equals_scikit_image(name, rgb):
    peer = pytest.importorskip("skimage.color", reason="scikit-image is the reference")
    ours = color.change_space(rgb, "rgb", name)
    np.testing.assert_allclose(ours, getattr(peer, f"rgb2{name}")(rgb), atol=1e-3)


@pytest.mark.parametrize("source", SPACES)
@pytest.mark.parametrize("target", SPACES)
@pytest.mark.parametrize("rgb", [RGB, EDGE, RGB * 2 - 0.5])
def test_every_space_to_every_other_is_the_same_color(source, target, rgb):
    """Also outside sRGB, where nothing is clipped on the way."""
    there = color.change_space(rgb, "rgb", source)
    np.testing.assert_allclose(
        color.change_space(color.change_space(there, source, target), target, "rgb"), rgb, atol=1e-4
    )
    if source == target:
        assert color.change_space(there, source, target) is there


def test_between_spaces_of_numbers_no_other_is_passed():
    """Colors that sRGB cannot show: the worked example of Lab, and the red of Display P3."""
    lab = np.array([[[50.0, 100.0, 0.0]]])
    np.testing.assert_allclose(color.convert(lab, "xyz", source="lab")[0, 0], [0.432, 0.184, 0.201], atol=5e-4)
    np.testing.assert_array_equal(color.convert(lab, "lab", source="lab"), lab)
    red = np.array([[[0.48657, 0.22897, 0.0]]])  # SMPTE EG 432-1
    np.testing.assert_allclose(color.convert(red, "lab", source="xyz")[0, 0], [55.0, 94.1, 94.8], atol=0.06)
    shown = color.convert(red, "rgb", source="xyz")
    np.testing.assert_allclose(shown[0, 0], [1.093, -0.227, -0.150], atol=1e-3)  # CSS Color 4
    np.testing.assert_allclose(color.convert(shown, "lab")[0, 0], [55.0, 94.1, 94.8], atol=0.06)


@pytest.mark.parametrize("pair", ["lab2xyz", "luv2xyz", "xyz2lab", "xyz2luv"])
def test_steps_between_numbers_equal_scikit_images(pair):
    peer = pytest.importorskip("skimage.color", reason="scikit-image is the reference")
    source, target = pair.split("2")
    numbers = np.random.default_rng(1).random((9, 8, 3))
    if source != "xyz":
        numbers = numbers * [80, 60, 60] + [20, -30, -30]
    ours = color.convert(numbers, target, source=source)
    np.testing.assert_allclose(ours, getattr(peer, pair)(numbers), atol=2e-4 if target == "xyz" else 2e-2)


def test_numbers_are_float64_for_float64_and_where_asked():
    image = np.array([[[10, 200, 31]]], np.uint8)
    exact = color.convert(image, "lab", dtype="float64")
    assert exact.dtype == np.float64
    np.testing.assert_allclose(exact, color.change_space(image / 255, "rgb", "lab"), rtol=1e-15)
    assert color.convert(image, "lab").dtype == np.float32
    assert color.convert(image / 255, "lab").dtype == np.float64
    assert color.convert(image / 255, "lab", dtype=np.float32).dtype == np.float32
    assert color.convert(exact, "rgb", source="lab").dtype == np.float64
    assert color.convert(exact, "gray", source="lab").shape == (1, 1)
    with pytest.raises(ParameterError, match="float32 or float64"):
        color.convert(image, "lab", dtype="uint8")


def test_the_hue_of_a_gray_is_kept_between_hsv_and_hsl():
    gray = np.array([[[0.3, 0.0, 0.5]]])
    np.testing.assert_array_equal(color.change_space(gray, "hsv", "hsl"), gray)
    np.testing.assert_array_equal(color.change_space(gray, "hsl", "hsv"), gray)


@pytest.mark.parametrize("rgb", [RGB, EDGE])
def test_hsl_is_the_standard_librarys(rgb):
    hls = np.array([[colorsys.rgb_to_hls(*pixel) for pixel in row] for row in rgb])
    np.testing.assert_allclose(color.change_space(rgb, "rgb", "hsl"), hls[:, :, [0, 2, 1]], atol=1e-12)
    np.testing.assert_allclose(color.change_space(hls[:, :, [0, 2, 1]], "hsl", "rgb"), rgb, atol=1e-12)


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
    """Which clips what no screen shows."""
    peer = pytest.importorskip("skimage.color", reason="scikit-image is the reference")
    rng = np.random.default_rng(1)
    for rgb in (RGB, EDGE):
        numbers = getattr(peer, f"rgb2{name}")(rgb)
        np.testing.assert_allclose(color.change_space(numbers, name, "rgb"), rgb, atol=1e-3)
    numbers = rng.random((9, 8, 3))
    if name != "xyz":
        numbers = numbers * [80, 60, 60] + [20, -30, -30]
    expected = getattr(peer, f"{name}2rgb")(numbers)
    np.testing.assert_allclose(np.clip(color.change_space(numbers, name, "rgb"), 0, 1), expected, atol=1e-3)


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
