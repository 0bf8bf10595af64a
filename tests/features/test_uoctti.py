"""UoCTTI's HoG and VLFeat's form of Dalal and Triggs' against VLFeat's arrays, and against a plain sum of votes."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.errors import ImageError, ParameterError
from imgtool.features import uoctti as module
from imgtool.features import votes
from imgtool.features.uoctti import uoctti, vlfeat_dalal_triggs
from imgtool.features.votes import Nearest
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


def plain_votes(gx, gy, orientations, bilinear):
    """Return (direction, size) of each orientation that a gradient votes for, as the formulas say."""
    if bilinear:
        place = np.arctan2(gy, gx) % (2 * np.pi) * orientations / np.pi
        share, size = place - np.floor(place), np.hypot(gx, gy)
        first = int(place) % (2 * orientations)
        return [(first, size * (1 - share)), ((first + 1) % (2 * orientations), size * share)]
    angles = np.arange(orientations) * np.pi / orientations
    products = gx * np.cos(angles).astype(np.float32) + gy * np.sin(angles).astype(np.float32)
    best = np.abs(products).argmax()
    return [(best + orientations * (products[best] < 0), np.hypot(gx, gy))]


def plain_histograms(image, orientations, cell, bilinear):
    """Vote pixel by pixel, as the formulas say."""
    planes = image.astype(float).reshape(*image.shape[:2], -1)
    height, width = image.shape[:2]
    rows, columns = (height + cell // 2) // cell, (width + cell // 2) // cell
    result = np.zeros((rows, columns, 2 * orientations))
    for y, x in np.ndindex(height, width):
        if not (0 < y < height - 1 and 0 < x < width - 1):
            continue
        gx, gy = planes[y, x + 1] - planes[y, x - 1], planes[y + 1, x] - planes[y - 1, x]
        strongest = (gx**2 + gy**2).argmax()
        for bin, vote in plain_votes(gx[strongest], gy[strongest], orientations, bilinear):
            for row, column in np.ndindex(rows, columns):
                share = max(0, 1 - abs((y + 0.5) / cell - 0.5 - row)) * max(0, 1 - abs((x + 0.5) / cell - 0.5 - column))
                result[row, column, bin] += share * vote
    return result


def plainly(image, orientations, cell, bilinear=False):
    histograms = plain_histograms(image, orientations, cell, bilinear)
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
    st.integers(1, 9), st.integers(1, 6), st.tuples(st.integers(3, 14), st.integers(3, 14)),
    st.sampled_from([(), (3,)]), st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]), st.booleans(),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=60)
def test_equals_a_plain_sum_of_votes(orientations, cell, shape, channels, dtype, bilinear, seed):
    # odd primes: hardly a gradient lies half-way between two orientations, where rounding decides
    values = np.random.default_rng(seed).integers(0, 17, (*shape, *channels)) * 13
    image = (values + np.arange(shape[1]).reshape(-1, *[1] * len(channels)) * 3).astype(dtype)
    image[1::2] += 1
    bilinear = bilinear and orientations > 1
    actual = uoctti(image, orientations=orientations, cell=cell, bilinear=bilinear)
    np.testing.assert_allclose(actual, plainly(image, orientations, cell, bilinear), rtol=0, atol=1e-5)


@pytest.mark.parametrize("orientations", [1, 2, 9, 100, 300])
def test_directions_are_those_of_the_largest_product(orientations):
    """Quickly by OpenCV's angle, and by all products: every gradient of 8 bits, ties and flat ones included."""
    gy, gx = np.mgrid[-255:256, -255:256].astype(np.float32)
    scheme = Nearest(orientations)
    bins, votes = scheme.quick(gx, gy)
    np.testing.assert_array_equal(bins[votes.real > 0], scheme._nearest(gx, gy)[votes.real > 0])
    np.testing.assert_allclose(votes, np.hypot(gx, gy) * (1 + 1j), rtol=1e-6)


@pytest.mark.parametrize("bilinear", [False, True])
def test_strips_change_next_to_nothing(monkeypatch, bilinear):
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    whole = uoctti(image, bilinear=bilinear)
    monkeypatch.setattr(module, "_STRIP_PIXELS", 1)
    np.testing.assert_allclose(uoctti(image, bilinear=bilinear), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_few_pixels_have_the_votes_that_the_table_has(bilinear, channels, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (72, 80, *channels), dtype=np.uint8)
    results = []
    for pays in (False, True):
        monkeypatch.setattr(votes, "_table_pays", lambda *_, pays=pays: pays)
        results.append(uoctti(image, bilinear=bilinear))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("function", FUNCTIONS.values())
def test_threads_share_no_memory(function):
    images = [np.random.default_rng(n).integers(0, 256, (40 + 8 * n, 64, *[3] * (n % 2)), np.uint8) for n in range(8)]
    images += [image.astype(np.float32) for image in images]
    alone = [function(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for expected, actual in zip(alone, pool.map(function, images), strict=True):
                np.testing.assert_array_equal(actual, expected)


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
