"""HoG against scikit-image: stored arrays, and the library itself."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.errors import ImageError, ParameterError
from imgtool.features.hog import NORMS, cell_histograms, hog
from imgtool.image.alpha import flatten
from locations import REFERENCE

HOG = np.load(REFERENCE / "hog.npz")
IMAGES = np.load(REFERENCE / "images.npz")
KEYS = [key for key in HOG.files if key.startswith("sk__")]


def image_of(name):
    return IMAGES[name.removesuffix("_unit")] / 255.0 if name.endswith("_unit") else IMAGES[name]


def parameters_of(text):
    o, rows, columns, m, n, norm = re.match(r"o(\d+)_c(\d+)x(\d+)_b(\d+)x(\d+)_(L1-sqrt|L2-Hys|L1|L2)", text).groups()
    return {
        "orientations": int(o), "cell": (int(rows), int(columns)), "block": (int(m), int(n)), "norm": norm,
        "sqrt": text.endswith("_sqrt"),
    }  # fmt: skip


def test_there_are_reference_arrays():
    assert len(KEYS) == 19


@pytest.mark.parametrize("key", KEYS)
def test_equals_the_reference_arrays(key):
    _, name, text = key.split("__")
    result = hog(image_of(name), **parameters_of(text))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, HOG[key], rtol=0, atol=1e-6)


def test_cells_equal_the_reference_array():
    cells = cell_histograms(IMAGES["camera_97x131"])
    np.testing.assert_allclose(cells, HOG["sk_cells__camera_97x131__o9_c8x8"], rtol=0, atol=1e-4)


SHAPES = st.one_of(
    st.tuples(st.integers(8, 40), st.integers(8, 40)),
    st.tuples(st.integers(8, 30), st.integers(8, 30), st.just(3)),
)
# Multiples of 1/64, which float32 and their differences hold exactly: half of the gradients lie on the edge of a bin.
FLOATS = st.integers(0, 640).map(lambda n: n / 64)
PIXELS = st.one_of(
    hnp.arrays(np.uint8, SHAPES),
    hnp.arrays(np.uint16, SHAPES),
    hnp.arrays(np.float32, SHAPES, elements=FLOATS),
    hnp.arrays(np.float64, SHAPES, elements=FLOATS),
)
PAIRS = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(PIXELS, st.integers(1, 12), PAIRS, st.tuples(st.integers(1, 2), st.integers(1, 2)), st.sampled_from(NORMS[:4]),
       st.booleans())  # fmt: skip
@settings(max_examples=80)
def test_equals_scikit_image(image, orientations, cell, block, norm, sqrt):
    peer = pytest.importorskip("skimage.feature", reason="scikit-image is the reference")
    expected = peer.hog(
        image, orientations, cell, block, norm, transform_sqrt=sqrt, feature_vector=False,
        channel_axis=-1 if image.ndim == 3 else None,
    )  # fmt: skip
    actual = hog(image, orientations=orientations, cell=cell, block=block, norm=norm, sqrt=sqrt)
    # L1-sqrt's root makes much of the float32 rounding of small numbers
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 if norm == "L1-sqrt" else 1e-6)


@pytest.mark.parametrize("cell", [(5, 7), (64, 64), (1, 3), (300, 250)])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_equals_scikit_image_where_the_image_has_many_strips(cell, channels):
    peer = pytest.importorskip("skimage.feature", reason="scikit-image is the reference")
    image = np.random.default_rng(0).integers(0, 256, (301, 507, *channels), dtype=np.uint8)
    expected = peer.hog(image, 9, cell, (1, 2), feature_vector=False, channel_axis=-1 if channels else None)
    np.testing.assert_allclose(hog(image, cell=cell, block=(1, 2)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("orientations", range(1, 21))
def test_gradients_on_the_edges_of_bins_fall_as_in_scikit_image(orientations):
    peer = pytest.importorskip("skimage.feature", reason="scikit-image is the reference")
    y, x = np.mgrid[:24, :24]
    for dx, dy in [(1, 0), (1, 1), (0, 1), (-1, 1)]:
        image = (128 + dx * x + dy * y).astype(np.uint8)
        expected = peer.hog(image, orientations, (8, 8), (1, 1), feature_vector=False)
        for same in (image, image.astype(np.float64)):  # from the table, and computed
            np.testing.assert_allclose(hog(same, orientations=orientations, block=1), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("orientations", [4, 8, 9, 12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounded_differences_fall_beside_the_edges_of_bins_as_in_scikit_image(dtype, orientations):
    peer = pytest.importorskip("skimage.feature", reason="scikit-image is the reference")
    image = np.random.default_rng(0).integers(0, 256, (200, 200)).astype(dtype) / dtype(255)
    expected = peer.hog(image, orientations, (8, 8), (1, 1), feature_vector=False)
    np.testing.assert_allclose(hog(image, orientations=orientations, block=1), expected, rtol=0, atol=1e-6)


@given(hnp.arrays(np.uint8, SHAPES), st.integers(1, 300))
@settings(max_examples=30)
def test_table_equals_computation(image, orientations):
    expected = cell_histograms(image.astype(np.float64), orientations=orientations, cell=4)
    np.testing.assert_allclose(cell_histograms(image, orientations=orientations, cell=4), expected, rtol=1e-6)


def test_angle_that_rounds_to_180_degrees_counts_in_the_last_bin():
    image = np.array([[0, 1e-17, 0], [0, 5, 1], [0, 0, 0]])  # in the middle gx = 1, gy = -1e-17
    votes = cell_histograms(image, cell=3)[0, 0] * 9
    np.testing.assert_allclose(votes, [0, 0, 0, 0, 0, 0, 0, 0, 1])  # scikit-image loses this vote


def test_blocks_without_norm_are_the_cells():
    image = IMAGES["camera_97x131"]
    blocks = hog(image, norm="none", block=(2, 3))
    cells = cell_histograms(image)
    np.testing.assert_array_equal(blocks[4, 5], cells[4:6, 5:8].astype(np.float32))


@given(
    hnp.arrays(st.sampled_from([np.float16, np.float32, np.float64]), st.tuples(st.integers(8, 11), st.integers(8, 11)),
               elements={"allow_nan": True, "allow_infinity": True}, fill=st.nothing()),
    st.sampled_from(NORMS[:4]),
)  # fmt: skip
@settings(max_examples=60)
def test_any_floats_give_numbers_or_one_error(image, norm):
    if np.isfinite(image).all() and np.abs(image.astype(np.float64)).max() <= 1e15:
        result = hog(image, cell=4, block=2, norm=norm)
        assert np.isfinite(result).all()
        assert result.max() <= 1.001
    else:
        with pytest.raises(ImageError, match=r"NaN|1e\+15"):
            hog(image, cell=4, block=2, norm=norm)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_bad_pixel_is_refused(value):
    image = np.zeros((32, 32, 3), np.float32)
    image[31, 31, 2] = value
    with pytest.raises(ImageError, match="NaN or infinity"):
        hog(image)


@pytest.mark.parametrize("value", [1.1e15, -1.1e15, 1e38, -1e300])
def test_huge_values_are_refused(value):
    image = np.zeros((32, 32))
    image[3, 4] = value
    with pytest.raises(ImageError, match=r"1e\+15"):
        hog(image)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e-5, 1e14])
def test_tiny_and_huge_contrast_give_numbers(norm, scale):
    result = hog(np.random.default_rng(0).random((24, 24)) * scale, norm=norm)
    assert np.isfinite(result).all()


@pytest.mark.parametrize("norm", ["L1", "L1-sqrt", "L2", "L2-Hys"])
def test_brightness_and_contrast_change_next_to_nothing(norm):
    image = np.random.default_rng(0).random((32, 32)) * 100
    np.testing.assert_allclose(hog(3 * image + 50, norm=norm), hog(image, norm=norm), atol=1e-4)


def test_what_is_transparent_is_seen_on_white():
    color = IMAGES["window_128x64"]
    alpha = np.random.default_rng(0).integers(0, 256, color.shape[:2], dtype=np.uint8)
    image = np.dstack([color, alpha])
    np.testing.assert_array_equal(hog(image), hog(flatten(image)))
    image[..., 3] = 255
    np.testing.assert_array_equal(hog(image), hog(color))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("norm", NORMS)
def test_flat_image_gives_zeros(dtype, norm):
    assert not hog(np.full((16, 16, 3), 7, dtype), norm=norm).any()


def test_small_image_is_refused_with_both_sizes():
    with pytest.raises(ImageError, match=r"15x20.*16x16"):
        hog(np.zeros((20, 15)))
    with pytest.raises(ImageError, match=r"no pixels.*\(0, 0\)"):
        hog(np.zeros((0, 0)))


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_image_smaller_than_a_cell_has_no_cells(shape, dtype):
    assert cell_histograms(np.ones(shape, dtype), cell=4).size == 0


def test_negative_values_have_no_square_root():
    with pytest.raises(ImageError, match="negative"):
        hog(np.full((16, 16), -1.0), sqrt=True)


@pytest.mark.parametrize("wrong", [{"orientations": 0}, {"cell": 0}, {"block": (0, 1)}, {"norm": "L3"}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ParameterError):
        hog(np.zeros((32, 32)), **wrong)
