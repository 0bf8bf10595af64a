"""UoCTTI's HoG and VLFeat's form of Dalal and Triggs' against VLFeat's arrays, and against a plain sum of votes."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.errors import ImageError, ParameterError
from imgtool.features.uoctti import uoctti, vlfeat_dalal_triggs
from locations import REFERENCE

HOG = np.load(REFERENCE / "hog.npz")
IMAGES = np.load(REFERENCE / "images.npz")
KEYS = [key for key in HOG.files if re.match(r"vl_(uoctti|dt)__", key)]
FUNCTIONS = {"vl_uoctti": uoctti, "vl_dt": vlfeat_dalal_triggs}


def test_there_are_reference_arrays():
    assert len(KEYS) == 15


@pytest.mark.parametrize("key", KEYS)
def test_equals_the_reference_arrays(key):
    kind, name, text = key.split("__")
    image = IMAGES[name.removesuffix("_unit")] / (255 if name.endswith("_unit") else 1)
    cell, orientations = re.match(r"c(\d+)(?:_o(\d+))?", text).groups()
    bilinear = "bilinear" in text
    actual = FUNCTIONS[kind](image, cell=int(cell), orientations=int(orientations or 9), bilinear=bilinear)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, HOG[key], rtol=0, atol=5e-4 if bilinear else 5e-6)


def plain_histograms(image, orientations, cell):
    """Vote pixel by pixel, as the formulas say."""
    image = image.astype(float)
    height, width = image.shape
    rows, columns = (height + cell // 2) // cell, (width + cell // 2) // cell
    result = np.zeros((rows, columns, 2 * orientations))
    angles = np.arange(orientations) * np.pi / orientations
    for y, x in np.ndindex(height, width):
        if not (0 < y < height - 1 and 0 < x < width - 1):
            continue
        gx, gy = image[y, x + 1] - image[y, x - 1], image[y + 1, x] - image[y - 1, x]
        products = gx * np.cos(angles).astype(np.float32) + gy * np.sin(angles).astype(np.float32)
        best = np.abs(products).argmax()
        bin = best + orientations * (products[best] < 0)
        for row, column in np.ndindex(rows, columns):
            share = max(0, 1 - abs((y + 0.5) / cell - 0.5 - row)) * max(0, 1 - abs((x + 0.5) / cell - 0.5 - column))
            result[row, column, bin] += share * np.hypot(gx, gy)
    return result


def plainly(image, orientations, cell):
    histograms = plain_histograms(image, orientations, cell)
    a, b = histograms[..., :orientations], histograms[..., orientations:]
    energy = np.pad(((a + b) ** 2).sum(2), 1, mode="edge")
    rows, columns = energy.shape[0] - 2, energy.shape[1] - 2
    out = np.zeros((rows, columns, 3 * orientations + 4))
    for y, x in np.ndindex(rows, columns):
        for i, (up, left) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
            f = 1 / np.sqrt(energy[y + up : y + up + 2, x + left : x + left + 2].sum() + 1e-4)
            all_of = np.concatenate([a[y, x], b[y, x], a[y, x] + b[y, x]])
            out[y, x, : 3 * orientations] += 0.5 * np.minimum(f * all_of, 0.2)
            out[y, x, 3 * orientations + i] = np.minimum(f * (a[y, x] + b[y, x]), 0.2).sum() / np.sqrt(18)
    return out


@given(
    st.integers(1, 9), st.integers(1, 5), st.tuples(st.integers(3, 14), st.integers(3, 14)),
    st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]), st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=40)
def test_equals_a_plain_sum_of_votes(orientations, cell, shape, dtype, seed):
    # odd primes: hardly a gradient lies half-way between two orientations, where rounding decides
    image = (np.random.default_rng(seed).integers(0, 17, shape) * 13 + np.arange(shape[1]) * 3).astype(dtype)
    image[1::2] += 1
    actual = uoctti(image, orientations=orientations, cell=cell)
    np.testing.assert_allclose(actual, plainly(image, orientations, cell), rtol=0, atol=1e-5)


def test_the_mirrored_image_has_the_permuted_descriptor():
    image = np.random.default_rng(0).random((48, 56)) * 255  # no ties, unlike in 8-bit images
    for function, name in ((uoctti, "vl_uoctti"), (vlfeat_dalal_triggs, "vl_dt")):
        permutation = HOG[f"{name}_permutation_o9"]
        mirrored = function(np.ascontiguousarray(image[:, ::-1]))
        np.testing.assert_allclose(mirrored, function(image)[:, ::-1][..., permutation], atol=1e-5)


@given(hnp.arrays(st.sampled_from([np.float32, np.float64]), (9, 8), elements={"allow_nan": True}), st.booleans())
@settings(max_examples=40)
def test_any_floats_give_numbers_or_one_error(image, bilinear):
    for function in FUNCTIONS.values():
        try:
            assert np.isfinite(function(image, cell=4, bilinear=bilinear)).all()
        except ImageError as error:
            assert "NaN" in str(error) or "1e+15" in str(error)  # noqa: PT017


@pytest.mark.parametrize("function", FUNCTIONS.values())
def test_what_cannot_be_described_is_refused(function):
    with pytest.raises(ImageError, match=r"3x40.*4x4"):
        function(np.zeros((40, 3)))
    with pytest.raises(ParameterError, match="at least 1"):
        function(np.zeros((16, 16)), orientations=0)
    assert not function(np.full((16, 24, 3), 7)).any()
    assert function(np.zeros((4, 4))).shape[:2] == (1, 1)
