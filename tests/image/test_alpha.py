"""Transparency: splitting, joining, showing on a background."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.errors import ParameterError
from imgtool.image.alpha import flatten, join_alpha, parse_color, split_alpha
from imgtool.image.color import convert, to_gray, to_rgb

COLORS = {
    "white": (1, 1, 1), "black": (0, 0, 0), "red": (1, 0, 0), "#0f0": (0, 1, 0), "#0000ff": (0, 0, 1),
    "255,0,255": (1, 0, 1), "0, 255, 0": (0, 1, 0), (0, 0, 255): (0, 0, 1),
}  # fmt: skip


@given(hnp.arrays(np.uint8, (3, 4, 4)))
def test_alpha_is_split_and_joined(image):
    np.testing.assert_array_equal(join_alpha(*split_alpha(image)), image)
    joined = join_alpha(split_alpha(image)[0].astype(np.float32) / 255, split_alpha(image)[1])
    np.testing.assert_allclose(joined * 255, image, atol=1e-4)


@pytest.mark.parametrize(("color", "expected"), COLORS.items(), ids=map(str, COLORS))
def test_a_color_is_a_name_hexadecimal_or_numbers(color, expected):
    assert parse_color(color) == expected


@pytest.mark.parametrize("color", ["", "whitish", "#12", "1,2", "1,2,3,4", "256,0,0", "-1,0,0", "#00000080", (1, 2), 7])
def test_what_is_no_color_is_refused(color):
    with pytest.raises(ParameterError, match="is no color"):
        flatten(np.zeros((1, 1, 4), np.uint8), color)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [2, 4])
def test_flatten_is_the_mean_of_color_and_background_weighted_by_alpha(dtype, channels):
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    image = (np.random.default_rng(0).random((9, 7, channels)) * top).astype(dtype)
    image[0, :, -1], image[1, :, -1] = 0, top
    background = np.array([40, 120, 200])
    shown = background / 255 * top
    alpha = image[..., -1:] / float(top)
    expected = image[..., :-1].astype(float) * alpha + shown * (1 - alpha)
    actual = flatten(image, tuple(background))
    assert actual.dtype == dtype
    tolerance = 0.5 + 1e-9 if np.dtype(dtype).kind == "u" else 1e-6
    np.testing.assert_allclose(actual.astype(float), expected, atol=tolerance)
    np.testing.assert_array_equal(actual[1], np.broadcast_to(image[1, :, :-1], (7, 3)))


def test_gray_stays_gray_on_gray():
    image = np.array([[[10, 255], [10, 0]]], np.uint8)
    assert flatten(image).tolist() == [[10, 255]]
    assert flatten(image, "red").tolist() == [[[10, 10, 10], [255, 0, 0]]]


@given(
    image=hnp.arrays(np.uint8, (4, 5, 4), elements=st.integers(0, 255)),
    hidden=hnp.arrays(np.float64, (4, 5, 3), elements=st.sampled_from([0.0, 0.3, 1.0, np.nan, np.inf, -7.0])),
)
def test_hidden_color_counts_nowhere(image, hidden):
    image = image / 255
    other = image.copy()
    clear = image[..., 3] == 0
    other[clear, :3] = hidden[clear]
    for function in (
        flatten,
        to_gray,
        to_rgb,
        lambda array: convert(array, "lab"),
        lambda array: convert(array, "gray"),
    ):
        np.testing.assert_array_equal(function(image), function(other))


def test_an_opaque_alpha_changes_no_bit():
    image = np.random.default_rng(0).random((5, 6, 4))
    image[..., 3] = 1
    np.testing.assert_array_equal(flatten(image, "black"), image[..., :3])


def test_numbers_of_a_color_space_see_the_background():
    clear = np.zeros((1, 1, 4), np.uint8)
    assert convert(clear, "gray").tolist() == [[255]]
    assert convert(clear, "hsv", background="black")[0, 0].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(convert(clear, "rgb"), clear)
