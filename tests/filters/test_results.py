"""Types of results, rounding, threads and strips: what a convolution must not depend on."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.filters.borders import BORDERS
from imgtool.filters.convolve import cannot_clip, convolve
from imgtool.filters.engine.plan import METHODS, separate
from imgtool.filters.engine.tiles import SAMPLE_NANOSECONDS, tile_sides
from imgtool.filters.kernels import gaussian
from imgtool.filters.strip_filter import StripFilter
from imgtool.image.pixels import Pixels

LIMITS = {np.uint8: (0, 255), np.uint16: (0, 65535), np.int16: (-32768, 32767)}


def signed(size, seed=0):
    kernel = np.random.default_rng(seed).standard_normal(size)
    return kernel / np.abs(kernel).sum() * 3


KERNELS = {
    "dense 3": signed((3, 3)),
    "dense 8x5": signed((8, 5)),
    "dense 11": signed((11, 11)),
    "dense 15": signed((15, 15)),
    "dense 31x40": signed((31, 40)),
    "dense 127": signed((127, 127)),
    "row": signed((1, 9)),
    "gaussian 1": gaussian(1.0),
    "gaussian 9": gaussian(9.0),
    "gaussian 30": gaussian(30.0),
    "box 3": np.full((3, 3), 1 / 9),
    "box 6": np.full((6, 6), 1 / 36),
    "box 4x3": np.full((4, 3), 1 / 12),
    "box 31": np.full((31, 31), 1 / 961),
    "sobel": np.outer([1.0, 2, 1], [1, 0, -1]),
    "prewitt / 6": np.outer([1.0, 1, 1], [1, 0, -1]) / 6,
    "diagonal / 10": np.eye(10) / 10,
}


def image_of(dtype, shape=(300, 301), seed=1):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def float64_result(image, kernel):
    return scipy.ndimage.convolve(image.astype(np.float64), kernel, mode="reflect")


@pytest.mark.parametrize(("source", "result"), [("uint8", "uint8"), ("uint16", "uint16"), ("uint8", "int16")])
@pytest.mark.parametrize("name", KERNELS)
def test_integer_results_are_the_float64_ones_rounded(name, source, result):
    image, kernel = image_of(source), KERNELS[name]
    exact = convolve(image, kernel)
    expected = np.rint(exact).clip(*LIMITS[np.dtype(result).type])
    for method in ["auto"] + (["separable"] if separate(kernel) else []):
        actual = convolve(image, kernel, method=method, dtype=result)
        assert actual.dtype == result
        difference = np.abs(actual - expected)
        assert difference.max() <= 1
        assert (difference > 0).mean() <= 1e-4


@pytest.mark.parametrize("name", [name for name, kernel in KERNELS.items() if kernel.size < 2000])
def test_the_default_result_is_the_float64_one(name):
    for dtype in (np.uint8, np.float64):
        image = image_of(dtype, (90, 83))
        actual, expected = convolve(image, KERNELS[name]), float64_result(image, KERNELS[name])
        assert actual.dtype == np.float64
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("name", KERNELS)
def test_smoothing_kernels_are_known_to_clip_nothing(name):
    assert cannot_clip(KERNELS[name]) == name.startswith(("gaussian", "box", "diagonal"))
    if cannot_clip(KERNELS[name]):
        for level in (0, 255):
            rounded = np.rint(convolve(np.full((40, 40), level, np.uint8), KERNELS[name]))
            np.testing.assert_array_equal(rounded, level)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("name", KERNELS)
def test_float32_results_are_right_to_1e_5(name, dtype):
    image = image_of(dtype)
    expected = convolve(image.astype(np.float64), KERNELS[name])
    actual = convolve(image, KERNELS[name], dtype=np.float32)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("side", [2, 4, 6, 10, 12])
@pytest.mark.parametrize("threads", [1, 2])
def test_means_just_between_two_levels_are_rounded_to_even(side, threads):
    image = image_of("uint8", (600, 50))
    sums = convolve(image, np.ones((side, side)), method="direct")
    assert (sums % (side * side) == side * side / 2).any()
    actual = convolve(image, np.full((side, side), 1 / side**2), dtype=np.uint8, threads=threads)
    np.testing.assert_array_equal(actual, np.rint(np.rint(sums) / side**2))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", KERNELS)
def test_channels_are_convolved_each_alone(name, channels):
    for dtype in ("uint8", "float32"):
        image = image_of(dtype, (70, 75, channels))
        actual = convolve(image, KERNELS[name], dtype=dtype, border="clip")
        assert actual.shape == image.shape
        for c in range(channels):
            alone = convolve(image[:, :, c].copy(), KERNELS[name], dtype=dtype, border="clip")
            np.testing.assert_allclose(actual[:, :, c].astype(float), alone, atol=1 if dtype == "uint8" else 1e-5)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("height", [257, 258, 300])
def test_a_last_strip_of_one_row_sees_the_border(border, height):
    """Kernels that reach only one way: mirrored rows may lie in the strip before."""
    image = image_of("float32", (height, 20))
    for kernel in (np.array([[1.0], [-1.0], [0.5]]), np.array([[1.0], [2.0], [0], [0], [0]]), np.ones((2, 1)) / 2):
        for flipped in (kernel, kernel[::-1]):
            whole = convolve(image, flipped, border=border)
            np.testing.assert_array_equal(convolve(image, flipped, border=border, threads=2), whole)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("name", KERNELS)
def test_threads_and_strips_change_no_bit(name, border):
    kernel = KERNELS[name]
    for source, result in (("uint8", "uint8"), ("float32", "float32"), ("uint16", "uint16"), ("uint8", "float64")):
        image = image_of(source, (700, 93))
        whole = convolve(image, kernel, border=border, dtype=result)
        np.testing.assert_array_equal(convolve(image, kernel, border=border, dtype=result, threads=3), whole)
        strips = by_strips_of(image, kernel, border, result, 192)
        if uses_fft(kernel, result):
            slack = 1e-5 * float(whole.max()) + (1 if whole.dtype.kind == "u" else 0)
            np.testing.assert_allclose(strips.astype(float), whole, atol=slack, rtol=0)
            assert (np.abs(strips - whole.astype(float)) >= 1e-5 * float(whole.max())).mean() < 1e-4
        else:
            np.testing.assert_array_equal(strips, whole)


def uses_fft(kernel, result):
    return separate(kernel) is None and kernel.size >= 50


def by_strips_of(image, kernel, border, dtype, rows):
    local = StripFilter(
        lambda part: convolve(part, kernel, border=border, dtype=dtype),
        lambda numbers, part, extremes: Pixels(numbers),
        reach=len(kernel) // 2,
        wraps=border == "wrap",
    )
    strips = [slice(begin, min(begin + rows, len(image))) for begin in range(0, len(image), rows)]
    return np.concatenate([local.strip_pixels(image, strip, None).pixels for strip in strips])


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.sampled_from(list(BORDERS)),
    st.sampled_from(["uint8", "uint16", "float32", "float64"]),
    st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]),
    st.booleans(),
    st.sampled_from([1, 1e7]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=200)
def test_every_method_gives_every_type(shape, size, border, source, result, flat, large, seed):
    image = image_of(source, shape, seed)
    kernel = np.full(size, 1 / np.prod(size)) if flat else signed(size, seed) * large
    exact = convolve(image.astype(np.float64), kernel, border=border, method="direct")
    kind = np.dtype(result)
    if kind.kind != "f":
        exact = exact.clip(*LIMITS[kind.type])
    for method in METHODS:
        if method != "separable" or separate(kernel):
            actual = convolve(image, kernel, border=border, method=method, dtype=result)
            assert actual.dtype == result
            assert actual.shape == image.shape
            narrow = "float32" in (source, result) or (source == "uint8" and kind.kind != "f")
            slack = 1e-5 if narrow else 1e-12
            slack = slack * max(1.0, np.abs(image).max() * np.abs(kernel).sum()) + (0.5 if kind.kind != "f" else 0)
            np.testing.assert_allclose(actual, exact, rtol=0, atol=slack)


sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


@given(sizes, sizes)
def test_a_tile_holds_more_than_the_kernel(shape, taps):
    for side, size, reach in zip(tile_sides(shape, taps), shape, taps, strict=True):
        assert side >= reach
        assert side in SAMPLE_NANOSECONDS or size + reach - 1 <= side <= 1.3 * (size + reach)
