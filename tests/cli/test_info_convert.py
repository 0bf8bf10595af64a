"""`imgtool info` and `imgtool convert` on whole files: statistics, what is not finite, color spaces and back."""

import json

import numpy as np
import pytest

from imgtool.cli.commands.convert import RESAMPLE
from imgtool.cli.main import execute
from imgtool.filters.kernel_files import parse_matrix
from imgtool.image import color, encode, read, resize
from imgtool.image.channels import PIXEL_CHANNELS
from imgtool.pipelines.convert_images import NUMERIC_SPACES
from locations import SAMPLES


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def info_of(capsys, name):
    assert execute(["info", "--json", "--histogram", name]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_statistics_and_histogram_are_numpys(dtype, capsys):
    rng = np.random.default_rng(0)
    image = rng.random((40, 50, 3)) if dtype.startswith("f") else rng.integers(0, np.iinfo(dtype).max, (40, 50, 3))
    image = image.astype(dtype)
    np.save("a.npy", image)
    row = info_of(capsys, "a.npy")
    planes = image.reshape(-1, 3)
    np.testing.assert_allclose(row["min"], planes.min(0))
    np.testing.assert_allclose(row["max"], planes.max(0))
    np.testing.assert_allclose(row["mean"], planes.mean(0, dtype=float))
    np.testing.assert_allclose(row["std"], planes.std(0, dtype=float), rtol=1e-6)
    for plane, counts in zip(planes.T, row["histogram"], strict=True):
        span = (plane.min(), plane.max()) if dtype.startswith("f") else (0, np.iinfo(dtype).max + 1)
        expected = np.histogram(plane.astype(float), 256, span)[0]
        if dtype.startswith("u"):
            assert counts == expected.tolist()
        else:  # a value on an edge may be counted on either side of it
            assert np.abs(np.cumsum(counts) - np.cumsum(expected)).max() <= 1


def test_statistics_leave_out_what_is_not_finite(capsys):
    top = float(np.finfo(np.float32).max)
    np.save("odd.npy", np.array([[np.nan, np.inf, -np.inf, 1.0, 3.0]], np.float32))
    row = info_of(capsys, "odd.npy")
    assert (row["min"], row["max"], row["mean"], row["std"]) == ([1.0], [3.0], [2.0], [1.0])
    assert (sum(row["histogram"][0]), row["histogram"][0][0], row["histogram"][0][255]) == (2, 1, 1)
    np.save("nan.npy", np.full((2, 2), np.nan, np.float32))
    row = info_of(capsys, "nan.npy")
    assert (row["min"], row["max"], row["mean"], row["std"]) == ([None], [None], [None], [None])
    assert sum(row["histogram"][0]) == 0
    np.save("large.npy", np.array([[-top, top]], np.float32))
    row = info_of(capsys, "large.npy")
    assert (row["min"], row["max"]) == ([-top], [top])
    assert (row["histogram"][0][0], row["histogram"][0][255]) == (1, 1)


@pytest.mark.parametrize("space", NUMERIC_SPACES)
def test_color_spaces_and_back_through_files(space):
    image = np.random.default_rng(1).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    with open("a.png", "wb") as file:
        file.write(encode(image, "png"))
    assert execute(["convert", "--color", space, "a.png", "-o", "b.npy"]) == 0
    assert execute(["convert", "--from", space, "--color", "rgb", "--depth", "8", "b.npy", "-o", "c.png"]) == 0
    np.testing.assert_array_equal(read("c.png"), image)


def test_spaces_of_the_command_are_those_of_the_library():
    assert tuple(color.NUMBER_SPACES) == NUMERIC_SPACES


def test_from_needs_to_know_what_the_numbers_become(capsys):
    np.save("b.npy", np.zeros((2, 2, 3), np.float32))
    assert execute(["convert", "--from", "lab", "b.npy", "-o", "c.png"]) == 2
    assert "--color" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["filter", "--kernel", "box", "--depth", "8"], ["gradient", "--depth", "8"],
                                     ["convert", "--depth", "8"], ["gradient", "--show", "picture"]])  # fmt: skip
def test_what_is_not_finite_is_said_in_one_line(command, capsys):
    image = np.full((12, 12), 0.5, np.float32)
    image[5, 5], image[9, 9] = np.nan, np.inf
    np.save("odd.npy", image)
    assert execute([*command, "odd.npy", "-o", "out.png"]) == 0
    err = capsys.readouterr().err
    assert err.count("\n") <= 1
    assert "picture" in command or "values of one image were NaN or infinite" in err
    assert execute([*command, "-q", "--force", "odd.npy", "-o", "out.png"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("resample", RESAMPLE)
def test_convert_resizes_as_pillow_does(resample, tmp_path):
    from PIL import Image

    with Image.open(SAMPLES / "coffee.png") as picture:
        expected = np.asarray(picture.convert("RGB").resize((77, 31), getattr(Image.Resampling, resample.upper())))
    where = str(tmp_path / "small.png")
    assert (
        execute(["convert", "--size", "77x31", "--resample", resample, str(SAMPLES / "coffee.png"), "-o", where]) == 0
    )
    np.testing.assert_array_equal(read(where), expected)


def test_resample_goes_with_a_size(capsys):
    assert execute(["convert", "--resample", "box", str(SAMPLES / "coffee.png"), "-o", "x.png"]) == 2
    assert "--resample goes with --size" in capsys.readouterr().err
    assert tuple(resize.RESAMPLE) == RESAMPLE


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pixels_are_printed_as_matrices_that_are_read_back(dtype, channels, capsys):
    image = (np.random.default_rng(2).random((7, 9, channels)) * 200 - (50 if dtype[0] in "if" else 0)).astype(dtype)
    np.save("a.npy", image[:, :, 0] if channels == 1 else image)
    assert execute(["info", "--json", "--pixels", "a.npy"]) == 0
    row = json.loads(capsys.readouterr().out)
    np.testing.assert_array_equal(np.array(row["pixels"], dtype).reshape(image.shape), image)
    assert row["crop"] == [0, 0, 9, 7]
    assert execute(["info", "--format", "table", "--pixels", "--crop", "2,1,5x4", "a.npy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = PIXEL_CHANNELS[channels]
    assert len(lines) == 5 * channels
    for index, name in enumerate(names):
        head, *matrix = lines[5 * index : 5 * index + 5]
        assert head.split()[:5] == ["a.npy", name, "5x4", "from", "2,1"]
        assert len(set(map(len, matrix))) == 1
        np.testing.assert_array_equal(parse_matrix("\n".join(matrix)).astype(dtype), image[1:5, 2:7, index])


def test_not_finite_pixels_are_null_in_json_and_named_in_matrices(capsys):
    np.save("a.npy", np.array([[np.nan, np.inf, 0.1]], np.float32))
    assert execute(["info", "--json", "--pixels", "a.npy"]) == 0
    assert json.loads(capsys.readouterr().out)["pixels"] == [[None, None, 0.1]]
    assert execute(["info", "--format", "table", "--pixels", "a.npy"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["nan", "inf", "0.1"]


def test_too_many_pixels_for_a_screen_are_picked_as_advised(capsys):
    np.save("a.npy", np.zeros((65, 64), np.uint8))
    assert execute(["info", "--format", "table", "--pixels", "a.npy"]) == 1
    assert "--crop X,Y,WxH" in capsys.readouterr().err
    assert execute(["info", "--format", "table", "--pixels", "--crop", "0,0,64x65", "a.npy"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 66
    assert execute(["info", "--json", "--pixels", "a.npy"]) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["--pixels", "--crop", "1,1,4x4"], 1, "has 4x4 pixels, and 1,1,4x4 reaches beyond them"),
        (["--crop", "1,1,2x2"], 2, "--crop goes with --pixels"),
        (["--pixels", "--crop", "1,1,0x2"], 2, "--crop 1,1,0x2: write X,Y,WIDTHxHEIGHT"),
        (["--pixels", "--crop", "1,1,2"], 2, "--crop 1,1,2: write X,Y,WIDTHxHEIGHT"),
        (["--pixels", "--crop", "-1,1,2x2"], 2, "--crop -1,1,2x2: write X,Y,WIDTHxHEIGHT"),
        (["--pixels", "--crop", f"1,1,{'9' * 5000}x2"], 2, "write X,Y,WIDTHxHEIGHT"),
        (["--pixels", "--format", "csv"], 2, "imgtool convert -o x.csv writes numbers"),
    ],
    ids=["beyond", "alone", "nothing", "one side", "negative", "huge", "csv"],
)
def test_parts_that_are_none_are_refused_in_one_line(arguments, status, reason, capsys):
    np.save("a.npy", np.zeros((4, 4), np.uint8))
    assert execute(["info", *arguments, "a.npy"]) == status
    err = capsys.readouterr().err
    assert reason in err
    assert err.count("\n") == 1
