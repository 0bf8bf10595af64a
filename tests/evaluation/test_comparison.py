"""Comparing classifiers: the table, its statistics, failures, the report."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import load
from imgtool.errors import DataError
from imgtool.evaluation import comparison
from imgtool.evaluation.comparison import Comparison, Result, compare, duplicates, score
from imgtool.evaluation.report import page
from imgtool.evaluation.statistics import mcnemar_exact, wilson

SAMPLES = Path(__file__).parents[2] / "sample_images"
TEXTURES = str(SAMPLES / "textures")


def one_hot(guesses, classes):
    return np.eye(classes)[guesses] * 0.9 + 0.1 / classes


def test_rows_hold_errors_intervals_and_p_against_the_best():
    labels = np.arange(40) % 8
    good, bad = labels.copy(), labels.copy()
    good[:4] = (good[:4] + 1) % 8
    bad[2:14] = (bad[2:14] + 1) % 8
    results = [Result("bad", None, one_hot(bad, 8), 1.0, 2.0, 3), Result("gone", "needs the extra 'torch'"),
               Result("good", None, one_hot(good, 8), None, 2.0, 3)]  # fmt: skip
    rows = Comparison(tuple("abcdefgh"), labels, 100, results).rows()
    assert [row["model"] for row in rows] == ["good", "bad", "gone"]
    assert rows[0]["top1_error"] == pytest.approx(0.1)
    assert rows[0]["top1_interval"] == pytest.approx(wilson(4, 40))
    assert rows[0]["p"] is None
    assert rows[1]["p"] == pytest.approx(mcnemar_exact(10, 2))
    assert rows[0]["top5_error"] is not None
    assert rows[2] == {"model": "gone", "error": "needs the extra 'torch'"}
    assert rows[0]["mean_class_accuracy"] == pytest.approx(0.9)


class Brightness:
    """A classifier without learning: bright is class 1."""

    name, classes, defaults = "brightness", ("dark", "bright"), {}

    def __init__(self):
        self.seconds = dict.fromkeys(("prepare", "features", "decide"), 0.0)

    def scores(self, images):
        self.seconds["features"] += 0.001 * len(images)
        bright = np.array([image.mean() / 255 for image in images])
        return np.stack([1 - bright, bright], axis=1)

    def fit(self, *_, **__):
        return self

    def arrays(self):
        return {"nothing": np.zeros(5)}


def test_models_are_measured_on_the_same_images_and_failures_are_rows(monkeypatch):
    data = Dataset(
        np.stack([np.full((4, 4), 250 * (i % 2), np.uint8) for i in range(10)]), np.arange(10) % 2, ("dark", "bright")
    )

    def create(name, **_):
        if name == "broken":
            raise DataError("cannot be fitted")
        return Brightness()

    monkeypatch.setattr(comparison.registry, "create", create)
    done = compare(["brightness", "broken"], data, data)
    rows = done.rows()
    assert rows[0]["top1_error"] == 0
    assert rows[0]["ms_per_image"] == pytest.approx(1)
    assert rows[0]["bytes"] == 40
    assert rows[1]["error"] == "cannot be fitted"
    assert done.failed


def test_columns_follow_the_data_sets_order_of_classes():
    data = Dataset(np.full((1, 4, 4), 250, np.uint8), np.array([0]), ("bright", "dark"))
    scores, _ = score(Brightness(), data)
    assert scores.argmax() == 0
    with pytest.raises(DataError, match="gray"):
        score(Brightness(), Dataset(np.zeros((1, 4, 4)), np.array([0]), ("gray",)))


def test_equal_images_in_both_parts_are_found():
    data = load(SAMPLES / "textures").train
    assert list(duplicates(data.subset(np.arange(5)), data.subset(np.arange(4, 8)))) == [(data.name(4), data.name(4))]
    assert not list(duplicates(data.subset(np.arange(5)), data.subset(np.arange(5, 9))))


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def test_report_escapes_names_and_asks_for_nothing_outside():
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    labels = np.array([0, 1])
    done = Comparison((evil, "b"), labels, 2, [Result(evil, None, one_hot(labels, 2), 1.0, 2.0, 3), Result(evil, evil)])
    text = page(done.rows(), {evil: evil}, {"train": {evil: 1}, "test": {"b": 1}}, [(evil, evil)])
    tags = Tags()
    tags.feed(text)
    assert not {tag for tag, _ in tags.seen} & {"script", "img", "iframe", "link", "object"}
    assert not any(
        name.startswith("on") or name in ("src", "href") for _, attributes in tags.seen for name in attributes
    )
    assert "alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize("format", ["table", "markdown", "csv", "json"])
def test_compare_prints_every_format(format, capsys, tmp_path):
    report = tmp_path / "r.html"
    command = [
        "compare",
        TEXTURES,
        "--model",
        "two-layer",
        "--epochs",
        "2",
        "--format",
        format,
        "--report",
        str(report),
    ]
    assert execute(command) == 0
    out = capsys.readouterr().out
    assert "two-layer" in out
    if format == "json":
        assert json.loads(out)["images"] == 12
    if format == "markdown":
        assert re.match(r"\| model \|.*\n\| --- \|", out)
    assert "two-layer" in report.read_text()
    assert execute(command) == 1  # the report exists
    assert "--force" in capsys.readouterr().err


def test_a_model_that_fails_is_a_row_and_status_1(capsys, tmp_path):
    (tmp_path / "broken").mkdir()
    arguments = [
        "compare",
        TEXTURES,
        "--model",
        "two-layer",
        "--epochs",
        "1",
        "--model",
        f"{tmp_path}/broken",
        "--format",
        "json",
    ]
    assert execute(arguments) == 1
    captured = capsys.readouterr()
    rows = json.loads(captured.out)["models"]
    assert "error" in rows[1]
    assert captured.err.count("\n") == 1


def test_train_then_evaluate_then_classify(capsys, tmp_path):
    model = str(tmp_path / "model")
    assert execute(["train", TEXTURES, "--model", "two-layer", "--epochs", "5", "-o", model, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 48
    assert execute(["train", TEXTURES, "--model", "two-layer", "-o", model]) == 1
    capsys.readouterr()
    assert execute(["evaluate", TEXTURES, "--model", model, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["n"] == 48
    assert execute(["classify", "--model", model, "-q", f"{TEXTURES}/brick"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 16
    assert {"path", "model", "classes", "label", "score", "top", "weights"} == rows[0].keys()
    assert rows[0]["classes"] == 3
    assert sum(each["score"] for each in rows[0]["top"]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("threshold", "label"), [("0", None), ("1", "unsure")])
def test_a_low_score_is_unsure(threshold, label, capsys, tmp_path):
    model = str(tmp_path / "model")
    assert execute(["train", TEXTURES, "--model", "two-layer", "--epochs", "1", "-o", model, "-q"]) == 0
    execute(["classify", "--model", model, "-q", "--threshold", threshold, str(SAMPLES / "cat.jpg")])
    row = json.loads(capsys.readouterr().out)
    assert row["label"] == (label or row["top"][0]["label"])
