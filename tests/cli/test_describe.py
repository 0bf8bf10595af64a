"""`imgtool hog` and `imgtool gist`: options, rows, feature files, pictures, errors."""

import json

import cv2
import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.features.dalal_triggs import dalal_triggs
from imgtool.features.drawing import hog_picture
from imgtool.features.gist import PRESETS, gist
from imgtool.features.hog import cell_histograms, hog
from imgtool.features.uoctti import uoctti, vlfeat_dalal_triggs
from imgtool.image.read import read

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (40, 48), dtype=np.uint8)
COLOR = RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("gray.png", GRAY)
    cv2.imwrite("color.png", COLOR[:, :, ::-1])
    np.save("nan.npy", np.full((40, 48), np.nan))
    return tmp_path


def row_of(capsys, *arguments):
    assert execute([*arguments, "--format", "jsonl"]) == 0
    return json.loads(capsys.readouterr().out)


VARIANTS = [
    ("dalal-triggs", dalal_triggs, [], {}),
    ("dalal-triggs", dalal_triggs, ["--cell", "6", "--block", "3", "--sqrt", "--signed", "--orientations", "5"],
     {"cell": 6, "block": 3, "sqrt": True, "signed": True, "orientations": 5}),
    ("uoctti", uoctti, ["--cell", "4", "--orientations", "8"], {"cell": 4, "orientations": 8}),
    ("vlfeat-dalal-triggs", vlfeat_dalal_triggs, [], {}),
]  # fmt: skip
HOG_CASES = [
    ([], {}),
    (["--orientations", "6", "--cell", "5,7", "--block", "3"], {"orientations": 6, "cell": (5, 7), "block": 3}),
    (["--norm", "L1", "--sqrt", "--block", "1,2"], {"norm": "L1", "sqrt": True, "block": (1, 2)}),
    (["--norm", "none"], {"norm": "none"}),
]
GIST_CASES = [
    ([], {}),
    (["--size", "64", "--orientations", "4,3", "--blocks", "2"], {"size": 64, "orientations": (4, 3), "blocks": 2}),
    (["--size", "64", "--prefilter", "8", "--color"], {"size": 64, "prefilter": 8.0, "color": True}),
    (["--preset", "lear"], PRESETS["lear"]),
    (["--preset", "lear", "--gray", "--size", "40"], {**PRESETS["lear"], "color": False, "size": 40}),
    (["--preset", "hays-efros"], PRESETS["hays-efros"]),
]


@pytest.mark.parametrize(
    ("function", "arguments", "parameters"),
    [(hog, *case) for case in HOG_CASES] + [(gist, *case) for case in GIST_CASES],
)
def test_options_reach_the_descriptor(function, arguments, parameters, capsys):
    row = row_of(capsys, function.__name__, "color.png", *arguments)
    expected = function(COLOR, **parameters)
    assert list(row) == ["path", "descriptor", "shape", "values"]
    assert (row["path"], row["descriptor"], row["shape"]) == ("color.png", function.__name__, list(expected.shape))
    np.testing.assert_array_equal(np.float32(row["values"]), expected.ravel())


@pytest.mark.parametrize("function", [hog, gist])
def test_feature_file_holds_the_numbers_and_how_they_were_made(function, capsys):
    assert execute([function.__name__, "gray.png", "color.png", "-o", "out.npz"]) == 0
    assert capsys.readouterr().out == ""
    with np.load("out.npz", allow_pickle=False) as table:
        np.testing.assert_array_equal(table["features"], [function(GRAY).ravel(), function(COLOR).ravel()])
        assert table["paths"].tolist() == ["gray.png", "color.png"]
        meta = json.loads(str(table["meta"]))
    assert meta["descriptor"] == function.__name__
    assert meta["parameters"]["orientations"] == (9 if function is hog else [8, 8, 8, 8])


def test_hog_picture_is_written_beside_the_row(capsys):
    row_of(capsys, "hog", "color.png", "--visualize", "out.png", "--cell", "10")
    expected = hog_picture(cell_histograms(COLOR, cell=10), (10, 10), COLOR)
    np.testing.assert_array_equal(read("out.png"), expected)


def test_gist_picture_shows_the_square_and_its_windows(capsys):
    row_of(capsys, "gist", "color.png", "--visualize", "out.png", "--size", "64", "--blocks", "2", "--color")
    assert read("out.png").shape == (256, 520, 3)


@pytest.mark.parametrize("command", ["hog", "gist"])
def test_pictures_of_several_images_go_to_a_folder(command, folder):
    assert execute([command, "gray.png", "color.png", "--visualize", "pictures/", "-q"]) == 0
    assert sorted(each.name for each in (folder / "pictures").iterdir()) == ["color.png", "gray.png"]


@pytest.mark.parametrize("command", ["hog", "gist"])
def test_picture_goes_to_standard_output_when_rows_do_not(command, capsysbinary):
    assert execute([command, "gray.png", "-o", "rows.csv", "--visualize", "-"]) == 0
    assert capsysbinary.readouterr().out.startswith(b"\x89PNG")


@pytest.mark.parametrize("command", ["hog", "gist"])
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--visualize", "-"], 2, "standard output carries the rows"),
        (["--visualize", "gray.png"], 2, "is an input"),
        (["--visualize", "x.xyz"], 2, "suffix"),
        (["--visualize", "color.png"], 1, "--force"),
        (["--visualize", "x.npy", "-o", "x.npy"], 2, "x.npy: -o and --visualize are one file"),
        (["--orientations", "0"], 2, "0"),
    ],
)
def test_refusals_are_one_line(command, arguments, status, message, capsys):
    assert execute([command, "gray.png", *arguments]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hog", "--cell", "1,2,3"], "--cell"),
        (["hog", "--block", "a"], "'a'"),
        (["hog", "--norm", "L3"], "L2-Hys"),
        (["hog", "--signed"], "--signed does not go with --variant skimage"),
        (["hog", "--variant", "uoctti", "--block", "2"], "which takes --orientations, --cell"),
        (["hog", "--variant", "dalal-triggs", "--cell", "8,4"], "takes one number"),
        (["gist", "--preset", "pyramid"], "hays-efros"),
        (["gist", "--blocks", "300"], "300"),
        (["gist", "--prefilter", "0"], "0"),
        (["gist", "--prefilter", "nan"], "nan"),
        (["gist", "--size", "100000"], "2048"),
    ],
)
def test_wrong_settings_are_one_line_and_status_2(arguments, message, capsys):
    assert execute([*arguments, "gray.png"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.parametrize(("variant", "function", "arguments", "parameters"), VARIANTS)
def test_variants_of_hog(variant, function, arguments, parameters, capsys):
    row = row_of(capsys, "hog", "--variant", variant, "color.png", *arguments, "--visualize", "out.png")
    expected = function(COLOR, **parameters)
    assert row["shape"] == list(expected.shape)
    np.testing.assert_array_equal(np.float32(row["values"]), expected.ravel())
    assert read("out.png").ndim == 3


@pytest.mark.parametrize("variant", ["skimage", "dalal-triggs", "uoctti", "vlfeat-dalal-triggs"])
@pytest.mark.parametrize("degrees", [0, 45, 90, 135])
def test_strokes_of_every_variant_run_along_the_edge(variant, degrees):
    y, x = np.mgrid[:72, :72] - 35.5
    angle = np.radians(degrees + 90)  # of the gradient
    image = 255 / (1 + np.exp(-(x * np.cos(angle) + y * np.sin(angle))))
    cv2.imwrite("edge.png", image.astype(np.uint8))
    assert execute(["hog", "-q", "--variant", variant, "edge.png", "-o", "x.npz", "--visualize", "edge_hog.png"]) == 0
    stars = read("edge_hog.png")[:, -144:].astype(float).mean(axis=2)  # 9 x 9 cells, magnified to 16 pixels
    star = stars[64:80, 64:80] / stars[64:80, 64:80].sum()  # the cell in the middle
    v, u = np.mgrid[:16, :16] - 7.5
    spread = [(star * each).sum() for each in (u * u, v * v, u * v)]
    found = np.degrees(0.5 * np.arctan2(2 * spread[2], spread[0] - spread[1]))
    assert abs((found - degrees + 90) % 180 - 90) <= 11  # half a bin, and 1


@pytest.mark.parametrize("command", ["hog", "gist"])
def test_bad_image_is_one_line_and_the_others_go_on(command, capsys):
    assert execute([command, "nan.npy", "gray.png", "--format", "jsonl", "--visualize", "out/"]) == 1
    captured = capsys.readouterr()
    bad, good = map(json.loads, captured.out.splitlines())
    assert "NaN" in bad["error"]
    assert len(good["values"]) == np.prod(good["shape"])
    assert captured.err.count("\n") == 1
    assert "nan.npy" in captured.err


def test_image_smaller_than_a_block_names_both_sizes(capsys):
    assert execute(["hog", "gray.png", "--cell", "30"]) == 1
    assert "48x40" in (text := capsys.readouterr().err)
    assert "60x60" in text


@pytest.mark.parametrize("command", ["hog", "gist", "sift", "fisher"])
@pytest.mark.parametrize("pixels", [(np.inf, -np.inf, 0), (np.nan, 0, 0), (1e300, -1e300, 1e300)])
def test_D4_what_is_no_number_is_one_line(command, pixels, capfd):
    np.save("odd.npy", np.broadcast_to(np.array(pixels), (64, 64, 3)))
    assert execute([command, "--format", "jsonl", "odd.npy"]) == 1
    output = capfd.readouterr()
    assert json.loads(output.out).keys() == {"path", "error"}
    assert len(output.err.splitlines()) == 1
    assert output.err.startswith("imgtool: odd.npy: ")
