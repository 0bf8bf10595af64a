"""HoG against scikit-image: stored arrays, and the library itself."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.errors import ImageError, ParameterError
from imgtool.features.hog import NORMS, cell_histograms, hog
from imgtool.features.hog import _differences as differences

REFERENCE = Path(__file__).parents[1] / "reference"
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
    cells = cell_histograms(*differences(IMAGES["camera_97x131"], sqrt=False), 9, (8, 8))
    np.testing.assert_allclose(cells, HOG["sk_cells__camera_97x131__o9_c8x8"], rtol=0, atol=1e-4)


@given(
    hnp.arrays(np.uint8, st.one_of(st.tuples(st.integers(8, 40), st.integers(8, 40)),
                                   st.tuples(st.integers(8, 30), st.integers(8, 30), st.just(3)))),
    st.integers(1, 12), st.tuples(st.integers(1, 8), st.integers(1, 8)), st.sampled_from(NORMS[:4]), st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_equals_scikit_image(image, orientations, cell, norm, sqrt):
    peer = pytest.importorskip("skimage.feature", reason="scikit-image is the reference")
    expected = peer.hog(
        image, orientations, cell, (1, 1), norm, transform_sqrt=sqrt, feature_vector=False,
        channel_axis=-1 if image.ndim == 3 else None,
    )  # fmt: skip
    actual = hog(image, orientations=orientations, cell=cell, block=1, norm=norm, sqrt=sqrt)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6)


@given(hnp.arrays(np.float64, (16, 17), elements=st.floats(allow_nan=True, allow_infinity=True)))
@settings(deadline=None)
def test_any_floats_give_numbers_or_one_error(image):
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(image).all() and np.abs(image).max() <= 1e100:
            assert np.isfinite(hog(image, cell=8, block=1)).all()
        else:
            with pytest.raises(ImageError, match=r"NaN|large"):
                hog(image, cell=8, block=1)


def test_alpha_is_left_out():
    color = IMAGES["window_128x64"]
    alpha = np.random.default_rng(0).integers(0, 256, color.shape[:2], dtype=np.uint8)
    np.testing.assert_array_equal(hog(np.dstack([color, alpha])), hog(color))


def test_flat_image_gives_zeros():
    assert not hog(np.full((16, 16), 7)).any()


def test_small_image_is_refused_with_both_sizes():
    with pytest.raises(ImageError, match=r"15x20.*16x16"):
        hog(np.zeros((20, 15)))


def test_negative_values_have_no_square_root():
    with pytest.raises(ImageError, match="negative"):
        hog(np.full((16, 16), -1.0), sqrt=True)


@pytest.mark.parametrize("wrong", [{"orientations": 0}, {"cell": 0}, {"block": (0, 1)}, {"norm": "L3"}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ParameterError):
        hog(np.zeros((32, 32)), **wrong)
