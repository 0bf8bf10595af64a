"""Comparing classifiers: the table, its statistics, failures, the report."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import Parts, load
from imgtool.errors import DataError, ImageError, MissingExtraError, ParameterError
from imgtool.evaluation import comparison
from imgtool.evaluation.comparison import Comparison, Result, compare, evaluate, score
from imgtool.evaluation.duplicates import duplicates
from imgtool.evaluation.report import page
from imgtool.evaluation.statistics import mcnemar_exact, wilson
from imgtool.image.write import encode
from locations import SAMPLES, SHARED

DATA = SHARED / "data"
TEXTURES = str(SAMPLES / "textures")


TIMES = ("train_seconds", "ms_per_image")


def one_hot(guesses, classes):
    return np.eye(classes)[guesses] * 0.9 + 0.1 / classes


def test_rows_hold_errors_intervals_and_p_against_the_best():
    labels = np.arange(40) % 8
    good, bad = labels.copy(), labels.copy()
    good[:4] = (good[:4] + 1) % 8
    bad[2:14] = (bad[2:14] + 1) % 8
    results = [Result("bad", None, one_hot(bad, 8), 1.0, 2.0, 3), Result("gone", "needs the extra 'torch'"),
               Result("good", None, one_hot(good, 8), None, 2.0, 3)]  # fmt: skip
    rows = Comparison(tuple("abcdefgh"), labels, results).rows()
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

    name, classes, weights_bytes = "brightness", ("dark", "bright"), 40

    def __init__(self, name="brightness", **settings):
        self.settings = {"gain": 1.0} | settings

    def scores(self, images):
        bright = np.array([image.mean() / 255 for image in images]) * self.settings["gain"]
        return np.stack([1 - bright, bright], axis=1)

    def fit(self, *_, **__):
        return self

    def arrays(self):
        return {"nothing": np.zeros(5)}


class Failing(Brightness):
    """A classifier that cannot be fitted, each for its own reason."""

    def fit(self, *_, **__):
        raise {
            "data": DataError("cannot be fitted"),
            "extra": MissingExtraError("torch", "training"),
            "memory": MemoryError(),
            "defect": ZeroDivisionError("division\nby zero"),
        }[self.name]

    def __init__(self, name, **settings):
        super().__init__(**settings)
        self.name = name


class NoNumbers(Brightness):
    """A classifier whose weights went wrong."""

    def scores(self, images):
        return super().scores(images) * np.nan


FAKES = {"brightness": Brightness, "numberless": NoNumbers}


@pytest.fixture
def fakes(monkeypatch):
    def create(name, **settings):
        if name == "unknown":
            raise ParameterError("no model 'unknown'")
        return FAKES.get(name, Failing)(name, **settings)

    monkeypatch.setattr(comparison.registry, "create", create)


def shades(count=10):
    """Return images that are dark and bright in turn, each another."""
    images = np.stack([np.full((4, 4), 200 * (i % 2) + i, np.uint8) for i in range(count)])
    return Dataset(images, np.arange(count) % 2, ("dark", "bright"))


@pytest.mark.usefixtures("fakes")
def test_models_are_measured_on_the_same_images_and_failures_are_rows():
    failing = {
        "data": "cannot be fitted",
        "extra": "training needs the extra 'torch': pip install 'imgtool[torch]'",
        "memory": "not enough memory",
        "defect": "ZeroDivisionError: division by zero",
        "numberless": "brightness gave no probabilities of 2 classes for each image",
    }
    data = shades()
    done = compare(["data", "extra", "brightness", *list(failing)[2:]], Parts(data, data))
    first, *rest = done.rows()
    assert (first["model"], first["top1_error"], first["n"], first["bytes"]) == ("brightness", 0, 10, 40)
    assert first["ms_per_image"] > 0
    assert {row["model"]: row["error"] for row in rest} == failing
    assert done.failed
    assert not compare(["brightness"], Parts(data, data)).failed


@pytest.mark.usefixtures("fakes")
def test_wrong_usage_is_found_before_anything_is_trained():
    parts = Parts(shades(), None)
    for models, settings, reason in (
        (["data", "unknown"], {}, "unknown"),
        (["brightness"], {"gian": 2}, "'gian'.*gain"),
        (["brightness", "hog-svm@nothing"], {}, "hog-svm"),
    ):
        with pytest.raises(ParameterError, match=reason):
            compare(models, parts, settings=settings)
    done = compare(["brightness"], parts, settings={"gain": 0.1})
    assert done.rows()[0]["settings"] == {"gain": 0.1}
    assert done.rows()[0]["top1_error"] == 0.5


@pytest.mark.usefixtures("fakes")
def test_data_are_split_once_and_the_facts_say_how():
    data, calls = shades(40), []
    done = compare(["brightness"], Parts(data, None), test_share=0.3, seed=4, progress=lambda *told: calls.append(told))
    assert done.counts == {"train": {"dark": 14, "bright": 14}, "test": {"dark": 6, "bright": 6}}
    assert (done.facts["seed"], done.facts["test_share"]) == (4, 0.3)
    assert done.facts["sha256"] == compare(["brightness"], Parts(data, None), test_share=0.3, seed=4).facts["sha256"]
    assert done.facts["sha256"] != compare(["brightness"], Parts(data, None), test_share=0.3, seed=5).facts["sha256"]
    assert compare(["brightness"], Parts(data, data)).facts["test_share"] is None
    assert calls[-1] == (12, 12, "brightness: labeling images")
    assert all(0 <= number <= total for number, total, _ in calls)


def test_an_image_that_cannot_be_read_is_named_before_anything_is_trained(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(4):
            (tmp_path / name / f"{index}.png").write_bytes(encode(np.full((9, 9), index, np.uint8), "png"))
    (tmp_path / "b" / "2.png").write_bytes(b"text")
    with pytest.raises(ImageError, match=r"b.2\.png"):
        compare(["hog-svm"], load(tmp_path))


def test_vectors_are_refused_by_models_that_look_at_images():
    data = Dataset(np.random.default_rng(0).random((20, 6)), np.arange(20) % 2, ("a", "b"))
    done = compare(["two-layer"], Parts(data, None))
    assert "needs images" in done.rows()[0]["error"]


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


@pytest.mark.parametrize("kind", ["gray", "rgb", "16 bit"])
def test_equal_pixels_are_found_however_they_are_stored(tmp_path, kind):
    image = np.random.default_rng(0).integers(0, 256, (8, 9), dtype=np.uint8)
    image = {"gray": image, "rgb": np.dstack([image, image.T[:8, :8].repeat(2, 1)[:, :9], image]),
             "16 bit": image.astype(np.uint16) * 250}[kind]  # fmt: skip
    color = image if image.ndim == 3 else np.dstack([image] * 3)
    opaque = np.dstack([color, np.full((8, 9), np.iinfo(image.dtype).max, image.dtype)])
    others = {"b.tif": image, "c.npy": image, "d.png": color, "e.png": opaque}
    unlike = {"f.png": image[::-1], "g.png": np.dstack([color, opaque[:, :, 3] // 2]), "h.png": image[:, :8]}
    paths = []
    for name, pixels in ({"a.png": image} | others | unlike).items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(encode(np.ascontiguousarray(pixels), paths[-1].suffix[1:]))
    data = Dataset(paths, np.zeros(8, int), ("one",))
    found = duplicates(data.subset(np.arange(1)), data.subset(np.arange(1, 8)))
    assert [Path(second).name for _, second in found] == list(others)


@pytest.mark.skipif(not SHARED.exists(), reason="the data sets are not beside this checkout")
def test_equal_pairs_of_scene15_that_its_description_names_are_found(tmp_path):
    with zipfile.ZipFile(DATA / "scene15.zip") as archive:
        names = [name for name in archive.namelist() if "/livingroom/" in name and name.endswith(".jpg")]
        pair = [
            name
            for name in archive.namelist()
            if name.endswith(("insidecity/image_0305.jpg", "tallbuilding/image_0300.jpg"))
        ]
        archive.extractall(tmp_path, names + pair)
    data = Dataset([tmp_path / name for name in (*names, *pair)], np.zeros(len(names) + 2, int), ("one",))
    pairs = [each for each in duplicates(data, data) if each[0] < each[1]]
    assert len(pairs) == 17  # 16 of livingroom, and one of two classes
    assert tuple(str(tmp_path / name) for name in sorted(pair)) in pairs


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def test_report_escapes_names_and_asks_for_nothing_outside():
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\n\u202e\udcff"
    labels = np.array([0, 1])
    results = [Result(evil, None, one_hot(labels, 2), 1.0, 2.0, 3, {"settings": {evil: evil}}), Result("no", evil)]
    counts, facts = {evil: {evil: 1}, "test": {"b": 1}}, {evil: [evil], "one": {evil: evil}}
    made = page(Comparison((evil, "b"), labels, results, [(evil, evil)], [evil], counts, facts), evil)
    tags = Tags()
    tags.feed(made)
    assert not {tag for tag, _ in tags.seen} & {"script", "img", "iframe", "link", "object"}
    assert not any(
        name.startswith("on") or name in ("src", "href") for _, attributes in tags.seen for name in attributes
    )
    assert made.count("alert(1)&lt;/script&gt;") >= 12
    assert made.isascii() or not set(made) & {"\u202e", "\udcff"}
    assert "\\u202e" in made
    assert "http" not in made.replace("http-equiv", "")


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="there is no Chromium here")
def test_nothing_in_the_report_runs_in_a_browser(tmp_path, capsys):
    evil = [
        "<img src=x onerror=\"document.title='run'\">",
        "<script>document.title='run'<\\script>",
        "'\"><svg onload=alert(1)>",
    ]
    for name in evil:
        for index in range(4):
            path = tmp_path / "data" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(np.full((32, 32), index // 2, np.uint8), "png"))
    report = tmp_path / "report.html"
    command = [
        "compare",
        str(tmp_path / "data"),
        "--model",
        "two-layer",
        "--epochs",
        "1",
        "-q",
        "--report",
        str(report),
    ]
    assert execute(command) == 0
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]  # fmt: skip
    done = subprocess.run([BROWSER, *flags, report.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    tags = Tags()
    tags.feed(done.stdout)
    assert "<title>imgtool compare</title>" in done.stdout
    assert {"table", "svg", "circle"} <= {tag for tag, _ in tags.seen}
    assert not {tag for tag, _ in tags.seen} & {"script", "img"}
    assert not any(name.startswith("on") for _, attributes in tags.seen for name in attributes)


def test_report_holds_the_table_the_counts_and_how_it_was_made():
    labels = np.arange(60) % 6
    wrong = (labels + (np.arange(60) < 12)) % 6
    counts = {"train": dict.fromkeys("abcdef", 20), "test": dict.fromkeys("abcdef", 10)}
    results = [
        Result("good", None, one_hot(labels, 6), 1.5, 2.5, 3_000_000),
        Result("bad", None, one_hot(wrong, 6), None, 1.0, 1),
        Result("gone", "needs the extra 'torch'"),
    ]
    facts = {"seed": 7, "sha256": {"test": "ab" * 32}}
    made = page(Comparison(tuple("abcdef"), labels, results, [("x", "y")], ["bad"], counts, facts), "photos")
    low, high = wilson(12, 60)
    for part in ("20.0 %", f"{100 * low:.1f} – {100 * high:.1f}", f"{mcnemar_exact(12, 0):.2g}", "as it is", "3.00",
                 "needs the extra &#x27;torch&#x27;", "ab" * 32, "photos",
                 "<td>120</td><td>60</td>",
                 "<td>x</td><td>y</td>",
                 "1 pair of equal images stands",
                 "bad learned from these very images"):  # fmt: skip
        assert part in made, part
    assert made.count("<circle") == 2
    assert "<svg" not in page(Comparison(("a", "b"), labels, [Result("gone", "reason")]), "photos")


@pytest.mark.parametrize("format", ["table", "markdown", "csv", "json"])
def test_compare_prints_every_format_and_failures_as_rows(format, capsys, tmp_path):
    report, broken = tmp_path / "r.html", tmp_path / "broken"
    broken.mkdir()
    command = ["compare", TEXTURES, "--model", "two-layer", "--epochs", "2", "--format", format]
    assert execute([*command, "--report", str(report)]) == 0
    whole = capsys.readouterr().out
    assert "two-layer" in report.read_text()
    assert execute([*command, "--report", str(report)]) == 1
    assert "--force" in capsys.readouterr().err
    assert execute([*command, "--model", f"{broken}/", "-q", "--report", str(report), "--force"]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "failed: " in report.read_text()
    if format == "json":
        record = json.loads(whole)
        assert next(iter(record)) == "path"
        assert (record["images"], record["seed"], record["seen"]) == (12, 0, [])
        assert record["models"][0]["settings"]["epochs"] == 2
        assert "model.json" in json.loads(captured.out)["models"][1]["error"]
    elif format == "csv":
        rows = list(csv.DictReader(io.StringIO(captured.out)))
        assert [row["model"] for row in rows] == ["two-layer", f"{broken}/"]
        assert [bool(row["reason"]) for row in rows] == [False, True]
        assert float(rows[0]["top1_low"]) <= float(rows[0]["top1_error"]) <= float(rows[0]["top1_high"])
    else:
        assert len(whole.splitlines()) == (2 if format == "table" else 3)
        line = captured.out.splitlines()[-1]
        assert line.lstrip("| ").startswith(f"{broken}/")
        assert "model.json" in line
    if format == "markdown":
        assert re.match(r"\| model \|.*\n\| --- \|", whole)
        assert len({row.count("|") for row in captured.out.splitlines()}) == 1


def test_compare_is_the_same_every_time_but_for_the_times(capsys):
    def run(seed):
        assert execute(["compare", TEXTURES, "--model", "two-layer", "--epochs", "2", "--seed", seed, "-q"]) == 0
        record = json.loads(capsys.readouterr().out)
        return {**record, "models": [{k: v for k, v in row.items() if k not in TIMES} for row in record["models"]]}

    first = run("3")
    assert first == run("3")
    assert first["sha256"] != run("4")["sha256"]


def test_wrong_usage_of_compare_is_status_2(capsys):
    for wrong in (
        ["--model", "two-leyer"],
        ["--model", "two-layer", "--set", "epoks=3"],
        ["--model", "two-layer", "--set", "epochs=x"],
    ):
        assert execute(["compare", TEXTURES, *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_extra_is_a_row_and_the_others_stand(capsys, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    command = ["compare", TEXTURES, "--model", "hog-svm", "--model", "two-layer", "--epochs", "1", "--format", "json"]
    assert execute(command) == 1
    captured = capsys.readouterr()
    good, failed = json.loads(captured.out)["models"]
    assert good["model"] == "two-layer"
    assert failed["model"] == "hog-svm"
    assert "imgtool[classic]" in failed["error"]
    assert captured.err == f"imgtool: hog-svm: {failed['error']}\n"


def test_a_classic_model_and_a_network_side_by_side(capsys):
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    command = ["compare", TEXTURES, "--model", "gist-svm", "--model", "two-layer", "--epochs", "5", "--format", "json"]
    assert execute(command) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert rows[0]["model"] == "gist-svm"
    assert rows[0]["top1_error"] < 0.2  # a guess errs in two of three
    assert rows[1]["p"] is not None


def test_a_model_that_learned_from_the_held_out_images_is_told(capsys, tmp_path):
    model = str(tmp_path / "model")
    assert execute(["train", TEXTURES, "--model", "two-layer", "--epochs", "2", "-o", model, "-q"]) == 0
    for command in (["compare", TEXTURES, "--model", "two-layer", "--epochs", "1"], ["evaluate", TEXTURES]):
        assert execute([*command, "--model", model, "--format", "json"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["seen"] == [model]
        assert "learned from these very images" in captured.err
    row = json.loads(captured.out)["models"][0]
    assert row["bytes"] == next(Path(model).glob("weights-*")).stat().st_size
    assert row["train_seconds"] is None
    data = load(SAMPLES / "textures").train
    assert evaluate([model], data.subset(np.arange(0, 48, 2))).seen == []


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


def test_an_interrupted_training_is_not_thrown_away_by_accident(capsys, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    checkpoint = tmp_path / "model.checkpoint"
    checkpoint.write_bytes(b"hours of work")
    command = ["train", TEXTURES, "--model", "lenet", "--epochs", "1", "-q", "-o", str(tmp_path / "model")]
    assert execute(command) == 1
    assert "--resume" in capsys.readouterr().err
    assert checkpoint.read_bytes() == b"hours of work"
    assert execute([*command, "--resume"]) == 1
    assert "no checkpoint" in capsys.readouterr().err
    assert execute([*command, "--force"]) == 0
    assert not checkpoint.exists()
