"""A pixel is explained by the numbers that SciPy's and the program's own filters give there."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

import imgtool
from imgtool.errors import ImageError, ParameterError
from imgtool.filters.borders import BORDERS


def random_image(*shape, dtype="uint8"):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


@given(
    border=st.sampled_from(list(BORDERS)), shape=st.sampled_from([(1, 1), (4, 7), (9, 6)]), data=st.data(),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)), correlate=st.booleans(),
)  # fmt: skip
@settings(max_examples=60)
def test_the_sum_is_scipys_and_the_window_numpys(border, shape, data, size, correlate):
    image, taps = random_image(*shape), np.random.default_rng(1).standard_normal(size)
    y, x = (data.draw(st.integers(0, side - 1)) for side in shape)
    found = imgtool.explain_filter(image, x, y, taps, border=border, correlate=correlate, range="raw")
    function = scipy.ndimage.correlate if correlate else scipy.ndimage.convolve
    expected = function(image.astype(float), taps, mode=BORDERS[border].scipy)[y, x]
    np.testing.assert_allclose(found.sums, [expected], rtol=1e-9, atol=1e-9)
    reach = 12
    padded = np.pad(image, reach, mode=BORDERS[border].numpy)
    before = [side // 2 if correlate else side - 1 - side // 2 for side in size]
    top, left = reach + y - before[0], reach + x - before[1]
    np.testing.assert_array_equal(found.windows[0], padded[top : top + size[0], left : left + size[1]])
    inside = np.pad(np.ones(shape, bool), reach, constant_values=False)
    np.testing.assert_array_equal(~found.outside, inside[top : top + size[0], left : left + size[1]])
    np.testing.assert_array_equal(found.taps, taps if correlate else taps[::-1, ::-1])
    np.testing.assert_array_equal(found.products, found.windows * found.taps)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("settings", [
    {"kernel": "sobel-x"}, {"kernel": "gaussian", "sigma": 0.7}, {"kernel": "sharpen", "depth": "16"},
    {"kernel": "laplacian-4", "range": "center"}, {"kernel": "log", "range": "stretch", "depth": "8"},
    {"kernel": "box", "size": (2, 3), "border": "clip", "border_value": 9}, {"kernel": "sobel-y", "normalize": "abs"},
])  # fmt: skip
def test_pixels_are_those_of_the_filter(dtype, channels, settings):
    image = random_image(6, 8, *channels, dtype=dtype)
    expected = imgtool.filter_image(image, **settings)
    raw = imgtool.filter_image(image, **{**settings, "range": "raw", "depth": "keep"})
    for y, x in ((0, 0), (5, 7), (3, 2)):
        found = imgtool.explain_filter(image, x, y, **settings)
        np.testing.assert_array_equal(found.pixels, expected[y, x].reshape(-1))
        np.testing.assert_allclose(found.sums, raw[y, x].reshape(-1), rtol=1e-9, atol=1e-9 * np.iinfo(dtype).max)
        assert len(found.channels) == len(found.sums) == (3 if channels else 1)


def test_colors_that_are_weighed_by_alpha_are_refused_unless_there_is_a_background():
    image = random_image(5, 5, 4)
    with pytest.raises(ImageError, match="is transparent"):
        imgtool.explain_filter(image, 2, 2, "box")
    for name in ("box", "sobel-x"):
        found = imgtool.explain_filter(image, 2, 2, name, background="red")
        np.testing.assert_array_equal(found.pixels, imgtool.filter_image(image, name, background="red")[2, 2])
    found = imgtool.explain_filter(image, 2, 2, "sobel-x")  # which sees it on white
    np.testing.assert_array_equal(found.pixels, imgtool.filter_image(image, "sobel-x")[2, 2])
    image[..., 3] = 255
    found = imgtool.explain_filter(image, 2, 2, "box")
    np.testing.assert_array_equal(found.pixels, imgtool.filter_image(image, "box")[2, 2, :3])


@pytest.mark.parametrize(
    ("place", "kernel", "error"),
    [
        ((5, 0), "box", ImageError), ((0, 4), "box", ImageError), ((-1, 0), "box", ParameterError),
        ((0, 0), "median", ParameterError), ((0, 0), "bxo", ParameterError), ((0.5, 0), "box", ParameterError),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_is_refused(place, kernel, error):
    with pytest.raises(error) as caught:
        imgtool.explain_filter(random_image(4, 5), *place, kernel)
    assert "\n" not in str(caught.value)
