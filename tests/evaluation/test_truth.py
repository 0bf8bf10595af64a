"""One truth for an error: classify, evaluate and compare agree on each image's label and on the share that is wrong."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.datasets.dataset import Dataset
from imgtool.errors import ParameterError
from imgtool.evaluation.comparing import compare, evaluate
from imgtool.image import read
from imgtool.image.write import encode
from locations import SAMPLES

TEXTURES = SAMPLES / "textures"
KINDS = {
    "two-layer": ["--epochs", "4"],
    "lenet": ["--epochs", "2"],
    "hog-svm": [],
    "gist-svm": [],
    "pixels-svm": [],
    "cnn-svm": ["--set", "network=lenet@cifar10"],
    "sift-fv-svm": ["--set", "k=4", "--set", "dimensions=8"],
    "sift-fv-softmax": ["--set", "k=4", "--set", "dimensions=8"],
    "sift-vlad-svm": ["--set", "k=8", "--set", "dimensions=8"],
    "sift-bow-svm": ["--set", "k=16", "--set", "dimensions=8"],
    "scspm": ["--set", "k=16", "--set", "samples=2000", "--set", "size=64", "--set", "solver=llc"],
}
EXTRAS = {"lenet": "torch"} | dict.fromkeys([kind for kind in KINDS if kind.startswith("sift")], "sklearn")


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory):
    """A model that knows three classes."""
    if request.param in EXTRAS:
        pytest.importorskip(EXTRAS[request.param], reason="an extra is not installed")
    place = str(tmp_path_factory.mktemp(request.param) / "model")
    command = ["train", str(TEXTURES), "--model", request.param, "-o", place, "-q", *KINDS[request.param]]
    assert execute(command) == 0
    return place


def said_by_classify(model, folder, capsys):
    """Return the label of each image, and the share that is wrong."""
    capsys.readouterr()
    assert execute(["classify", str(folder), "--model", model, "--format", "jsonl", "-q"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    wrong = [row["label"] != Path(row["path"]).parent.name for row in rows]
    return [row["label"] for row in rows], sum(wrong) / len(wrong)


@pytest.mark.parametrize("classes", [("brick", "grass", "gravel"), ("grass", "gravel"), ("gravel", "brick")])
def test_C5_classify_evaluate_and_compare_agree(trained, classes, tmp_path, capsys):
    for name in classes:
        (tmp_path / "data" / name).mkdir(parents=True)
        for image in sorted((TEXTURES / name).iterdir())[:12]:
            turned = np.ascontiguousarray(read(image)[:, ::-1])
            (tmp_path / "data" / name / image.name).write_bytes(encode(turned // 2, "png"))
    labels, share = said_by_classify(trained, tmp_path / "data", capsys)
    for command in (["evaluate"], ["compare", "--test-share", "0.5", "--seed", "1"]):
        place = tmp_path / "data"
        if command[0] == "compare":  # all images are its held-out part
            place = tmp_path / "parts"
            shutil.copytree(tmp_path / "data", place / "test")
            shutil.copytree(TEXTURES, place / "train")
            for name in {"brick", "grass", "gravel"} - set(classes):
                (place / "test" / name).mkdir()
        assert execute([command[0], str(place), *command[1:], "--model", f"{trained}/", "--format", "json", "-q"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["models"]
        assert row["n"] == len(labels)
        assert row["top1_error"] == pytest.approx(share)
        assert row["among"] == "model"
    stored = evaluate(f"{trained}/", tmp_path / "data").results[0].predictions
    assert [stored.classes[each] for each in stored.scores.argmax(axis=1)] == labels


def test_C5_evaluate_and_compare_agree_on_data_with_other_classes(trained, tmp_path, capsys):
    """Among the data's classes: the best of those that both know, as `classify` ranks them; of others none is right."""
    for name, source in (("brick", "brick"), ("grass", "grass"), ("sand", "gravel")):
        shutil.copytree(TEXTURES / source, tmp_path / "data" / name)
    shutil.copytree(tmp_path / "data", tmp_path / "parts/test")
    shutil.copytree(tmp_path / "data", tmp_path / "parts/train")
    capsys.readouterr()
    assert (
        execute(["classify", str(tmp_path / "data"), "--model", trained, "--top", "3", "--format", "jsonl", "-q"]) == 0
    )
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    said = [next(each["label"] for each in row["top"] if each["label"] != "gravel") for row in rows]
    share = np.mean([label != Path(row["path"]).parent.name for label, row in zip(said, rows, strict=True)])
    for command, place in (("evaluate", "data"), ("compare", "parts")):
        line = [command, str(tmp_path / place), "--model", f"{trained}/", "--format", "json", "-q"]
        assert execute(line) == 1
        assert "knows no class 'sand'" in json.loads(capsys.readouterr().out)["models"][0]["error"]
        assert execute([*line, "--among", "data"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["models"]
        assert (row["n"], row["among"]) == (48, "data")
        assert row["top1_error"] == pytest.approx(share)
        assert row["top1_error"] >= 1 / 3


def test_among_data_counts_the_data_sets_classes_only_and_says_so(tmp_path, capsys):
    model = str(tmp_path / "model")
    assert execute(["train", str(TEXTURES), "--model", "two-layer", "--epochs", "2", "-o", model, "-q"]) == 0
    for name in ("brick", "gravel"):
        shutil.copytree(TEXTURES / name, tmp_path / "data" / name)
    command = ["evaluate", str(tmp_path / "data"), "--model", f"{model}/"]
    found = {}
    for among in ("model", "data"):
        assert execute([*command, "--among", among, "--format", "json"]) == 0
        captured = capsys.readouterr()
        record = json.loads(captured.out)
        assert record["among"] == record["models"][0]["among"] == among
        assert ("errors are among the data set's 2 classes" in captured.err) == (among == "data")
        found[among] = record["models"][0]["top1_error"]
        for format, text in (("table", "the data's classes"), ("markdown", "the data's classes"), ("csv", ",data\n")):
            assert execute([*command, "--among", among, "--format", format, "-q"]) == 0
            assert (text in capsys.readouterr().out) == (among == "data")
    assert found["data"] <= found["model"]
    assert execute([*command, "--among", "all"]) == 2
    with pytest.raises(ParameterError, match="among must be model or data"):
        compare("two-layer", TEXTURES, among="all")


def test_a_model_that_lacks_a_class_is_a_row_with_the_reason_unless_no_image_is_of_it(tmp_path, capsys):
    model = str(tmp_path / "model")
    for name in ("brick", "grass"):
        shutil.copytree(TEXTURES / name, tmp_path / "two" / name)
    assert execute(["train", str(tmp_path / "two"), "--model", "two-layer", "--epochs", "1", "-o", model, "-q"]) == 0
    assert execute(["evaluate", str(TEXTURES), "--model", f"{model}/", "--format", "json"]) == 1
    assert (
        "knows no class 'gravel'; its 2 are brick, grass" in json.loads(capsys.readouterr().out)["models"][0]["error"]
    )
    images = np.random.default_rng(0).integers(0, 255, (6, 9, 9)).astype(np.uint8)
    data = Dataset(images, np.array([0, 1, 0, 1, 0, 1]), ("brick", "grass", "gravel"))
    assert not evaluate(f"{model}/", data).failed
    assert not evaluate(f"{model}/", data, among="data").failed
