"""Color spaces against scikit-image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from imgtool.errors import ParameterError
from imgtool.image import color

RGB = np.random.default_rng(0).random((20, 30, 3))
EDGE = np.array([[[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0.5, 0.5, 0.5]]], float)


@pytest.mark.parametrize("name", ["hsv", "lab", "xyz"])
@pytest.mark.parametrize("rgb", [RGB, EDGE])
def test_equals_scikit_image(name, rgb):
    peer = pytest.importorskip("skimage.color", reason="scikit-image is the reference")
    ours = getattr(color, f"to_{name}")(rgb)
    np.testing.assert_allclose(ours, getattr(peer, f"rgb2{name}")(rgb), atol=1e-3)


@pytest.mark.parametrize("rgb", [RGB, EDGE])
def test_hsv_and_back(rgb):
    np.testing.assert_allclose(color.from_hsv(color.to_hsv(rgb)), rgb, atol=1e-12)


def test_gray_is_rec_601_or_the_mean():
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 31]]], np.uint8)
    assert color.to_gray(image).tolist() == [[76, 150, 29, 18]]
    assert color.to_gray(image, "mean").tolist() == [[85, 85, 85, 20]]
    with pytest.raises(ParameterError, match="there are"):
        color.to_gray(image, "luma")


@given(hnp.arrays(np.uint8, (3, 4, 4)))
def test_alpha_is_split_and_joined(image):
    np.testing.assert_array_equal(color.join_alpha(*color.split_alpha(image)), image)
    joined = color.join_alpha(color.split_alpha(image)[0].astype(np.float32) / 255, color.split_alpha(image)[1])
    np.testing.assert_allclose(joined * 255, image, atol=1e-4)


def test_direction_picture_is_red_for_a_rise_to_the_right_and_black_where_flat():
    picture = color.direction_picture(np.array([[1.0, 0.0]]), np.array([[0.0, 0.0]]))
    assert picture.tolist() == [[[255, 0, 0], [0, 0, 0]]]


def test_unknown_space_is_refused():
    with pytest.raises(ParameterError, match="there are"):
        color.convert(RGB, "yuv")
