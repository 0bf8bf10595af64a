"""`imgtool classify`."""

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from imgtool.classifiers import registry
from imgtool.classifiers.crops import TenCrops
from imgtool.classifiers.storage import load_model, save_model
from imgtool.cli.main import execute
from imgtool.image import read
from imgtool.image.alpha import flatten
from imgtool.image.levels import as_levels
from locations import IMGTOOL, SAMPLES

CAT, COINS = str(SAMPLES / "cat.jpg"), str(SAMPLES / "coins.png")
GRAVEL = str(SAMPLES / "textures" / "gravel")


def rows(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_rows_say_what_produced_them(capsys):
    assert execute(["classify", CAT]) == 0
    captured = capsys.readouterr()
    row = json.loads(captured.out)
    assert list(row) == ["path", "model", "classes", "label", "id", "score", "sure", "top", "weights", "device"]
    name = "efficientnet-lite0@imagenet"
    assert (row["path"], row["model"], row["classes"]) == (CAT, name, 1000)
    assert (row["label"], row["id"]) == ("tiger cat", "n02123159")
    digest = json.loads((registry.locate(name) / "model.json").read_text())["weights"]["sha256"]
    assert row["weights"] == f"{name} {digest[:12]}"
    assert [each["score"] for each in row["top"]] == sorted((each["score"] for each in row["top"]), reverse=True)
    assert {"label": row["label"], "id": row["id"], "score": row["score"]} == row["top"][0]
    assert len(row["top"]) == 5
    assert "one of 1000 classes" in captured.err


def test_scores_are_the_librarys(capsys):
    assert execute(["classify", "-q", "--model", "alexnet", "--top", "10", CAT]) == 0
    found = {each["label"]: each["score"] for each in rows(capsys)[0]["top"]}
    model = registry.open_model("alexnet")
    expected = dict(zip(model.classes, model.scores([read(CAT)])[0].tolist(), strict=True))
    assert found == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(1, abs=1e-5)


def test_quiet_silences_the_hints(capsys):
    assert execute(["classify", "--quiet", CAT]) == 0
    assert capsys.readouterr().err == ""


def test_several_models_are_told_apart(capsys):
    names = ["lenet", "lenet@mnist", "lenet@cifar10", "sift-fv-svm"]
    assert execute(["classify", "-q", *(part for name in names for part in ("--model", name)), CAT, COINS]) == 0
    found = rows(capsys)
    assert [(row["path"], row["model"]) for row in found] == [(path, name) for path in (CAT, COINS) for name in names]
    weights = {row["model"]: row["weights"] for row in found}
    assert weights["lenet"] == weights["lenet@cifar10"] != weights["lenet@mnist"]


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_below_a_threshold_that_is_asked_for_a_label_is_unsure(threshold, capsys):
    assert execute(["classify", "-q", "--model", "alexnet", "--threshold", str(threshold), GRAVEL]) == 0
    found = rows(capsys)
    assert len(found) == 16
    for row in found:
        assert row["sure"] == (row["score"] >= threshold)
        assert row["label"] == (row["top"][0]["label"] if row["sure"] else "unsure")
        assert row.get("id") == (row["top"][0]["id"] if row["sure"] else None)


def with_threshold(folder, threshold):
    """A copy of a model that ships, with another threshold."""
    data = load_model(registry.locate("lenet@cifar10"))
    save_model(folder, replace(data, threshold=threshold))
    return folder


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.6])
def test_below_the_models_threshold_the_best_label_is_not_sure(threshold, tmp_path, rows_of, run):
    model = with_threshold(tmp_path / "m", threshold)
    images = sorted(SAMPLES.glob("*.*g"))
    found = rows_of("classify", "-q", "--model", model, *images)
    for row in found:
        assert row["label"] == row["top"][0]["label"]
        assert row["sure"] is (row["score"] >= threshold)
    assert len({row["sure"] for row in found}) == 2
    lines = run("classify", "-q", "--model", model, "--format", "table", *images).out.splitlines()[1:]
    assert [f"{row['label']} ?  " in line for row, line in zip(found, lines, strict=True)] == [
        not row["sure"] for row in found
    ]
    lines = run("classify", "-q", "--model", model, "--format", "tsv", *images).out.splitlines()
    assert [line.split("\t")[-1] for line in lines] == [str(row["sure"]).lower() for row in found]


def test_names_that_stand_twice_are_written_with_their_identifiers(tmp_path, rows_of, run):
    data = load_model(registry.locate("alexnet"))
    classes = [("crane" if index in (2, 7) else name, key) for index, (name, key) in enumerate(data.classes)]
    save_model(tmp_path / "m", replace(data, classes=classes))
    (row,) = rows_of("classify", "-q", "--top", 10, "--model", tmp_path / "m", CAT)
    cranes = {each["id"]: each["label"] for each in row["top"] if "crane" in each["label"]}
    assert cranes == {key: f"crane ({key})" for key in (classes[2][1], classes[7][1])}
    assert {each["label"] for each in row["top"]} >= {"tench", "church"}
    shown = run("classify", "-q", "--top", 10, "--model", tmp_path / "m", "--format", "table", CAT).out
    assert all(label in shown for label in cranes.values())


def test_a_model_without_identifiers_has_none_in_its_rows(rows_of):
    (row,) = rows_of("classify", "-q", "--model", "lenet@cifar10", CAT)
    assert "id" not in row
    assert all(each.keys() == {"label", "score"} for each in row["top"])


@pytest.mark.parametrize("name", ["alexnet", "lenet@mnist", "sift-fv-svm"])
def test_a_models_batch_changes_nothing_that_can_be_seen(name, rows_of, monkeypatch):
    files, sizes = sorted(SAMPLES.glob("textures/*/*.png"))[:7], []
    features = type(registry.open_model(name)).features
    monkeypatch.setattr(
        type(registry.open_model(name)),
        "features",
        lambda self, batch: sizes.append(len(batch)) or features(self, batch),
    )
    found = [rows_of("classify", "-q", "-j", 1, "--model", name, "--batch", batch, *files) for batch in (1, 3, 4096)]
    assert sizes == [1] * 7 + [3, 3, 1] + [7]
    for rows in found[1:]:
        assert [row["label"] for row in rows] == [row["label"] for row in found[0]]
        assert [row["score"] for row in rows] == pytest.approx([row["score"] for row in found[0]], abs=1e-6)


@pytest.mark.parametrize("batch", [0, 4097, "many"])
def test_a_batch_that_cannot_be_is_wrong_usage(batch, run):
    done = run("classify", "-q", "--batch", batch, CAT)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("name", ["alexnet", "lenet@mnist", "sift-fv-svm"])
def test_the_number_of_jobs_changes_nothing(name, capsys):
    found, files = (
        [],
        [str(path) for path in sorted(SAMPLES.glob("textures/*/*.png"))[:34]],
    )  # batches of two, and a rest
    for jobs in ("1", "8"):
        assert execute(["classify", "-q", "--model", name, "-j", jobs, *files]) == 0
        found.append(capsys.readouterr().out)
    assert found[0].count("\n") == 34
    assert found[0] == found[1]


def test_a_bad_image_stops_nothing(capsys, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert execute(["classify", "-q", CAT, str(tmp_path / "bad.png"), COINS]) == 1
    captured = capsys.readouterr()
    found = [json.loads(line) for line in captured.out.splitlines()]
    assert ["error" in row for row in found] == [False, True, False]
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.*g")))
def test_every_kind_of_sample_image_is_labelled(name, capsys):
    assert execute(["classify", "-q", str(SAMPLES / name)]) == 0
    assert rows(capsys)[0]["classes"] == 1000


@pytest.mark.parametrize(("top", "others"), [((), 2), (("--top", "1"), 0), (("--top", "2"), 1), (("--top", "10"), 9)])
def test_the_table_says_of_how_many_classes_and_which_others_came_near(top, others, run, rows_of):
    arguments = ["classify", "-q", "--model", "alexnet", *top, CAT]
    head, line = run(*arguments, "--format", "table").out.splitlines()
    assert head.split() == ["path", "model", "classes", "label", "score", *(["runners-up"] if others else [])]
    assert line.split()[:3] == [CAT, "alexnet", "10"]
    (row,) = rows_of("classify", "-q", "--model", "alexnet", "--top", 10, CAT)
    expected = ", ".join(f"{each['label']} {each['score']:.2f}" for each in row["top"][1 : others + 1])
    assert line.endswith(expected)
    assert line.count(", ") == max(others - 1, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="terminals")
def test_a_terminal_shows_the_best_label_and_two_runners_up():
    import pty

    child, terminal = pty.openpty()
    process = subprocess.Popen([*IMGTOOL, "classify", "-q", CAT], stdin=terminal, stdout=terminal, stderr=terminal)
    assert process.wait(60) == 0
    os.close(terminal)
    head, line = os.read(child, 10_000).decode().splitlines()
    os.close(child)
    assert head.split()[-1] == "runners-up"
    assert line.count(", ") == 1


def test_csv_has_names_and_tsv_has_none(capsys):
    assert execute(["classify", "-q", "--format", "csv", CAT]) == 0
    lines = list(csv.reader(capsys.readouterr().out.splitlines()))
    assert lines[0] == ["path", "model", "classes", "label", "score", "sure"]
    assert execute(["classify", "-q", "--format", "tsv", CAT]) == 0
    assert capsys.readouterr().out.rstrip("\n").split("\t") == lines[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "1.5"], "1.5"),
        (["--top", "0"], "0"),
        (["--backend", "jax"], "jax"),
        (["--backend", "torch", "--model", "sift-fv-svm"], "no backend torch"),
        (["--device", "gpu"], "gpu"),
        (["--precision", "bf16", "--backend", "numpy"], "backend numpy computes in float32, not in bf16"),
        (["--precision", "bf16", "--model", "sift-fv-svm"], "--precision: sift-fv-svm computes in float32 only"),
        (["--model", "lenet@imagenette"], "lenet@cifar10"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, message, capsys):
    assert execute(["classify", *arguments, CAT]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err


WITHOUT_TORCH = """
import sys
from importlib.machinery import PathFinder
real = PathFinder.find_spec
gone = ("torch", "sklearn")
PathFinder.find_spec = classmethod(lambda cls, name, *rest: None if name.split(".")[0] in gone else real(name, *rest))
from imgtool.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["classify", "-q", GRAVEL], 0, ""),
        (["classify", "-q", "--model", "sift-fv-svm", CAT], 0, ""),
        (["classify", "-q", "--backend", "torch", GRAVEL], 2, 'pip install "torch>='),
        (["train", "-q", str(SAMPLES / "textures"), "--model", "lenet", "-o", "m"], 2, 'pip install "torch>='),
        (
            ["train", "-q", str(SAMPLES / "textures"), "--model", "sift-fv-svm", "-o", "m"],
            2,
            'pip install "scikit-learn>=',
        ),
        (["train", "-q", str(SAMPLES / "textures"), "--model", "two-layer", "--epochs", "1", "-o", "m"], 0, ""),
    ],
)
def test_without_the_extras_it_labels_and_says_what_the_rest_needs(arguments, status, message, tmp_path):
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == (status != 0)
    assert message in done.stderr


def test_it_takes_about_a_second_at_most():
    """The promise is under one second of wall time on a quiet machine; the CPU time spent is steadier to test."""
    best = np.inf
    for _ in range(3):
        before = os.times()
        subprocess.run([*IMGTOOL, "classify", "-q", CAT], capture_output=True, check=True)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        best = min(best, spent)
    assert best < 1.0


@pytest.mark.parametrize("classes", [3, 17, 1000])
def test_of_equal_scores_the_class_that_stands_first_is_the_label(classes, rows_of, monkeypatch):
    model = registry.open_model("alexnet")
    monkeypatch.setattr(model, "classes", tuple(f"class {index}" for index in range(classes)))
    monkeypatch.setattr(model, "identifiers", ())
    monkeypatch.setattr(model, "decide", lambda features: np.full((len(features), classes), 1 / classes, np.float32))
    monkeypatch.setattr(registry, "open_model", lambda *_, **__: model)
    (row,) = rows_of("classify", "-q", CAT)
    assert row["label"] == "class 0"
    assert [each["label"] for each in row["top"]] == [f"class {index}" for index in range(min(5, classes))]


@pytest.mark.parametrize("name", ["lenet@cifar10", "lenet@mnist", "alexnet"])
def test_ten_crops_are_averaged(name, rows_of):
    images = sorted(SAMPLES.glob("*.*g"))
    found = rows_of("classify", "-q", "--model", name, "--top", 10, "--crops", 10, *images)
    model = registry.open_model(name)
    for row, path in zip(found, images, strict=True):
        crops = model.preprocessing.ten_crops(as_levels(flatten(read(path), "white")))
        expected = dict(zip(model.classes, model.decide(model.features(list(crops))).mean(axis=0), strict=True))
        assert {each["label"]: each["score"] for each in row["top"]} == pytest.approx(expected, abs=1e-5)
        assert row["crops"] == 10
    assert found != rows_of("classify", "-q", "--model", name, "--top", 10, *images)


def test_ten_crops_are_for_networks(run):
    done = run("classify", "-q", "--crops", 10, "--model", "sift-fv-svm", CAT)
    assert (done.status, done.out) == (2, "")
    assert done.err == "imgtool: --crops: sift-fv-svm is no network, it sees the whole image\n"
    assert run("classify", "-q", "--crops", 5, CAT).status == 2


def test_ten_crops_of_several_images_are_told_apart():
    model = registry.open_model("lenet@cifar10")
    crops, images = TenCrops(model), [read(path) for path in sorted(SAMPLES.glob("textures/*/*_00.png"))]
    for image, scores in zip(images, crops.scores(images), strict=True):
        expected = model.decide(model.features(list(model.preprocessing.ten_crops(image)))).mean(axis=0)
        np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_device_and_precision_stand_in_rows_and_in_the_record_of_an_evaluation(rows_of, run, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    (exact,), (rounded,) = (rows_of("classify", "-q", CAT, *more) for more in ((), ("--precision", "bf16")))
    assert (exact["device"], rounded["device"], rounded["precision"]) == ("cpu", "cpu", "bf16")
    assert "precision" not in exact
    assert 0 < abs(exact["score"] - rounded["score"]) < 0.02
    assert exact["label"] == rounded["label"]
    done = run("classify", "-v", "--precision", "bf16", CAT)
    assert "device cpu, precision bf16" in done.err
    for name in ("tench", "church"):
        (tmp_path / name).mkdir()
        shutil.copy(CAT, tmp_path / name)
    line = ("evaluate", tmp_path, "--model", "alexnet", "--format", "json", "-q")
    exact, rounded = (json.loads(run(*line, *more).out) for more in ((), ("--precision", "bf16")))
    assert (exact["device"], rounded["device"], rounded["precision"]) == ("cpu", "cpu", "bf16")
    assert "precision" not in exact


@pytest.mark.parametrize(
    "line",
    ["classify --device cuda {}", "train --model lenet -o m --device cuda {}", "compare --model lenet --device cuda {}",
     "evaluate --model alexnet --device cuda {}", "train --model two-layer -o m --device cuda {}",
     "train --model cnn-svm -o m --device cuda {}", "embed --device cuda {}", "embed -o f.npz --device cuda:1 {}",
     "gist --device cuda {}", "sift --device cuda {}"],
)  # fmt: skip
def test_N6_a_device_that_is_not_there_is_one_line_before_any_work(line, run, monkeypatch):
    monkeypatch.setattr("imgtool.device.torch_build", lambda: "cu126")
    monkeypatch.setattr("imgtool.device.cuda_devices", lambda: 0)
    monkeypatch.setattr("imgtool.datasets.formats.load_dataset", lambda *_, **__: pytest.fail("images were looked for"))
    done = run(*line.format(SAMPLES / "textures").split())
    assert (done.status, done.out) == (2, "")
    assert done.err.replace(":1:", ":") == "imgtool: --device cuda: this machine has no CUDA devices\n"


@pytest.mark.parametrize("crops", ["1", "10"])
@pytest.mark.parametrize("name", ["alexnet", "efficientnet-lite0", "sift-fv-svm"])
def test_the_true_labels_rank_and_errors_are_those_of_the_scores(name, crops, rows_of):
    if name == "sift-fv-svm" and crops == "10":
        return  # it sees the whole image
    model = registry.open_model(name)
    scores = (TenCrops(model) if crops == "10" else model).scores([read(CAT)])[0]
    for truth in (model.classes[0], model.classes[7], model.identifiers[3]):
        place = model.classes.index(truth) if truth in model.classes else 3
        (row,) = rows_of("classify", "-q", "--model", name, "--crops", crops, "--truth", truth, CAT)
        assert row["truth"] == model.classes[place]
        assert row["rank"] == 1 + (scores > scores[place]).sum()
        assert row["top_errors"] == [int(row["rank"] > k) for k in (1, 2, 3, 4, 5)]


def test_errors_of_several_images_are_summed_up_and_stand_in_tables(run):
    line = ["classify", "--model", "lenet@mnist", "--truth", "2", GRAVEL]
    found = run(*line, "--format", "jsonl")
    errors = np.array([row["top_errors"] for row in found.rows])
    shares = ", ".join(f"top-{k} {share:.1f}%" for k, share in enumerate(100 * errors.mean(axis=0), 1))
    assert 0 < errors.mean() < 1
    assert found.err.splitlines()[1:] == [f"lenet@mnist: errors on 16 images: {shares}"]
    table = run(*line, "--format", "table").out.splitlines()
    assert table[0].endswith("rank  top-1..5 errors")
    assert [line.split()[-5:] for line in table[1:]] == [[str(each) for each in row] for row in errors]
    assert run(*line, "-q", "--format", "csv").err == ""


def test_a_label_that_a_model_does_not_know_is_refused_with_the_nearest(run):
    for line, said in (
        (["--truth", "tiger kat"], "no label 'tiger kat' in efficientnet-lite0; did you mean tiger cat?"),
        (["--model", "lenet@mnist", "--truth", "eleven"], "no label 'eleven' in lenet; there are 0, 1, 2"),
        (["--model", "alexnet", "--model", "lenet@mnist", "--truth", "church"], "no label 'church' in lenet"),
        (["--truth", ""], "is empty"),
    ):
        done = run("classify", *line, CAT)
        assert (done.status, done.err.count("\n"), done.out) == (2, 1, "")
        assert said in done.err


def test_a_model_of_fewer_than_five_classes_has_fewer_errors(run, tmp_path):
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    folder = str(tmp_path / "model")
    assert run("train", str(SAMPLES / "textures"), "--model", "hog-svm", "-q", "-o", folder).status == 0
    (row,) = run("classify", "-q", "--model", folder, "--truth", "grass", CAT).rows
    assert len(row["top_errors"]) == 3
    assert row["top_errors"][-1] == 0
