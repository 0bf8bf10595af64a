"""Numbers to pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.errors import ParameterError
from imgtool.image.depth import convert_depth
from imgtool.image.pixels import phase_pixels, to_pixels

U8, U16, F32 = np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32)


def test_rounds_half_to_even_and_saturates():
    values = np.array([-3.0, 0.5, 1.5, 2.5, 254.5, 255.5, 300.0])
    stored = to_pixels(values, "clip", like=U8)
    assert stored.pixels.tolist() == [0, 0, 2, 2, 254, 255, 255]
    assert stored.clipped == 3


@pytest.mark.parametrize(
    ("range", "signed", "expected"),
    [("auto", True, [100, 0, 100]), ("auto", False, [0, 0, 100]), ("abs", False, [100, 0, 100]),
     ("center", True, [28, 128, 228]), ("stretch", True, [0, 128, 255])],
)  # fmt: skip
def test_ranges(range, signed, expected):
    assert to_pixels(np.array([-100.0, 0.0, 100.0]), range, like=U8, signed=signed).pixels.tolist() == expected


WIDE = ("int8", "int16", "int32", "int64", "uint32", "uint64")


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize(("depth", "white"), [("8", 255), ("16", 65535), ("float", 1.0)])
def test_zero_to_the_largest_of_a_type_becomes_black_to_white(dtype, depth, white):
    kind = np.dtype(dtype)
    top = np.iinfo(kind).max
    values = np.array([[0, top // 5, top // 2, top]], kind)
    pixels, clipped, *_ = to_pixels(values.astype(float), "clip", depth=depth, like=kind)
    np.testing.assert_allclose(pixels / white, [[0, 0.2, 0.5, 1]], atol=0.01)
    assert clipped == 0
    if kind.kind == "i":
        negative = np.array([[-1 - top, -top // 5, 0, top]], kind)
        pixels, clipped, *_ = to_pixels(negative.astype(float), "clip", depth=depth, like=kind)
        assert clipped == (0 if depth == "float" else 2)
        assert pixels[0, 2:].tolist() == [0, white]
        assert (pixels[0, 0] == 0) == (depth != "float")


@pytest.mark.parametrize("dtype", WIDE)
def test_numbers_saturate_at_the_limits_of_their_own_type(dtype):
    kind = np.dtype(dtype)
    limits = np.iinfo(kind)
    values = np.array([[-1e30, -1.5, 0.5, 7.5, 1e30, np.nan, np.inf]])
    pixels, clipped, not_finite, *_ = to_pixels(values, "clip", depth="keep", like=kind)
    assert pixels.tolist() == [[limits.min, -2 if kind.kind == "i" else 0, 0, 8, limits.max, 0, limits.max]]
    assert (clipped, not_finite) == (2 if kind.kind == "i" else 3, 2)


@pytest.mark.parametrize(("dtype", "middle"), [("uint8", 128), ("uint16", 32768), ("float32", 0.5)])
def test_center_puts_zero_at_mid_gray_of_every_depth(dtype, middle):
    assert to_pixels(np.zeros(1), "center", like=np.dtype(dtype)).pixels.tolist() == [middle]
    depth = {"uint8": "8", "uint16": "16", "float32": "float"}[dtype]
    for like in (U8, U16, F32):
        assert to_pixels(np.zeros(1), "center", depth=depth, like=like).pixels.tolist() == [middle]


def test_raw_keeps_the_numbers():
    values = np.array([-1.5, 1e6])
    stored = to_pixels(values, "raw", like=U8)
    assert stored.pixels.tolist() == [-1.5, 1e6]
    assert stored.clipped == 0
    with pytest.raises(ParameterError, match="raw"):
        to_pixels(values, "raw", depth="8", like=U8)


def test_stretch_ignores_what_is_not_finite():
    stored = to_pixels(np.array([np.nan, -np.inf, 1.0, 3.0, np.inf]), "stretch", like=U8)
    assert stored.pixels.tolist() == [0, 0, 0, 255, 255]
    assert (stored.clipped, stored.not_finite) == (0, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("range", ["clip", "abs", "center", "stretch"])
def test_largest_numbers_are_no_trouble(dtype, range):
    top = np.finfo(dtype).max
    stored = to_pixels(np.array([-top, 0, top], dtype), range, like=U8)
    expected = {"clip": [0, 0, 255], "abs": [255, 0, 255], "center": [0, 128, 255], "stretch": [0, 128, 255]}
    assert stored.pixels.tolist() == expected[range]
    assert stored.not_finite == 0
    assert to_pixels(np.full(3, np.nan), range, like=U8).not_finite == 3


@given(hnp.arrays(np.uint8, (5, 4)))
def test_depths_keep_black_and_white(image):
    deep = convert_depth(image, "16")
    np.testing.assert_array_equal(deep, image.astype(np.uint16) * 257)
    np.testing.assert_array_equal(convert_depth(deep, "8"), image)
    unit = convert_depth(image, "float")
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, image / 255, rtol=1e-6)
    np.testing.assert_array_equal(convert_depth(unit, "8"), image)


@given(hnp.arrays(np.float64, 6, elements=st.floats(-1e6, 1e6)), st.sampled_from([U8, U16]))
def test_clipped_counts_exactly_what_lies_outside(values, like):
    top = np.iinfo(like).max
    stored = to_pixels(values, "clip", like=like)
    np.testing.assert_array_equal(stored.pixels, np.clip(np.rint(values), 0, top))
    assert stored.not_finite == 0
    assert stored.clipped == sum(not 0 <= np.rint(value) <= top for value in values)


def test_phase_runs_from_black_to_white():
    assert phase_pixels(np.array([-np.pi, 0, np.pi]), U8).tolist() == [0, 128, 255]
    np.testing.assert_allclose(phase_pixels(np.array([-np.pi, 0, np.pi]), F32), [0, 0.5, 1])


def test_unknown_range_is_refused():
    with pytest.raises(ParameterError, match="there are"):
        to_pixels(np.zeros(1), "wrap", like=U8)
