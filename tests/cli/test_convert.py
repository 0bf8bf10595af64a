"""`imgtool convert`: depths and ranges of every type, spaces of numbers and pictures of their channels."""

import json

import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.image import color, encode, read
from imgtool.image.alpha import flatten
from imgtool.image.channels import CHANNELS, PIXEL_CHANNELS
from imgtool.pipelines.convert_images import NUMERIC_SPACES

RGB = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
PICTURE_FORMATS = ("png", "jpg", "webp", "bmp", "jp2", "pgm", "pam")
NUMBER_FORMATS = ("npy", "tif", "pfm")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(encode(RGB, "png"))


def done(capsys, *arguments):
    """Run convert, which must succeed; return its record and what it says."""
    status = execute(["convert", "--force", "--json", *arguments])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return json.loads(captured.out), captured.err


def refused(capsys, *arguments):
    """Run convert, which must fail in one line; return it."""
    assert execute(["convert", *arguments]) in (1, 2)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def stored(name, array):
    """Write an array as NPY or TIFF."""
    with open(name, "wb") as file:
        file.write(encode(array, name.rpartition(".")[2]))


@pytest.mark.parametrize("format", ["tif", "npy"])
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint32", "uint64"])
def test_F18_wide_integers_become_pixels_by_the_range_of_their_type(dtype, format, capsys):
    top = np.iinfo(dtype).max
    array = np.array([[0, top // 5, top // 2, top]] * 3, dtype)
    stored(f"w.{format}", array)
    record, said = done(capsys, "--depth", "8", f"w.{format}", "-o", "b.png")
    assert np.abs(read("b.png").astype(int) - [0, 51, 127, 255]).max() <= 2
    assert (record["clipped"], said) == (0, "")
    if dtype.startswith("int"):
        stored(f"n.{format}", np.where(array == top, -1, array).astype(dtype))
        record, said = done(capsys, "--depth", "8", f"n.{format}", "-o", "c.png")
        assert read("c.png")[:, 3].tolist() == [0, 0, 0]
        assert record["clipped"] == record["left_out"]["clipped"] == 3
        assert "3 values of one image were clipped" in said
        assert "--range stretch" in said


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int64", "float32", "float64"])
def test_stretch_takes_the_darkest_to_the_lightest(dtype, capsys):
    """As the remark advises for what is darker than its type, or negative."""
    array = np.array([[-300 if np.dtype(dtype).kind in "if" else 0, 0, 100, 200]] * 2, np.float64)
    array = array.astype(dtype)
    stored("w.npy", array)
    record, said = done(capsys, "--range", "stretch", "--depth", "8", "w.npy", "-o", "b.png")
    expected = (array.astype(float) - array.min()) / np.ptp(array.astype(float)) * 255
    assert np.abs(read("b.png") - expected).max() <= 0.5
    assert (record["range"], record["clipped"], said) == ("stretch", 0, "")


@pytest.mark.parametrize(("range", "expected"), [("clip", [0, 0, 0, 25]), ("abs", [50, 26, 0, 25]),
                                                 ("center", [78, 102, 128, 153])])  # fmt: skip
def test_ranges_of_convert_are_those_of_filter(range, expected, capsys):
    stored("w.npy", np.array([[-0.195, -0.1, 0, 0.1]], np.float32))
    record, _ = done(capsys, "--range", range, "--depth", "8", "w.npy", "-o", "b.png")
    assert np.abs(read("b.png").astype(int) - [expected]).max() <= 1
    assert record["clipped"] == (2 if range == "clip" else 0)


def test_range_raw_and_the_depth_that_is_kept(capsys):
    done(capsys, "--range", "raw", "a.png", "-o", "b.npy")
    np.testing.assert_array_equal(read("b.npy"), RGB.astype(np.float32))
    assert read("b.npy").dtype == np.float32
    done(capsys, "--range", "clip", "a.png", "-o", "b.png")
    np.testing.assert_array_equal(read("b.png"), RGB)
    done(capsys, "--range", "stretch", "a.png", "-o", "b.tif")
    assert read("b.tif").dtype == np.uint8
    assert "--depth" in refused(capsys, "--range", "raw", "a.png", "-o", "c.png")
    assert "other ranges" in refused(capsys, "--range", "raw", "--depth", "8", "a.png", "-o", "c.png")
    done(capsys, "--range", "clip", "--depth", "8", "a.png", "-o", "c.png")


def test_alpha_is_scaled_and_never_stretched(capsys):
    rgba = np.dstack([RGB // 2, np.full(RGB.shape[:2], 200, np.uint8)])
    stored("t.png", rgba)
    for range in ("clip", "stretch", "center"):
        done(capsys, "--range", range, "--depth", "16", "t.png", "-o", "b.png")
        assert (read("b.png")[:, :, 3] == 200 * 257).all()


def test_F18_colors_that_srgb_cannot_show_are_clipped_only_in_pixels_and_counted(capsys):
    red = np.array([[[0.48657, 0.22897, 0.0]] * 3 + [[0.2, 0.2, 0.2]]])  # Display P3's red
    stored("xyz.npy", red)
    record, said = done(capsys, "--from", "xyz", "--color", "lab", "xyz.npy", "-o", "lab.npy")
    np.testing.assert_allclose(read("lab.npy")[0, 0], [55.0, 94.1, 94.8], atol=0.06)
    assert (read("lab.npy").dtype, record["clipped"], said) == (np.float64, 0, "")
    record, said = done(capsys, "--from", "lab", "--color", "rgb", "lab.npy", "-o", "rgb.npy")
    assert read("rgb.npy")[0, 0, 0] > 1.09
    assert (record["clipped"], said) == (0, "")
    record, said = done(capsys, "--from", "rgb", "--color", "xyz", "rgb.npy", "-o", "again.npy")
    np.testing.assert_allclose(read("again.npy"), red, atol=1e-6)
    record, said = done(capsys, "--from", "lab", "--color", "rgb", "--depth", "8", "lab.npy", "-o", "b.png")
    assert read("b.png")[0, 0].tolist() == [255, 0, 0]
    assert record["clipped"] == 9
    assert "9 values of one image were clipped" in said


@pytest.mark.parametrize("source", NUMERIC_SPACES)
@pytest.mark.parametrize("target", [*NUMERIC_SPACES, "rgb", "gray"])
def test_every_space_through_files(source, target, capsys):
    numbers = color.change_space(RGB / 255, "rgb", source)
    stored("n.npy", numbers)
    done(capsys, "--from", source, "--color", target, "n.npy", "-o", "m.npy")
    np.testing.assert_array_equal(read("m.npy"), color.convert(numbers, target, source=source))


@pytest.mark.parametrize("space", NUMERIC_SPACES)
@pytest.mark.parametrize("format", PICTURE_FORMATS)
def test_formats_of_pictures_show_the_channels_side_by_side(space, format, capsys):
    done(capsys, "--color", space, "a.png", "-o", f"b.{format}")
    shown = read(f"b.{format}")
    assert shown.dtype == np.uint8
    assert shown.shape[0] > 20
    assert shown.shape[1] > 24 * len(CHANNELS[space])
    if format in ("png", "pam", "jp2", "bmp"):
        done(capsys, "--color", space, "--depth", "8", "a.png", "-o", "c.png")
        np.testing.assert_array_equal(read("c.png"), shown)
        done(capsys, "--color", space, "--depth", "16", "a.png", "-o", "d.png")
        assert np.abs(read("d.png") / 257 - shown).max() <= 1


@pytest.mark.parametrize("space", NUMERIC_SPACES)
@pytest.mark.parametrize("format", NUMBER_FORMATS)
def test_formats_of_numbers_keep_them(space, format, capsys):
    if (space, format) == ("cmyk", "pfm"):
        message = refused(capsys, "--color", space, "a.png", "-o", "b.pfm")
        assert message.endswith("; tiff, npy can\n")  # no depth helps
        return
    done(capsys, "--color", space, "a.png", "-o", f"b.{format}")
    np.testing.assert_array_equal(read(f"b.{format}"), color.convert(RGB, space))


@pytest.mark.parametrize("setting", [("--depth", "8"), ("--depth", "16"), ("--range", "stretch"), ("--range", "clip")])
@pytest.mark.parametrize("format", NUMBER_FORMATS)
def test_the_advice_for_pictures_in_formats_of_numbers_can_be_followed(setting, format, capsys):
    message = refused(capsys, "--color", "hsv", *setting, "a.png", "-o", f"b.{format}")
    assert all(word in message for word in (" ".join(setting), "leave it out", "png", "--show-channel"))
    done(capsys, "--color", "hsv", "a.png", "-o", f"b.{format}")
    done(capsys, "--color", "hsv", *setting, "a.png", "-o", "b.png")
    if format != "pfm":  # which holds float32 only, and says so
        done(capsys, "--color", "hsv", *setting, "--show-channel", "H", "a.png", "-o", f"c.{format}")
        assert read(f"c.{format}").dtype == (np.uint16 if "16" in setting else np.uint8)


def test_floats_in_a_format_of_pictures_lead_to_a_depth_that_works(capsys):
    assert "--depth" in refused(capsys, "--color", "hsv", "--depth", "float", "a.png", "-o", "b.png")
    done(capsys, "--color", "hsv", "--depth", "8", "a.png", "-o", "b.png")


@pytest.mark.parametrize("space", NUMERIC_SPACES)
def test_one_channel_alone(space, capsys):
    numbers = color.convert(RGB, space, dtype="float64")
    for index, channel in enumerate(CHANNELS[space]):
        done(capsys, "--color", space, "--show-channel", channel.name, "a.png", "-o", "c.npy")
        np.testing.assert_allclose(read("c.npy"), numbers[:, :, index], rtol=1e-6, atol=1e-6)
        done(capsys, "--color", space, "--show-channel", channel.name.swapcase(), "a.png", "-o", "c.png")
        unit = (numbers[:, :, index] - channel.black) / (channel.white - channel.black)
        assert np.abs(read("c.png") - unit * 255).max() <= 0.51
    stored("n.npy", numbers)
    done(capsys, "--from", space, "--show-channel", CHANNELS[space][1].name, "n.npy", "-o", "d.npy")
    np.testing.assert_array_equal(read("d.npy"), numbers[:, :, 1])
    assert "there are" in refused(capsys, "--color", space, "--show-channel", "alpha", "a.png", "-o", "e.png")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_one_channel_of_pixels(channels, capsys):
    image = np.dstack([RGB, RGB[:, :, 0]])[:, :, :channels]
    stored("i.png", image)
    seen = flatten(image) if channels in (2, 4) else image  # one channel of color has no alpha: it is seen on white
    for index, name in enumerate(PIXEL_CHANNELS[channels]):
        done(capsys, "--show-channel", name, "i.png", "-o", "c.png")
        expected = image[:, :, -1] if name == "alpha" else seen.reshape(20, 24, -1)[:, :, index]
        np.testing.assert_array_equal(read("c.png"), expected)
    if channels < 4:
        missing = {1: "R", 2: "B", 3: "alpha"}[channels]
        assert f"has no channel {missing}" in refused(capsys, "--show-channel", missing, "i.png", "-o", "d.png")


def test_zero_is_mid_gray_and_what_lies_beyond_the_ends_is_counted(capsys):
    stored("n.npy", np.array([[[50.0, 0.0, 200.0], [120.0, -128.0, 0.0]]]))
    record, said = done(capsys, "--from", "lab", "--color", "lab", "n.npy", "-o", "p.png")
    assert record["clipped"] == 2
    assert "clipped" in said
    done(capsys, "--from", "lab", "--show-channel", "a", "n.npy", "-o", "a.png")
    assert read("a.png").tolist() == [[128, 0]]
    record, _ = done(capsys, "--from", "lab", "--show-channel", "L", "--range", "stretch", "n.npy", "-o", "l.png")
    assert (read("l.png").tolist(), record["clipped"]) == ([[0, 255]], 0)


def test_spaces_with_pictures_are_those_with_numbers():
    assert {space: len(channels) for space, channels in CHANNELS.items()} == color.NUMBER_SPACES
