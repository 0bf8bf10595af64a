"""Images as lines of numbers: NumPy reads them back exactly."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.batch.image_files import write
from imgtool.cli.main import execute
from imgtool.cli.options import FORMAT_ALIASES, PICTURE_FORMATS
from imgtool.errors import ImageError, ParameterError
from imgtool.image import encode, read
from imgtool.image.write import CAPACITY, SUFFIXES

TYPES = CAPACITY["npy"][0]
SHAPES = [(1, 1), (3, 5), (3, 5, 1), (4, 3, 2), (2, 3, 3), (3, 2, 4)]


def loaded(data, name, shape, dtype):
    """Read text as its documentation says."""
    kind = np.dtype(dtype)
    options = {"delimiter": "," if name == "csv" else None, "ndmin": 2, "dtype": kind}
    flat = np.loadtxt(io.BytesIO(data), **options)
    if len(shape) == 2:
        return flat
    return flat.reshape(shape[0], shape[2], shape[1]).transpose(0, 2, 1)


@pytest.mark.parametrize("name", ["csv", "txt"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@given(data=st.data(), dtype=st.sampled_from(TYPES))
def test_numbers_come_back_from_text_to_the_bit(name, shape, data, dtype):
    image = data.draw(hnp.arrays(dtype, shape))
    text = encode(image, name)
    np.testing.assert_array_equal(loaded(text, name, image.shape if image.ndim == 2 else shape, dtype), image)
    lines = text.decode().splitlines()
    assert len(lines) == shape[0]
    if name == "txt":
        assert len({len(line) for line in lines}) == 1


def test_channels_stand_side_by_side_in_the_fewest_digits():
    image = np.array([[[1, 10], [2, 20]], [[3, 30], [4, 40]]], np.float32) / 10
    assert encode(image, "csv") == b"0.1,0.2,1.0,2.0\n0.3,0.4,3.0,4.0\n"
    assert encode(np.array([[7, 255], [0, 12]], np.uint8), "txt") == b"  7 255\n  0  12\n"
    assert encode(np.array([[np.nan, -np.inf]]), "csv") == b"nan,-inf\n"


def test_text_has_no_options_and_is_no_image(tmp_path):
    with pytest.raises(ParameterError, match="quality is for"):
        encode(np.zeros((2, 2)), "csv", quality=3)
    write(tmp_path / "a.csv", np.zeros((2, 2), np.uint8))
    with pytest.raises(ImageError):
        read(tmp_path / "a.csv")


COMMANDS = {
    "filter": ["filter", "--kernel", "box"],
    "filter raw": ["filter", "--kernel", "sobel-x", "--range", "raw"],
    "gradient": ["gradient", "--show", "phase", "--range", "raw"],
    "convert": ["convert"],
    "convert lab": ["convert", "--color", "lab"],
    "convert float": ["convert", "--depth", "float"],
}


@pytest.mark.parametrize("what", COMMANDS)
@pytest.mark.parametrize("name", ["csv", "txt"])
def test_every_command_that_writes_npy_writes_text(what, name, tmp_path, monkeypatch, capfdbinary):
    monkeypatch.chdir(tmp_path)
    write("a.png", np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8))
    assert execute([*COMMANDS[what], "a.png", "-o", "b.npy"]) == 0
    image = read("b.npy")
    assert execute([*COMMANDS[what], "a.png", "-o", f"b.{name}"]) == 0
    text = (tmp_path / f"b.{name}").read_bytes()
    np.testing.assert_array_equal(loaded(text, name, image.shape, image.dtype), image)
    assert execute([*COMMANDS[what], "--to", name, "a.png", "-o", f"out{'/'}"]) == 0
    assert (tmp_path / "out" / f"a.{name}").read_bytes() == text


@pytest.mark.parametrize("name", [*PICTURE_FORMATS, *FORMAT_ALIASES])
def test_every_format_of_pictures_is_taken_by_its_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    write("a.png", image[:, :, 0] if name == "pgm" else image)
    depth = ["--depth", "float"] if name == "pfm" else []
    assert execute(["convert", *depth, "--to", name, "a.png", "-o", "out/"]) == 0
    assert (tmp_path / "out" / f"a.{name}").stat().st_size > 0
    assert f".{name}" in SUFFIXES
