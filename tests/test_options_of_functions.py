"""Switches, names and whole numbers of public functions: what they cannot be is a ParameterError in one line."""

import inspect

import numpy as np
import pytest

import imgtool
from imgtool.errors import ImgtoolError, ParameterError

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
FUNCTIONS = ["hog", "dalal_triggs", "uoctti", "gist", "dense_sift", "phow", "embed"]
FUNCTIONS += ["filter_image", "gradient", "convert_depth"]
ODD = [[], [1], {}, 2**70, np.array([1, 2]), object(), b"x", (1, 2, 3)]


def options(kind):
    """Yield (function, option) of the options whose default is of a type."""
    for name in FUNCTIONS:
        for option, each in inspect.signature(getattr(imgtool, name)).parameters.items():
            if each.kind is each.KEYWORD_ONLY and type(each.default) is kind:
                yield name, option


@pytest.mark.parametrize(("name", "option"), [*options(str), *options(int)], ids=str)
def test_F26_names_and_whole_numbers_are_nothing_else(name, option):
    for value in ODD[:4] + ODD[5:] if option in ("cell", "block") else ODD:  # these take a pair
        with pytest.raises(ImgtoolError) as caught:
            getattr(imgtool, name)(IMAGE, **{option: value})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), 1e6, "9", None, [], True])
def test_F26_max_pixels_is_a_whole_number(value):
    data = imgtool.encode(IMAGE, "png")
    with pytest.raises(ParameterError, match="max_pixels must be a whole number"):
        imgtool.read(data, max_pixels=value)
    with pytest.raises(ParameterError, match="max_pixels must be a whole number"):
        list(imgtool.describe_images(["a.png"], "hog", max_pixels=value))


@pytest.mark.parametrize(("name", "option"), list(options(bool)), ids=str)
def test_F26_switches_are_true_or_false(name, option):
    for value in (each for each in ODD if not isinstance(each, int)):
        with pytest.raises(ParameterError, match=f"{option} must be True or False"):
            getattr(imgtool, name)(IMAGE, **{option: value})
    for value in (True, False, np.True_, 1):
        getattr(imgtool, name)(IMAGE, **{option: value})
