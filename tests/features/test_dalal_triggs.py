"""Dalal and Triggs' HoG against OpenCV's arrays, and against a plain sum of votes."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.errors import ImageError, ParameterError
from imgtool.features import dalal_triggs as module
from imgtool.features import votes
from imgtool.features.dalal_triggs import cells_of, dalal_triggs
from locations import REFERENCE

HOG = np.load(REFERENCE / "hog.npz")
IMAGES = np.load(REFERENCE / "images.npz")
WINDOWS = [key for key in HOG.files if key.startswith("cv__window")]
SLIDING = {"cv__camera_128_default_stride16": (128, 64), "cv__camera_97x131_win64x64_nogamma_stride16": (64, 64)}


def opencvs_angle(gx, gy):
    """Return the angle by OpenCV's polynomial, which is off by up to 1.7e-4 radians."""
    return cv2.phase(np.ascontiguousarray(gx, np.float32), np.ascontiguousarray(gy, np.float32))


@pytest.fixture(params=["true angle", "OpenCV's angle"])
def tolerance(request, monkeypatch):
    if request.param == "true angle":
        yield 1e-3
        return
    monkeypatch.setattr(votes, "exact_angle", opencvs_angle)
    monkeypatch.setattr(votes, "angle_and_size", lambda gx, gy: (opencvs_angle(gx, gy), np.hypot(gx, gy)))
    votes.vote_table.cache_clear()
    yield 1e-5
    votes.vote_table.cache_clear()


@pytest.mark.parametrize("key", WINDOWS)
def test_a_window_equals_opencv_in_its_order(key, tolerance):
    image = HOG["cv_gray_input"] if "gray" in key else IMAGES["window_128x64"]
    actual = dalal_triggs(image, sqrt="nogamma" not in key, signed="signed" in key)
    assert actual.size == 3780
    np.testing.assert_allclose(actual.ravel(), HOG[key][0], rtol=0, atol=tolerance)


@pytest.mark.parametrize("key", SLIDING)
def test_blocks_of_a_whole_image_are_those_of_its_windows(key, tolerance):
    name = key.removeprefix("cv__").split("_default")[0].split("_win")[0]
    blocks = dalal_triggs(IMAGES[name], sqrt="nogamma" not in key)
    high, wide = (side // 8 - 1 for side in SLIDING[key])
    windows = [
        blocks[x : x + wide, y : y + high].ravel()
        for y in range(0, blocks.shape[1] - high + 1, 2)
        for x in range(0, blocks.shape[0] - wide + 1, 2)
    ]
    np.testing.assert_allclose(windows, HOG[key], rtol=0, atol=tolerance)


@pytest.mark.skipif(not hasattr(cv2, "HOGDescriptor"), reason="OpenCV 5 has no HOGDescriptor")
@pytest.mark.parametrize("cell", [4, 8])
@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("signed", [False, True])
def test_equals_opencvs_program(cell, block, signed):
    image = np.random.default_rng(block).integers(0, 256, (6 * cell, 5 * cell, 3), dtype=np.uint8)
    sides = [(5 * cell, 6 * cell), (cell * block,) * 2, (cell, cell), (cell, cell)]
    peer = cv2.HOGDescriptor(*sides, 9, 1, -1, 0, 0.2, True, 64, signed)
    expected = peer.compute(image).ravel()
    np.testing.assert_allclose(
        dalal_triggs(image, cell=cell, block=block, sqrt=True, signed=signed).ravel(), expected, atol=1e-3
    )


def strongest(image):
    """Return gx, gy of the channel with the larger gradient, as the formulas say."""
    values = np.pad(image, [(1, 1), (1, 1)] + [(0, 0)] * (image.ndim - 2), mode="reflect")
    gx, gy = values[1:-1, 2:] - values[1:-1, :-2], values[2:, 1:-1] - values[:-2, 1:-1]
    if image.ndim == 2:
        return gx, gy
    best = (gx.astype(np.float32) ** 2 + gy.astype(np.float32) ** 2).argmax(axis=2)[:, :, None]
    return np.take_along_axis(gx, best, 2)[:, :, 0], np.take_along_axis(gy, best, 2)[:, :, 0]


def plainly(image, orientations, cell, block, signed, sqrt):
    """Vote pixel by pixel, as the formulas say."""
    gx, gy = strongest(np.sqrt(image.astype(float)) if sqrt else image.astype(float))
    rows, columns, side = image.shape[0] // cell - block + 1, image.shape[1] // cell - block + 1, cell * block
    result = np.zeros((columns, rows, block, block, orientations))
    for x, y, i, j in np.ndindex(columns, rows, side, side):
        dy, dx = gy[y * cell + i, x * cell + j], gx[y * cell + i, x * cell + j]
        weight = np.exp(-((i - side / 2) ** 2 + (j - side / 2) ** 2) / (2 * (side / 4) ** 2)) * np.hypot(dx, dy)
        place = np.arctan2(dy, dx) % (2 * np.pi) / (2 * np.pi) * (orientations if signed else 2 * orientations) - 0.5
        for row, column in np.ndindex(block, block):
            share = max(0, 1 - abs((i + 0.5) / cell - 0.5 - row)) * max(0, 1 - abs((j + 0.5) / cell - 0.5 - column))
            for step in (0, 1):
                bin = (int(np.floor(place)) + step) % orientations
                nearness = 1 - (place - np.floor(place)) if step == 0 else place - np.floor(place)
                result[x, y, column, row, bin] += weight * share * nearness
    flat = result.reshape(columns, rows, -1)
    flat /= np.linalg.norm(flat, axis=2, keepdims=True) + 0.1 * flat.shape[2]
    np.minimum(flat, 0.2, out=flat)
    flat /= np.linalg.norm(flat, axis=2, keepdims=True) + 1e-3
    return result


@given(
    st.integers(1, 5), st.integers(2, 5), st.integers(1, 3), st.booleans(), st.booleans(), st.integers(0, 9),
    st.integers(0, 9), st.sampled_from([(), (3,)]), st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=60)
def test_equals_a_plain_sum_of_votes(orientations, cell, block, signed, sqrt, down, right, channels, dtype, seed):
    shape = (cell * block + down, cell * block + right, *channels)
    image = np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)
    actual = dalal_triggs(image, orientations=orientations, cell=cell, block=block, sqrt=sqrt, signed=signed)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, plainly(image, orientations, cell, block, signed, sqrt), rtol=0, atol=2e-5)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("orientations", [1, 9, 100])
def test_an_8_bit_image_has_the_numbers_of_its_floats(orientations, signed):
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    from_table, computed = (
        dalal_triggs(each, orientations=orientations, signed=signed) for each in (image, image.astype(np.float64))
    )
    np.testing.assert_allclose(from_table, computed, rtol=0, atol=1e-5)


def test_every_gradient_of_8_bits_is_in_the_table():
    gy, gx = np.mgrid[-255:256, -255:256].astype(np.float32)
    for turn in (9, 18):
        scheme = votes.Between(9, turn, 0.5)
        bins, shares = votes.vote_table(scheme)
        index = (511 * gy + gx).astype(int)
        index = index + 511**2 // 2 if turn == 9 else abs(index)
        expected_bins, expected_shares = scheme.exact(gx, gy)
        exactly = np.broadcast_to((gx == 0) | (gy == 0) | (abs(gx) == abs(gy)), gx.shape)  # may lie between two bins
        same = bins[index] == expected_bins
        assert (same | exactly | (gx**2 + gy**2 == 0)).all()
        np.testing.assert_allclose(shares[index][same], expected_shares[same], rtol=0, atol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"signed": True}, {"orientations": 7}])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_few_pixels_have_the_votes_that_the_table_has(settings, channels, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (72, 80, *channels), dtype=np.uint8)
    results = []
    for pays in (False, True):
        monkeypatch.setattr(votes, "_table_pays", lambda *_, pays=pays: pays)
        results.append(dalal_triggs(image, **settings))
    np.testing.assert_array_equal(*results)


def test_the_table_is_made_once_it_pays(monkeypatch):
    monkeypatch.setattr(votes, "_pixels_so_far", {})
    scheme = votes.Between(9, 18, 0.5)
    assert [votes._table_pays(scheme, 50_000) for _ in range(4)] == [False, False, True, True]
    assert votes._table_pays(scheme, 512 * 512)


def test_threads_share_no_memory():
    images = [np.random.default_rng(n).integers(0, 256, (40 + 8 * n, 64, *[3] * (n % 2)), np.uint8) for n in range(8)]
    alone = [dalal_triggs(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for expected, actual in zip(alone, pool.map(dalal_triggs, images), strict=True):
                np.testing.assert_array_equal(actual, expected)


def test_strips_change_nothing(monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (90, 70), dtype=np.uint8)
    whole = dalal_triggs(image)
    monkeypatch.setattr(module, "_STRIP_PIXELS", 1)
    np.testing.assert_allclose(dalal_triggs(image), whole, rtol=0, atol=1e-6)


@given(hnp.arrays(st.sampled_from([np.float32, np.float64]), (17, 16), elements={"allow_nan": True}))
@settings(max_examples=40)
def test_any_floats_give_numbers_or_one_error(image):
    try:
        assert np.isfinite(dalal_triggs(image)).all()
    except ImageError as error:
        assert "NaN" in str(error) or "1e+15" in str(error)  # noqa: PT017


def test_what_cannot_be_described_is_refused():
    with pytest.raises(ImageError, match=r"15x40.*16x16"):
        dalal_triggs(np.zeros((40, 15)))
    with pytest.raises(ImageError, match="negative"):
        dalal_triggs(np.full((16, 16), -1.0), sqrt=True)
    with pytest.raises(ParameterError, match="at least 1"):
        dalal_triggs(np.zeros((16, 16)), cell=0)
    assert not dalal_triggs(np.full((16, 24, 3), 7)).any()


@pytest.mark.parametrize("block", [1, 2, 3])
def test_cells_are_the_mean_over_their_blocks(block):
    blocks = dalal_triggs(np.random.default_rng(0).integers(0, 256, (40, 56), dtype=np.uint8), block=block)
    cells = cells_of(blocks)
    assert cells.shape == (5, 7, 9)
    held = [[] for _ in range(35)]
    for x, y, i, j in np.ndindex(blocks.shape[:4]):
        held[(y + j) * 7 + x + i].append(blocks[x, y, i, j])
    np.testing.assert_allclose(cells.reshape(35, 9), [np.mean(each, axis=0) for each in held], rtol=1e-5)
