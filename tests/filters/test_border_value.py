"""Pixels of a given value outside a clip border, against SciPy's cval and images that were padded by hand."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from imgtool.cli.main import execute
from imgtool.errors import ImageError, ParameterError
from imgtool.filters.convolve import convolve
from imgtool.filters.neighborhood import neighborhood
from imgtool.filters.windows import NEIGHBORHOODS
from imgtool.image.read import read
from imgtool.image.write import encode
from imgtool.pipelines.filter_images import filter_image


@pytest.mark.parametrize("method", ["auto", "direct", "fft", "gemm"])
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.integers(0, 255), st.data())
def test_convolution_is_scipys_with_cval(method, height, width, rows, columns, value, data):
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]))
    rng = np.random.default_rng(height * 41 + width)
    image, taps = rng.integers(0, 256, (height, width)).astype(dtype), rng.random((rows, columns)) - 0.3
    expected = scipy.ndimage.convolve(image.astype(float), taps, mode="constant", cval=value)
    found = convolve(image, taps, border="clip", border_value=value, method=method)
    tolerance = 2e-5 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(found, expected, atol=tolerance * 255 * max(1, np.abs(taps).sum()))


@pytest.mark.parametrize("shape", [(50, 60), (50, 60, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_narrow_results_are_those_of_a_padded_image(shape, dtype):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    sides = ((4, 4), (4, 4)) + ((0, 0),) * (len(shape) - 2)
    for taps in (np.full((5, 5), 1 / 25), np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256, np.eye(3) / 3):
        padded = convolve(np.pad(image, sides, constant_values=77), taps, dtype=dtype)[4:-4, 4:-4]
        np.testing.assert_array_equal(convolve(image, taps, border="clip", border_value=77, dtype=dtype), padded)


@pytest.mark.parametrize("name", [name for name in NEIGHBORHOODS if name != "bilateral"])
@pytest.mark.parametrize("size", [3, 4, (2, 5)])
def test_windows_see_the_value_as_scipys_do(name, size):
    image = np.random.default_rng(1).integers(0, 256, (9, 11), dtype=np.uint8)
    theirs = {
        "median": lambda **how: scipy.ndimage.median_filter(image, **how),
        "minimum": lambda **how: scipy.ndimage.minimum_filter(image, **how),
        "maximum": lambda **how: scipy.ndimage.maximum_filter(image, **how),
        "percentile": lambda **how: scipy.ndimage.percentile_filter(image, 50, **how),
        "rank": lambda **how: scipy.ndimage.rank_filter(image, 0, **how),
    }[name](size=size, mode="constant", cval=200)
    np.testing.assert_array_equal(neighborhood(image, name, border="clip", border_value=200, size=size), theirs)


@pytest.mark.parametrize("kernel", ["gaussian", "median", "maximum", "bilateral"])
def test_outside_a_transparent_image_lie_opaque_pixels_of_the_value(kernel):
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (20, 24, 4), dtype=np.uint8)
    image[5:12, 6:20, 3] = 0
    sides = ((12, 12), (12, 12))
    around = np.dstack([np.pad(image[..., i], sides, constant_values=90 if i < 3 else 255) for i in range(4)])
    expected = filter_image(around, kernel)[12:-12, 12:-12]
    found = filter_image(image, kernel, border="clip", border_value=90)
    assert np.abs(found.astype(int) - expected).max() <= (1 if kernel == "bilateral" else 0)


def test_what_is_no_value_is_refused(tmp_path, capsys):
    image = np.zeros((9, 9), np.uint8)
    for value in (256, -1, 0.5):
        with pytest.raises(ImageError, match="uint8, of which border_value"):
            convolve(image, np.ones((3, 3)), border="clip", border_value=value)
    for value, border in ((5, "reflect"), (float("nan"), "clip"), ("white", "clip")):
        with pytest.raises(ParameterError, match="border"):
            neighborhood(image, "median", border=border, border_value=value)
    for function, what in ((convolve, np.ones((3, 3))), (neighborhood, "median")):
        with pytest.raises(ParameterError, match="border_value does not go with mask"):
            function(image, what, border="clip", border_value=5, mask=image == 0)
    (tmp_path / "a.png").write_bytes(encode(image, "png"))
    command = ["filter", "--kernel", "box", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png")]
    assert execute([*command, "--border-value", "9"]) == 2
    assert "--border-value goes with --border clip" in capsys.readouterr().err
    assert execute([*command, "--border", "clip", "--border-value", "300"]) == 1
    assert "a.png: is uint8, of which --border-value 300" in capsys.readouterr().err
    assert execute([*command, "--border", "clip", "--border-value", "90"]) == 0
    np.testing.assert_array_equal(read(tmp_path / "b.png")[0], [50, 30, 30, 30, 30, 30, 30, 30, 50])
