"""GIST against LMgist (tests/reference/gist.npz)."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.errors import ImageError, ParameterError
from imgtool.features.gist import PRESETS, gabor_bank, gist, mean_gray, normalised_contrast, square, stretch

REFERENCE = Path(__file__).parents[1] / "reference"
GIST = np.load(REFERENCE / "gist.npz")
IMAGES = np.load(REFERENCE / "images.npz")
KEYS = [key for key in GIST.files if key.startswith(("exact_", "orig_"))]


def parse(key):
    kind, name, size, orientations, rest = re.match(r"(exact|orig)_(.*)_s(\d+)_o(\d+)(.*)", key).groups()
    parameters = {"size": int(size), "orientations": tuple(map(int, orientations))}
    if rest.startswith("_b"):
        parameters["blocks"] = int(rest[2:])
    if rest.startswith("_fc"):
        parameters["prefilter"] = float(rest[3:])
    return kind, IMAGES[name], parameters


def test_there_are_reference_arrays():
    assert len(KEYS) == 17


@pytest.mark.parametrize("key", KEYS)
def test_equals_the_reference_arrays(key):
    kind, image, parameters = parse(key)
    tolerance = 1e-5 if kind == "exact" else 2e-5
    np.testing.assert_allclose(gist(image, **parameters), GIST[key], rtol=0, atol=tolerance * np.abs(GIST[key]).max())


@pytest.mark.parametrize("key", [key for key in GIST.files if key.startswith("inter__")])
def test_stages_equal_the_reference_arrays(key):
    _, name, stage = key.split("__")
    _, image, parameters = parse(name)
    plane = square(mean_gray(image), parameters["size"])
    if stage != "resized":
        plane = stretch(plane)
    if stage == "prefiltered":
        plane = normalised_contrast(plane, 4.0)
    np.testing.assert_allclose(plane, GIST[key], rtol=0, atol=1e-4)


def test_gabor_bank_equals_the_reference_arrays():
    bank = gabor_bank(192, (8, 8, 8, 8))
    np.testing.assert_allclose(bank[0], GIST["gabor_first__s128_o8888"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(bank[-1], GIST["gabor_last__s128_o8888"], rtol=0, atol=1e-12)


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)),
    st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 4), st.booleans(),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_length_and_finiteness_for_any_image(image, orientations, blocks, color):
    result = gist(image, size=32, orientations=orientations, blocks=blocks, color=color)
    assert result.shape == (sum(orientations) * blocks**2 * (3 if color else 1),)
    assert np.isfinite(result).all()
    assert (result >= 0).all()


def test_windows_run_down_the_columns_first():
    image = np.zeros((64, 64))
    image[40:, :20] = np.random.default_rng(0).random((24, 20))  # bottom left
    strongest = gist(image, size=64, orientations=(4,), blocks=2).reshape(4, 2, 2).sum(0).argmax()
    assert strongest == 1  # column 0, row 1


@pytest.mark.parametrize(("preset", "length"), [("lmgist", 512), ("lear", 960), ("hays-efros", 480)])
def test_presets_have_their_published_length(preset, length):
    assert len(gist(IMAGES["coffee_200x300"], **PRESETS[preset])) == length


def test_constant_image_gives_zeros():
    assert not gist(np.full((40, 50, 3), 200, np.uint8), size=64).any()


def test_nan_is_refused():
    with pytest.raises(ImageError, match="NaN"):
        gist(np.full((8, 8), np.nan))


@pytest.mark.parametrize("wrong", [{"orientations": ()}, {"orientations": (0,)}, {"blocks": 0}, {"prefilter": 0}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ParameterError):
        gist(np.zeros((8, 8)), **wrong)
