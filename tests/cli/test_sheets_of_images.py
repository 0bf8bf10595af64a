"""Sheets through the whole program: several kernels, all borders, all of a gradient."""

from pathlib import Path

import numpy as np
import pytest

import imgtool
from imgtool.features.drawing import bank_picture
from imgtool.image import encode, read
from locations import SAMPLES

CAMERA = str(SAMPLES / "camera.png")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, shape in (("a", (20, 30, 3)), ("b", (30, 20)), ("clear", (20, 20, 4))):
        Path(f"{name}.png").write_bytes(encode(rng.integers(0, 256, shape, dtype=np.uint8), "png"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("filter --kernel box --size 5x3 --border all",
         lambda image: imgtool.filter_sheet(image, "box", size=(3, 5))),
        ("filter --matrix 1,0,-1 --correlate --border all --range center",
         lambda image: imgtool.filter_sheet(image, [[1, 0, -1]], correlate=True, range="center")),
        ("filter --kernel box --border all --border-value 9 --normalize abs",
         lambda image: imgtool.filter_sheet(image, "box", border_value=9, normalize="abs")),
        ("filter --kernel box --kernel log --kernel median --sigma 2 --border wrap",
         lambda image: imgtool.filter_sheet(image, ["box", "log", "median"], sigma=2, border="wrap")),
        ("gradient --show all --operator gaussian --sigma 2 --border copy --channel mean --normalize abs",
         lambda image: imgtool.gradient_sheet(
             image, operator="gaussian", sigma=2, border="copy", channel="mean", normalize="abs")),
    ],
    ids=["borders", "taps", "a border's value", "kernels", "gradient"],
)  # fmt: skip
def test_a_command_writes_the_sheet_of_the_function(line, expected, run):
    for name in ("a", "b", "clear"):
        done = run(*line.split(), f"{name}.png", "-o", f"sheet-{name}.png")
        assert done.status == 0, done.err
        np.testing.assert_array_equal(read(f"sheet-{name}.png"), expected(read(f"{name}.png")))
    assert run(*line.split(), ".", "-o", "all/").status == 0
    for name in ("a", "b", "clear"):
        assert Path(f"all/{name}.png").read_bytes() == Path(f"sheet-{name}.png").read_bytes()


def test_the_background_shows_through(run):
    line = ["filter", "--kernel", "box", "--border", "all", "clear.png", "--background", "blue", "-o", "s.png"]
    assert run(*line).status == 0
    np.testing.assert_array_equal(read("s.png"), imgtool.filter_sheet(read("clear.png"), "box", background="blue"))


def test_the_record_says_which_kernels_and_borders(run):
    done = run("filter", "--kernel", "box", "--kernel", "log", "a.png", "-o", "s.png", "--json")
    (row,) = done.rows
    assert (row["kernel"], row["border"], row["shape"][2]) == (["box", "log"], "reflect", 3)
    (row,) = run("filter", "--kernel", "box", "--border", "all", "a.png", "-o", "t.png", "--json").rows
    assert (row["kernel"], row["border"]) == ("box", "all")
    (row,) = run("gradient", "--show", "all", "a.png", "-o", "u.png", "--json").rows
    assert row["show"] == "all"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("filter --kernel box --kernel log --border all a.png -o x.png", "--border all takes one --kernel, got 2"),
        ("filter --kernel box --border all --depth 16 a.png -o x.png", "--depth does not go with a sheet"),
        ("filter --kernel box --border all --nodata 0 a.png -o x.png", "--nodata does not go with a sheet"),
        ("filter --kernel box --border all --method fft a.png -o x.png", "--method does not go with a sheet"),
        ("filter --kernel box --border all --range raw a.png -o x.png", "--range raw gives numbers"),
        ("filter --kernel box --kernel log --size 3 --angle 9 a.png -o x.png", "--angle goes with none of the kernels"),
        ("filter --kernel box --kernel log --print-kernel", "--print-kernel takes one kernel, got 2"),
        ("filter --kernel box --kernel lgo a.png", "did you mean log?"),
        ("filter --kernel box --matrix 1 a.png", "name one kernel"),
        ("gradient --show all --channel each a.png -o x.png", "not of each --channel"),
        ("gradient --show all --depth 16 a.png -o x.png", "--depth does not go with a sheet"),
        ("gradient --show all --range abs a.png -o x.png", "--range does not go with a sheet"),
        ("gradient --show all --border all a.png -o x.png", "no border 'all'"),
    ],
)
def test_what_no_sheet_shows_is_one_line(line, said, run):
    done = run(*line.split())
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert said in done.err
    assert not Path("x.png").exists()


def test_a_folder_of_images_stays_whole_where_one_of_them_is_none(run):
    Path("broken.png").write_bytes(b"no image")
    done = run("gradient", "--show", "all", "a.png", "broken.png", "-o", "out/")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert Path("out/a.png").exists()
    assert not Path("out/broken.png").exists()


@pytest.mark.parametrize("more", [[], ["--preset", "lear"], ["--size", "32", "--orientations", "3,2"]])
def test_the_filters_of_gist_are_drawn_without_an_image(more, run):
    done = run("gist", *more, "--filters", "bank.png")
    assert (done.status, done.out, done.err) == (0, "", "")
    given = {"--preset": {"size": 32, "orientations": (8, 8, 4)}, "--size": {"size": 32, "orientations": (3, 2)}}
    settings = given[more[0]] if more else {"size": 256, "orientations": (8, 8, 8, 8)}
    expected = bank_picture(imgtool.gist_filters(**settings), settings["orientations"])
    np.testing.assert_array_equal(read("bank.png"), expected)


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("gist --filters x.png a.png", 2, "an image does not go with --filters"),
        ("gist --filters x.png -o y.npz", 2, "-o does not go with --filters"),
        ("gist --filters x.png --color", 2, "--color does not go with --filters"),
        ("gist --filters x.png --format csv", 2, "--format does not go with --filters"),
        ("gist --filters x.png --size 4000", 2, "size up to 2048"),
        ("gist --filters a.png", 1, "a.png: exists; --force overwrites it"),
        ("gist --filters x.xyz", 2, "x.xyz"),
    ],
)
def test_filters_that_cannot_be_drawn_are_one_line(line, status, said, run):
    done = run(*line.split())
    assert (done.status, done.err.count("\n"), done.out) == (status, 1, "")
    assert said in done.err
    assert not Path("x.png").exists()
