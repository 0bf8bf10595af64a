"""What evaluate and compare tell beside the table: --by-class, --confusion, --predictions, --mistakes."""

import csv
import io
import json
import os
import re

import cv2
import numpy as np
import pytest

from imgtool.cli.comparison_outputs import files_for
from imgtool.image.write import encode
from locations import SAMPLES

TEXTURES = str(SAMPLES / "textures")
COMPARE = ("compare", TEXTURES, "--model", "two-layer", "--epochs", "2", "-q")


def test_classes_and_a_confusion_are_printed_below_the_table(run):
    out = run(*COMPARE, "--format", "table", "--by-class", "--confusion").out
    table, classes, confusion = (out.partition(title)[2] for title in ("model ", "class by class", "what was said"))
    assert table
    assert sorted(line.split()[0] for line in classes.splitlines()[2:5]) == ["brick", "grass", "gravel"]
    rows = [line.split() for line in confusion.splitlines()[2:]]
    assert [row[1] for row in rows] == ["brick", "grass", "gravel"]
    assert sum(int(number) for row in rows for number in row[2:]) == 12
    markdown = run(*COMPARE, "--format", "markdown", "--by-class", "--confusion").out
    assert [len(part.splitlines()) for part in markdown.split("\n\n")] == [3, 1, 1, 5, 1, 5]


def test_json_holds_them_for_each_model(run):
    (record,) = run(*COMPARE, "--model", "pixels-svm", "--by-class", "--confusion").rows
    for row in record["models"]:
        assert sum(each["n"] for each in row["by_class"]) == 12
        wrong = sum(sum(counts) - counts[place] for place, counts in enumerate(row["confusion"]["counts"]))
        assert wrong == round(12 * row["top1_error"])
        assert row["confusion"]["said"] == ["brick", "grass", "gravel"]
    (record,) = run(*COMPARE).rows
    assert not {"by_class", "confusion"} & set(record["models"][0])


def test_csv_is_one_table(run):
    rows = list(csv.DictReader(io.StringIO(run(*COMPARE, "--format", "csv", "--by-class").out)))
    assert [row["model"] for row in rows] == ["two-layer"] * 3
    assert [row["n"] for row in rows] == ["4"] * 3
    counts = list(csv.reader(io.StringIO(run(*COMPARE, "--format", "csv", "--confusion").out)))
    assert counts[0] == ["class", "brick", "grass", "gravel"]
    done = run(*COMPARE, "--format", "csv", "--confusion", "--by-class")
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert "--by-class and --confusion" in done.err


def test_files_say_the_same_as_the_table(run, tmp_path):
    files = {name: tmp_path / name for name in ("p.csv", "c.csv", "c.png", "m.png")}
    line = [*COMPARE, "--predictions", files["p.csv"], "--mistakes", files["m.png"]]
    (record,) = run(*line, "--confusion", files["c.csv"]).rows
    rows = list(csv.DictReader(files["p.csv"].open()))
    wrong = sum(row["label"] != row["said"] for row in rows)
    assert (len(rows), wrong) == (12, round(12 * record["models"][0]["top1_error"]))
    assert all(row["path"].startswith(f"{TEXTURES}/{row['label']}/") for row in rows)
    counts = np.array([row[1:] for row in csv.reader(files["c.csv"].open())][1:], int)
    assert counts.sum() - np.trace(counts) == wrong
    assert cv2.imread(str(files["m.png"])).std() > 0
    done = run(*line, "--confusion", files["c.png"])
    assert (done.status, "--force" in done.err, files["c.png"].exists()) == (1, True, False)
    assert run(*line, "--confusion", files["c.png"], "--force").status == 0
    assert cv2.imread(str(files["c.png"])).std() > 0


def test_a_name_with_model_is_a_file_for_each(run, tmp_path):
    (tmp_path / "broken").mkdir()
    done = run(
        *COMPARE, "--model", "pixels-svm", "--model", f"{tmp_path}/broken/", "--mistakes", tmp_path / "m-{model}.png",
        "--confusion", tmp_path / "{model}" / "c.csv",
    )  # fmt: skip
    assert done.status == 1
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["m-pixels-svm.png", "m-two-layer.png", "pixels-svm/c.csv", "two-layer/c.csv"]
    assert json.loads(done.out)["models"][-1]["error"]


def test_names_of_files_for_models_are_other_for_each(tmp_path):
    names = ["a/b", "a b", "a-b", "../..", "", "a/b", "hog-svm@x"]  # one of them twice
    files = files_for(tmp_path / "{model}.png", names)
    assert len({*map(str, files.values())}) == len(names)
    assert all(path.parent == tmp_path for path in files.values())
    assert files["a/b"].name == "a-b.png"
    assert files_for(tmp_path / "x.png", names) == {"": tmp_path / "x.png"}


@pytest.mark.parametrize("option", ["--predictions", "--report"])
def test_one_file_for_all_models_names_none(option, run, tmp_path):
    done = run(*COMPARE, option, tmp_path / "x-{model}.csv")
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert f"{option}: " in done.err
    assert "one file holds all models" in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("more", [[], ["--folds", "2"]])
def test_models_of_one_name_have_files_of_their_own(more, run, tmp_path):
    models = ["--model", "pixels-svm", "--model", "pixels-svm", "--set", "size=4"]
    files = ["--mistakes", tmp_path / "m-{model}.png", "--confusion", tmp_path / "c-{model}.csv",
             "--predictions", tmp_path / "p.csv", "--report", tmp_path / "r.html"]  # fmt: skip
    (record,) = run("compare", TEXTURES, *models, *files, *more).rows
    names = ["pixels-svm", "pixels-svm-2"]
    assert sorted(row["model"] for row in record["models"]) == names
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f"m-{name}.png" for name in names), *(f"c-{name}.csv" for name in names), "p.csv", "r.html"
    }  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "p.csv").open()))
    assert [sum(row["model"] == name for row in rows) for name in names] == [len(rows) // 2] * 2
    assert all(f">{name}<" in (tmp_path / "r.html").read_text() for name in names)


@pytest.mark.parametrize("option", ["--confusion", "--mistakes"])
def test_a_suffix_that_is_not_written_is_told_before_any_work(option, run, tmp_path):
    done = run(*COMPARE, option, tmp_path / "x.docx")
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert "x.docx" in done.err


def test_where_every_model_failed_nothing_is_written(run, tmp_path):
    (tmp_path / "broken").mkdir()
    options = ["--by-class", "--predictions", tmp_path / "p.csv", "--mistakes", tmp_path / "m.png"]
    done = run("evaluate", TEXTURES, "--model", f"{tmp_path}/broken/", "--confusion", tmp_path / "c.png", *options)
    assert done.status == 1
    assert "Traceback" not in done.err
    assert {path.name for path in tmp_path.iterdir()} <= {"broken", "p.csv"}


def test_odd_names_stay_in_their_cells(run, tmp_path):
    names = ["=1+1", 'a,b"c', "line\nbreak", "\udcff\u202e"]
    for name in names:
        for index in range(4):
            path = tmp_path / "data" / name / f"{index}\n=.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(np.full((9, 9), 60 * names.index(name) + index, np.uint8), "png"))
    done = run(
        "compare", tmp_path / "data", "--model", "two-layer", "--epochs", "1", "-q", "--format", "table", "--by-class",
        "--confusion", tmp_path / "c.csv", "--predictions", tmp_path / "p.csv", "--mistakes", tmp_path / "m.png",
    )  # fmt: skip
    assert done.status == 0
    assert "line\\nbreak" in done.out
    for file in ("c.csv", "p.csv"):
        text = (tmp_path / file).read_bytes().decode("utf-8", "surrogateescape")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        assert {row.get("label") or row["class"] for row in rows} == set(names)
        assert len(rows) == 4


def test_many_classes_are_told_by_the_commonest_mistakes(run, tmp_path):
    for place in range(40):
        for index in range(4):
            path = tmp_path / "data" / f"class-{place:02}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(np.full((9, 9), 6 * place + index, np.uint8), "png"))
    out = run("compare", tmp_path / "data", "--model", "two-layer", "--epochs", "1", "-q", "--format", "table",
              "--confusion").out  # fmt: skip
    lines = out.partition("commonest mistakes\n")[2].splitlines()
    assert re.split(r"\s{2,}", lines[0]) == ["class", "taken for", "times"]
    assert 1 < len(lines) <= 21


@pytest.mark.parametrize("command", ["compare", "evaluate"])
@pytest.mark.parametrize("option", ["--report", "--predictions", "--mistakes"])
def test_no_file_goes_to_standard_output(command, option, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(command, TEXTURES, "--model", "two-layer" if command == "compare" else "lenet", option, "-")
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert not [*tmp_path.iterdir()]


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs a folder in which nobody may write, root included")
def test_what_cannot_be_written_is_told_before_any_work(run):
    place = "/proc/self/no-such-folder/report.html"
    done = run("compare", TEXTURES, "--model", "two-layer", "--report", place)
    assert (done.status, done.out) == (1, "")
    assert done.err == f"imgtool: {place}: cannot be written: no such file or directory\n"


def test_names_in_markdown_sentences_are_no_markup(run, tmp_path):
    place = tmp_path / "a_b_c*<i>"
    assert run("train", TEXTURES, "--model", "pixels-svm", "--set", "size=4", "-o", place, "-q").status == 0
    sentence = run("evaluate", TEXTURES, "--model", place, "--format", "markdown", "-q").out.rstrip().splitlines()[-1]
    assert r"a\_b\_c\*\<i\> was trained on these test images" in sentence


ONLY_WIDE = ("95 % CI", "p95 ms", "batch", "parameters", "peak MB", "device")


def test_a_wide_terminal_has_all_columns(run, monkeypatch):
    line = (*COMPARE, "--model", "pixels-svm", "--format", "table")
    monkeypatch.setenv("COLUMNS", "200")
    wide = run(*line).out.split("\n\n")[1].splitlines()
    monkeypatch.setenv("COLUMNS", "80")
    narrow = run(*line).out.split("\n\n")[1].splitlines()
    assert [name in wide[0] for name in ONLY_WIDE[1:]] == [True] * 5
    assert not any(name in narrow[0] for name in ONLY_WIDE)
    assert len(wide) == len(narrow) == 3
    device = wide[0].index("device")
    assert {each[device:] for each in wide[1:]} == {"cpu"}
    monkeypatch.setenv("COLUMNS", str(max(map(len, wide)) - 1))
    assert run(*line).out.split("\n\n")[1].splitlines()[0] == narrow[0]
