"""Files of signed and wide integers, through every command of images: what the same numbers give in float64."""

import json

import numpy as np
import pytest
import scipy.ndimage as ndimage

import imgtool
from imgtool.cli.main import execute
from imgtool.image import encode, read

DTYPES = ("int8", "int16", "int32", "int64", "uint32", "uint64")
FORMATS = ("npy", "tif")
KERNELS = {"gaussian": 1, "sobel-x": 0, "sharpen": 1}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def stored(dtype, format, sides=(40, 48)):
    """Write numbers of a type, negative ones too where it has them, and return them."""
    top = min(np.iinfo(dtype).max, 2**40)  # larger ones are no float64
    low = -top // 2 if dtype.startswith("i") else 0
    image = ndimage.gaussian_filter(np.random.default_rng(0).random(sides), 2)
    image = ((image - image.min()) / np.ptp(image) * (top - low) + low).astype(dtype)
    with open(f"a.{format}", "wb") as file:
        file.write(encode(image, format))
    return image


def saturated(values, dtype):
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_filter_rounds_and_saturates_in_the_type(kernel, dtype, format):
    image = stored(dtype, format)
    expected = ndimage.convolve(image.astype(float), imgtool.kernel(kernel), mode="reflect")
    assert execute(["filter", "--kernel", kernel, "--range", "raw", f"a.{format}", "-o", "raw.npy"]) == 0
    np.testing.assert_allclose(read("raw.npy"), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    assert execute(["filter", "--kernel", kernel, f"a.{format}", "-o", f"b.{format}"]) == 0
    assert read(f"b.{format}").dtype == dtype
    shown = expected if KERNELS[kernel] else np.abs(expected)
    error = np.abs(read(f"b.{format}").astype(float) - saturated(shown, dtype))
    assert error.max() <= 1 + 1e-12 * np.abs(shown).max()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "filter"), [("median", ndimage.median_filter), ("minimum", ndimage.minimum_filter),
                                              ("maximum", ndimage.maximum_filter)])  # fmt: skip
def test_neighborhoods_keep_the_numbers(name, filter, dtype):
    image = stored(dtype, "npy")
    assert execute(["filter", "--kernel", name, "--size", "3", "a.npy", "-o", "b.npy"]) == 0
    np.testing.assert_array_equal(read("b.npy"), filter(image, 3, mode="reflect"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("show", ["x", "y", "magnitude"])
def test_gradients_are_those_of_the_numbers(show, dtype):
    image = stored(dtype, "tif")
    gx, gy = imgtool.gradient(image.astype(float))
    expected = {"x": gx, "y": gy, "magnitude": np.hypot(gx, gy)}[show]
    assert execute(["gradient", "--show", show, "--range", "raw", "a.tif", "-o", "b.npy"]) == 0
    np.testing.assert_allclose(read("b.npy"), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["hog", "gist"])
def test_descriptors_are_those_of_the_array(name, dtype, capsys):
    image = stored(dtype, "npy", sides=(64, 64))
    assert execute([name, "--format", "jsonl", "a.npy"]) == 0
    row = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(np.ravel(row["values"]), getattr(imgtool, name)(image).ravel(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_info_and_sizes(dtype, capsys):
    image = stored(dtype, "tif")
    assert execute(["info", "--json", "--histogram", "a.tif"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["dtype"], row["min"], row["max"]) == (dtype, [int(image.min())], [int(image.max())])
    assert row["depth"] == f"{np.dtype(dtype).itemsize * 8} bit{' signed' * dtype.startswith('i')}"
    assert sum(row["histogram"][0]) == image.size
    assert execute(["convert", "--size", "20x", "a.tif", "-o", "b.tif"]) == 0
    assert read("b.tif").dtype == dtype
    np.testing.assert_allclose(read("b.tif").mean(), image.mean(), rtol=0.02, atol=abs(float(image.max())) * 0.02)
