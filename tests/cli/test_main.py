"""The frame of the command line: help, errors, exit statuses."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from imgtool.cli import main
from imgtool.cli.main import COMMANDS, execute, program
from locations import REFERENCE, SAMPLES

CAMERA = str(SAMPLES / "camera.png")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_first(name, capsys):
    assert execute([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"imgtool {name}" in text.split("Options:")[0].split("\n\n", 1)[1]
    command = program.get_command(None, name)
    assert command.get_short_help_str(200) == COMMANDS[name]
    assert len(text.splitlines()) <= 90


def test_version(capsys):
    assert execute(["--version"]) == 0
    assert re.fullmatch(r"imgtool \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fliter"], "did you mean filter"),
        (["filter", "--kernel", "sobel", CAMERA], "there are"),
        (["filter", CAMERA], "name one kernel"),
        (["filter", "--kernel", "box", "--matrix", "1", CAMERA], "name one kernel"),
        (["filter", "--kernel", "box", "--sigma", "2", CAMERA], "does not go with"),
        (["filter", "--kernel", "box", "--border", "blck", CAMERA], "did you mean Black"),
        (["filter", "--kernel", "box", CAMERA, CAMERA], "-o"),
        (["filter", "--kernel", "box", CAMERA, "-o", CAMERA], "is an input"),
        (["filter", "--kernel", "box", CAMERA, "-o", "out.xyz"], "suffix"),
        (["filter", "--kernel", "box", CAMERA, "--json"], "-o"),
        (["gradient", "--degrees", CAMERA], "--range raw"),
        (["convert", "--size", "12", CAMERA], "WIDTHxHEIGHT"),
        (["hog", "--cell", "0", CAMERA], "0"),
        (["info", "--jobs", "0", CAMERA], "0"),
        (["hog", "--orientations", "361", CAMERA], "360"),
        (["gist", "--orientations", "8,361", CAMERA], "above 360"),
        (["sift", "--step", "10001", CAMERA], "10000"),
        (["sift", "--bin", "4,10001", CAMERA], "above 10000"),
        (["sift", "--bounds", f"0,0,{2**31},9", CAMERA], "above 2147483647"),
        (["features", "fit", "--step", "10001", CAMERA, "-o", "x.safetensors"], "10000"),
        (["fisher", "--codebook", "", CAMERA], "'--codebook': is empty"),
        (["fisher", "--pyramid", "", CAMERA], "'--pyramid': is empty"),
        (["sift", "--match", "", CAMERA], "'--match': is empty"),
        (["hog", "--resize", "", CAMERA], "'--resize': is empty"),
        (["hog", "-o", "", CAMERA], "'--output': is empty"),
        (["classify", "--model", "alexnett", CAMERA], "did you mean alexnet"),
        (["train", "nowhere", "--model", "lenett", "-o", "x"], "did you mean lenet"),
        (["train", "nowhere", "--model", "lenet", "--set", "epochs", "-o", "x"], "KEY=VALUE"),
        (["train", "nowhere", "--model", "lenet", "--set", "epoks=3", "-o", "x"], "epochs"),
        (["train", "nowhere", "--model", "lenet", "--set", "epochs=three", "-o", "x"], "three"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert execute(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("imgtool: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(("command", "option"), [("hog", "--resize"), ("convert", "--size")])
def test_a_size_that_is_no_image_is_refused(command, option, tmp_path, monkeypatch, capsys):
    """A small file with one narrow image would become as large as its ratio makes it."""
    monkeypatch.chdir(tmp_path)
    np.save("narrow.npy", np.zeros((100_000, 1), np.uint8))
    for size in ("256x", f"{10**20}x1"):
        assert execute([command, option, size, "narrow.npy", "-o", "out.npy"]) == 1
        assert "narrow.npy: would be" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["narrow.npy"]


def test_a_bad_file_stops_nothing_and_ends_with_status_1(capsys, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    assert execute(["info", CAMERA, str(bad), str(SAMPLES / "cat.jpg")]) == 1
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    assert [Path(row["path"]).name for row in rows] == ["camera.png", "bad.png", "cat.jpg"]
    assert "error" in rows[1]
    assert captured.err.splitlines() == [f"imgtool: {bad}: {rows[1]['error']}"]


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_F7_one_bad_file_among_500_stops_nothing(tmp_path, capsys, jobs):
    good = (SAMPLES / "textbook_10x10.png").read_bytes()
    (tmp_path / "in").mkdir()
    for index in range(500):
        (tmp_path / "in" / f"{index:03}.png").write_bytes(good if index != 250 else good[:30])
    expected = [f"{index:03}.png" for index in range(500) if index != 250]
    assert execute(["filter", "--kernel", "box", "-j", jobs, str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == expected
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"imgtool: {tmp_path}/in/250.png: ")
    assert execute(["info", "-j", jobs, str(tmp_path / "in")]) == 1
    captured = capsys.readouterr()
    rows = [json.loads(row) for row in captured.out.splitlines()]
    assert [Path(row["path"]).name for row in rows if "error" not in row] == expected
    assert len(rows) == 500
    assert captured.err.count("\n") == 1


def test_textbook_example(tmp_path, capsys):
    out = tmp_path / "out.npy"
    matrix = str(SAMPLES / "textbook_10x10.png")
    assert execute(["filter", "--kernel", "box", matrix, "-o", str(out), "--range", "raw", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["output"] == str(out)
    import numpy as np

    reference = np.load(REFERENCE / "filtering.npz")
    np.testing.assert_allclose(np.load(out)[1:-1, 1:-1], reference["textbook_interior"], atol=1e-12)


def test_existing_files_are_kept_unless_forced(tmp_path, capsys):
    out = tmp_path / "out.png"
    out.write_bytes(b"precious")
    command = ["filter", "--kernel", "box", CAMERA, "-o", str(out)]
    assert execute(command) == 1
    assert out.read_bytes() == b"precious"
    assert "--force" in capsys.readouterr().err
    assert execute([*command, "--skip-existing"]) == 0
    assert out.read_bytes() == b"precious"
    assert execute([*command, "--force"]) == 0
    assert out.read_bytes()[:4] == b"\x89PNG"


def test_clipped_pixels_are_told_unless_quiet(tmp_path, capsys):
    command = ["filter", "--matrix", "9", "--range", "clip", CAMERA, "-o", str(tmp_path / "a.png")]
    assert execute(command) == 0
    assert "clipped" in capsys.readouterr().err
    assert execute([*command, "--force", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_defect_is_one_line_unless_asked(monkeypatch, capsys):
    monkeypatch.setattr(main, "leave", sys.exit)
    monkeypatch.setattr(main, "execute", lambda _: 1 // 0)
    with pytest.raises(SystemExit) as stop:
        main.run()
    assert stop.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv("IMGTOOL_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main.run()


@pytest.mark.parametrize(
    ("line", "expected"),
    [("imgtool fi", "filter"), ("imgtool filter --kernel sob", "sobel-x"), ("imgtool filter --border mi", "mirror"),
     ("imgtool train --model hog", "hog-svm")],
)  # fmt: skip
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(line, expected, shell, monkeypatch, capsys):
    words = line.split()
    monkeypatch.setattr(main, "leave", sys.exit)
    monkeypatch.setenv("_IMGTOOL_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words) - 1))
    with pytest.raises(SystemExit):
        main.run()
    assert expected in capsys.readouterr().out
