"""`imgtool train`: what it writes, what it refuses, and when."""

import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import imgtool
from imgtool.classifiers import registry, squares
from imgtool.classifiers.classic import vector_svm
from imgtool.classifiers.training import checkpoint_of
from imgtool.cli.main import execute
from imgtool.datasets import survey
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import load_dataset
from imgtool.datasets.split import split
from imgtool.errors import ParameterError
from imgtool.evaluation.intervals import wilson
from locations import IMGTOOL, SAMPLES

TEXTURES = SAMPLES / "textures"
QUICK = ["--model", "two-layer", "--epochs", "1", "-q"]


def train(output, *arguments, data=TEXTURES):
    return execute(["train", str(data), "-o", str(output), *arguments])


def test_options_and_settings_reach_the_model(capsys, tmp_path):
    options = ["--model", "two-layer", "--epochs", "2", "--batch", "9", "--lr", "0.02", "--seed", "5", "--json"]
    assert train(tmp_path / "model", *options, "--set", "hidden=7", "--set", "horizontal-flip=no") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["settings"].items() >= {
        "hidden": 7, "side": 32, "resize": 0, "channels": 1, "epochs": 2, "batch": 9, "learning_rate": 0.02,
        "momentum": 0.9, "weight_decay": 1e-3, "horizontal_flip": False,
    }.items()  # fmt: skip
    assert (record["images"], record["seed"], record["classes"]) == (42, 5, ["brick", "grass", "gravel"])
    assert (record["device"], record["backend"]) == ("cpu", "numpy")
    model = registry.open_model(str(tmp_path / "model"))
    assert model.settings == record["settings"]
    assert model.provenance["seed"] == 5
    assert model.provenance["data"]["images"] == 42
    assert len(model.provenance["history"]) == 2


def test_the_same_command_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train(tmp_path / name, *QUICK, "--seed", seed) == 0
    first, second, third = (next((tmp_path / name).glob("weights-*")).read_bytes() for name in "abc")
    assert first == second != third
    assert (tmp_path / "a" / "model.json").read_text() == (tmp_path / "b" / "model.json").read_text()


@pytest.mark.parametrize("model", ["hog-svm", "two-layer"])
def test_so_many_jobs_are_at_work_and_the_model_is_the_same(model, tmp_path, monkeypatch):
    asked = set()
    for module in (survey, squares, vector_svm):
        mapped = module.ordered_map
        monkeypatch.setattr(module, "ordered_map", lambda *args, mapped=mapped: asked.add(args[2]) or mapped(*args))
    for jobs in ("1", "3"):
        asked.clear()
        assert train(tmp_path / jobs, "--model", model, "--jobs", jobs, "-q") == 0
        assert asked == {int(jobs)}
    for name in ("model.json", "weights-*"):
        one, other = (next((tmp_path / jobs).glob(name)).read_bytes() for jobs in "13")
        assert one == other


def test_jobs_are_a_number_for_python_too(monkeypatch):
    asked = []
    mapped = vector_svm.ordered_map
    monkeypatch.setattr(vector_svm, "ordered_map", lambda *args: asked.append(args[2]) or mapped(*args))
    imgtool.train(TEXTURES, "pixels-svm", jobs=3)
    assert asked == [3]
    with pytest.raises(ParameterError, match="jobs"):
        imgtool.train(TEXTURES, "pixels-svm", jobs=0)


@pytest.mark.parametrize("options", [[], ["--no-augment"]])
def test_no_augment_shows_images_as_they_are(options, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    assert train(tmp_path / "model", "--model", "lenet", "--epochs", "1", "-q", *options) == 0
    found = registry.open_model(str(tmp_path / "model")).provenance["recipe"]
    assert (found["shift"], found["horizontal_flip"]) == ((0.0, False) if options else (0.1, True))


@pytest.mark.parametrize(
    ("model", "message"),
    [("hog-svm", "--no-augment: hog-svm changes no images at random"),
     ("lenet", "--no-augment: is off, and shift=0.2 is set")],
)  # fmt: skip
def test_no_augment_where_it_contradicts_is_wrong_usage(model, message, tmp_path, capsys):
    if model == "lenet":
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    more = ["--set", "shift=0.2"] if model == "lenet" else []
    assert train(tmp_path / "model", "--model", model, "--no-augment", *more) == 2
    assert capsys.readouterr().err == f"imgtool: {message}\n"


@pytest.mark.parametrize(
    ("pair", "message"),
    [("batch=0", "batch must be from 1"), ("epochs=-1", "epochs must be from 1"),
     ("hidden=-4", "hidden must be from 1"), ("learning-rate=nan", "learning_rate must be from"),
     ("side=100000000", "side must be"),
     ("color_jitter=0.1", "training in NumPy has no color_jitter=0.1; --backend torch has"),
     ("x=1", "there are hidden"), ("hiden=3", "did you mean hidden")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_wrong_usage(pair, message, capsys, tmp_path):
    assert train(tmp_path / "model", "--model", "two-layer", "--set", pair) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_is_one_line_and_no_model(capsys, tmp_path):
    assert train(tmp_path / "model", "--model", "two-layer", "--lr", "1e6", "-q") == 1
    captured = capsys.readouterr()
    assert "not finite" in captured.err
    assert "lower learning rate" in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_folders_above_the_model_are_made(tmp_path):
    assert train(tmp_path / "new" / "er" / "model", *QUICK) == 0
    assert registry.open_model(str(tmp_path / "new" / "er" / "model")).name == "two-layer"


def test_folders_above_a_checkpoint_are_made(tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    assert train(tmp_path / "new" / "model", "--model", "lenet", "--epochs", "1", "-q") == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model"]


@pytest.mark.parametrize("place", ["file/model", "photos"])
def test_where_no_model_can_be_written_nothing_is_trained(place, capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("precious")
    monkeypatch.setattr(
        "imgtool.classifiers.network.NetworkClassifier.fit", lambda *_, **__: pytest.fail("it was trained")
    )
    assert train(tmp_path / place, *QUICK, "--force") == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "photos" / "cat.png").read_text() == "precious"


def test_a_model_is_replaced_only_with_force(capsys, tmp_path):
    assert train(tmp_path / "model", *QUICK, "--seed", "1") == 0
    old = (tmp_path / "model" / "model.json").read_text()
    assert train(tmp_path / "model", *QUICK, "--seed", "2") == 1
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "model" / "model.json").read_text() == old
    assert train(tmp_path / "model", *QUICK, "--seed", "2", "--force") == 0
    assert registry.open_model(str(tmp_path / "model")).provenance["seed"] == 2


def test_what_is_called_val_is_never_trained_on(capsys, tmp_path):
    for part, first in (("train", 0), ("val", 8)):
        for source in TEXTURES.iterdir():
            (tmp_path / part / source.name).mkdir(parents=True)
            for image in sorted(source.iterdir())[first : first + 8]:
                shutil.copy(image, tmp_path / part / source.name)
    assert train(tmp_path / "model", "--model", "two-layer", "--epochs", "1", "--json", data=tmp_path) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 21


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS allows no such names")
def test_class_names_that_are_not_utf_8_are_kept(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    shutil.copytree(TEXTURES / "brick", data / "caf\udce9")  # a byte that is no UTF-8
    shutil.copytree(TEXTURES / "grass", data / "a\nb")
    assert train(tmp_path / "model", *QUICK, data=data) == 0
    image = str(TEXTURES / "brick" / "brick_00.png")
    assert execute(["classify", "-q", "--model", str(tmp_path / "model"), image]) == 0
    labels = {each["label"] for each in json.loads(capsys.readouterr().out)["top"]}
    assert labels == {"caf\udce9", "a\nb"}


def metrics_of(folder):
    """The rows of a model's metrics."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("model", ["lenet", "two-layer"])
def test_metrics_hold_an_object_an_epoch_with_its_times_which_the_model_leaves_out(model, tmp_path):
    if model == "lenet":
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    assert train(tmp_path / "model", "--model", model, "--epochs", "3", "-q") == 0
    rows = metrics_of(tmp_path / "model")
    names = {"epoch", "loss", "error", "learning_rate", "images_per_second", "seconds"}
    names |= {"validation_loss", "validation_error"}
    assert [row.keys() for row in rows] == 3 * [names]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    history = registry.open_model(str(tmp_path / "model")).provenance["history"]
    assert history == [{name: row[name] for name in names - {"images_per_second", "seconds"}} for row in rows]


def test_a_model_that_takes_anothers_place_brings_its_metrics_or_none(tmp_path):
    pytest.importorskip("sklearn", reason="the extra 'classic' is not installed")
    assert train(tmp_path / "model", *QUICK) == 0
    assert train(tmp_path / "model", *QUICK, "--epochs", "2", "--force") == 0
    assert len(metrics_of(tmp_path / "model")) == 2
    assert train(tmp_path / "model", "--model", "hog-svm", "-q", "--force") == 0
    assert not (tmp_path / "model" / "metrics.jsonl").exists()  # it was fitted in one go


def test_a_networks_validation_error_is_that_of_the_kept_weights_and_is_told_with_its_interval(tmp_path, capsys):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    options = ["--model", "lenet", "--epochs", "4", "--seed", "3", "--validation-share", "0.3", "-q"]
    assert train(tmp_path / "model", *options, "--json") == 0
    told = json.loads(capsys.readouterr().out)["validation"]
    model = registry.open_model(str(tmp_path / "model"))
    _, watched = split(load_dataset(TEXTURES).train, 0.3, 3)
    scores = model.scores([watched.image(index) for index in range(len(watched))])
    wrong = int((scores.argmax(1) != watched.labels).sum())
    assert told == {
        "by": "validation", "epoch": told["epoch"], "wrong": wrong, "n": len(watched), "error": wrong / len(watched),
        "interval": list(wilson(wrong, len(watched))),
    }  # fmt: skip
    errors = [row["validation_error"] for row in metrics_of(tmp_path / "model")]
    assert errors[told["epoch"] - 1] == min(errors) == told["error"]
    assert model.provenance["validation"] == {"images": len(watched), "sha256": watched.digest()}


@pytest.mark.parametrize(
    ("options", "expected"),
    [(["--model", "hog-svm"],
      r"hog-svm, 48 images of 3 classes; cross-validated error \d+\.\d % of 48 images \(95 % CI \S+ to \S+\)"),
     (["--model", "lenet", "--epochs", "2"],
      r"lenet, 42 .*; validation error \d+\.\d % of 6 images in epoch [12] \(95 % CI \S+ to \S+\)"),
     (["--model", "lenet", "--epochs", "2", "--validation-share", "0"], "lenet, 48 images of 3 classes"),
     (["--model", "two-layer", "--epochs", "2", "--validation-share", "0"], "two-layer, 48 images of 3 classes")],
)  # fmt: skip
def test_the_last_line_is_the_error_that_chose_the_model(options, expected, tmp_path, capsys):
    for package in ("torch", "sklearn"):
        pytest.importorskip(package, reason="needs the extras 'torch' and 'classic'")
    assert train(tmp_path / "model", *options) == 0
    assert re.fullmatch(f"{tmp_path / 'model'}: {expected}\n", capsys.readouterr().out)


def test_a_machines_error_is_that_of_its_best_cost_and_stands_before_the_held_out_accuracy(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="the extra 'classic' is not installed")
    for part, first in (("train", 0), ("test", 10)):
        for source in TEXTURES.iterdir():
            (tmp_path / "data" / part / source.name).mkdir(parents=True)
            for image in sorted(source.iterdir())[first : first + 10]:
                shutil.copy(image, tmp_path / "data" / part / source.name)
    assert train(tmp_path / "a", "--model", "hog-svm", "--json", "-q", data=tmp_path / "data") == 0
    told = json.loads(capsys.readouterr().out)
    found = registry.open_model(str(tmp_path / "a")).provenance["history"][-1]["cross_validated_accuracy"]
    right = 30 - told["validation"]["wrong"]
    assert right == round(30 * max(found.values()))
    assert told["validation"] == {
        "by": "cross-validation", "wrong": 30 - right, "n": 30, "error": (30 - right) / 30,
        "interval": list(wilson(30 - right, 30)),
    }  # fmt: skip
    assert train(tmp_path / "b", "--model", "hog-svm", data=tmp_path / "data") == 0
    assert re.search(r"; cross-validated error .*\); \d+\.\d % of 18 held-out images right", capsys.readouterr().out)


@pytest.mark.parametrize("wait", [1, 3])
def test_killed_and_resumed_it_ends_with_the_same_bytes(wait, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    options = ["--model", "lenet", "--epochs", "20", "-q"]
    assert train(tmp_path / "whole", *options) == 0
    command = [*IMGTOOL, "train", str(TEXTURES), "-o", str(tmp_path / "cut"), *options]
    checkpoint, seen = tmp_path / "cut.checkpoint", set()
    process = subprocess.Popen(command)
    while process.poll() is None and len(seen) < wait:  # killed after that many checkpoints
        if checkpoint.exists():
            seen.add(checkpoint.stat().st_mtime_ns)
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    if process.wait() == 0:
        pytest.skip("it was done before it could be killed")
    assert not (tmp_path / "cut").exists()
    assert train(tmp_path / "cut", *options, "--resume") == 0
    cut, whole = (next((tmp_path / name).glob("weights-*")).read_bytes() for name in ("cut", "whole"))
    assert cut == whole
    assert not checkpoint.exists()
    timeless = [
        [{name: value for name, value in row.items() if "second" not in name} for row in metrics_of(tmp_path / name)]
        for name in ("cut", "whole")
    ]
    assert timeless[0] == timeless[1]
    assert len(timeless[0]) == 20


def test_settings_are_listed_with_default_range_and_meaning(run):
    found = {row["setting"]: row for row in run("train", "--model", "lenet", "--settings").rows}
    assert found["learning_rate"]["default"] == "0.01"
    assert found["activation"]["range"] == "relu, tanh, sigmoid"
    assert found["min_crop_area"]["of"] == "augmentation"
    assert found["side"]["range"] == "32 to 35"
    assert {"momentum", "warm_up", "training_side", "horizontal_flip", "side"} <= found.keys()


def test_a_network_is_trained_into_the_current_folder(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path / "model")
    assert train(".", "--model", "lenet", "--epochs", "1", "-q") == 0, capsys.readouterr().err
    assert registry.open_model(".").classes == ("brick", "grass", "gravel")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_more_threads_than_can_be_started_are_wrong_usage(tmp_path, capsys):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    assert train(tmp_path / "model", "--model", "lenet", "--threads", "100000") == 2
    assert "threads must be 1 to 1024" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["train", "--model", "hog-svm", "-o", "{folder}/model"], ["evaluate", "--model"]])
def test_an_image_that_a_model_cannot_take_is_named(command, tmp_path, capsys):
    for name in ("brick", "grass", "gravel"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(2):
            np.save(tmp_path / "data" / name / f"{index}.npy", np.full((20, 20), np.nan))
    if command[0] == "evaluate":
        pytest.importorskip("sklearn", reason="the extra 'classic' is not installed")
        assert train(tmp_path / "trained", "--model", "hog-svm", "-q") == 0
        command = [*command, str(tmp_path / "trained"), "-q"]
    arguments = [each.format(folder=tmp_path) for each in command]
    assert execute([arguments[0], str(tmp_path / "data"), *arguments[1:]]) == 1
    assert f"{tmp_path / 'data' / 'brick' / '0.npy'}: holds NaN" in capsys.readouterr().err


def test_a_share_is_never_nan(run):
    done = run("classify", SAMPLES / "cat.jpg", "--threshold", "nan")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "nan is not a number" in done.err


@pytest.mark.parametrize("options", [[], ["--force"], ["--resume"], ["--resume", "--force"]])
def test_a_file_of_the_checkpoints_name_that_is_none_stays(options, tmp_path, capsys):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    (tmp_path / "model.checkpoint").write_text("my notes")
    assert train(tmp_path / "model", "--model", "lenet", "--epochs", "1", "-q", *options) == 1
    assert "model.checkpoint: is no checkpoint" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.checkpoint"]
    assert (tmp_path / "model.checkpoint").read_text() == "my notes"


def test_a_model_does_not_go_to_standard_output(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("train", TEXTURES, "-o", "-", *QUICK)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert "standard output" in done.err
    assert not [*tmp_path.iterdir()]


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs a folder in which nobody may write, root included")
@pytest.mark.parametrize("option", ["--curves", "--preview"])
def test_a_picture_that_cannot_be_written_is_told_before_training(option, run, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    pytest.importorskip("matplotlib", reason="the extra 'report' is not installed")
    picture = Path("/proc/self/no-such-folder/picture.png")  # nobody may make one there, root included
    done = run("train", TEXTURES, "-o", tmp_path / "m", "--model", "lenet", "--epochs", 1, option, picture)
    assert (done.status, done.out) == (1, "")
    assert done.err == f"imgtool: {picture}: cannot be written: no such file or directory\n"
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("model", ["two-layer", "hog-svm"])
@pytest.mark.parametrize("left", [None, b"my notes", b"\0" * 8 + b'{"__metadata__":{'])
def test_what_keeps_no_checkpoint_cannot_be_resumed_and_leaves_those_of_others(model, left, tmp_path, capsys):
    checkpoint = tmp_path / "model.checkpoint"
    if left is not None:
        checkpoint.write_bytes(left)
    assert train(tmp_path / "model", "--model", model, "--resume", "--force", "-q") == 2
    by_hand = " by backend numpy" if model == "two-layer" else ""
    assert (
        f"--resume: {model} keeps no checkpoint to go on from; it is trained in one go{by_hand}\n"
        in capsys.readouterr().err
    )
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([] if left is None else [left])


@pytest.mark.parametrize(
    ("failing", "place", "advice", "more"),
    [(1, "m.checkpoint", "", []), (4, "m.checkpoint", "; --resume goes on", ["--resume"]), (7, "m", "", ["--resume"]),
     (8, "m", "", ["--resume"]), (9, "m/metrics.jsonl", "", ["--resume", "--force"])],
)  # fmt: skip
def test_N4_a_full_disk_is_one_line_and_the_last_checkpoint_goes_on(
    failing, place, advice, more, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    calls, real = [], os.fsync  # one for each checkpoint of six, then weights, description and metrics

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) >= failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    options = ["--model", "lenet", "--epochs", "6", "-q"]
    assert train(tmp_path / "whole", *options) == 0
    monkeypatch.setattr(os, "fsync", full)
    assert train(tmp_path / "m", *options) == 1
    monkeypatch.undo()
    told = f"imgtool: {tmp_path / place}: cannot be written: no space left on device{advice}\n"
    assert re.sub(r"weights-\w+\.safetensors|model\.json", "", capsys.readouterr().err).replace("m/:", "m:") == told
    kept = {"whole"} | ({"m.checkpoint"} if failing > 1 else set()) | ({"m"} if failing == 9 else set())
    assert {path.name for path in tmp_path.iterdir()} == kept
    assert train(tmp_path / "m", *options, *more) == 0
    cut, whole = (next((tmp_path / name).glob("weights-*")).read_bytes() for name in ("m", "whole"))
    assert cut == whole
    assert [row["epoch"] for row in metrics_of(tmp_path / "m")] == [1, 2, 3, 4, 5, 6]
    assert {path.name for path in tmp_path.iterdir()} == {"m", "whole"}


def interrupt(command, ready, folder):
    """Run a training in a folder until it is ready for Ctrl-C; return its status, what it said, and after how long."""
    process = subprocess.Popen([*IMGTOOL, *command], cwd=folder, stderr=subprocess.PIPE)
    while process.poll() is None and not ready():
        time.sleep(0.01)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    return process.returncode, errors.decode(), time.monotonic() - begin


@pytest.mark.parametrize("more", [[], ["--force", "--resume"]])
def test_F8_an_interrupted_training_says_the_command_that_goes_on_and_it_does(more, tmp_path, assert_within):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    folder = tmp_path / "with a blank"
    folder.mkdir()
    command = ["train", str(TEXTURES), "-o", "a model", "--model", "lenet", "--epochs", "60", "-q", *more]
    checkpoint = folder / "a model.checkpoint"
    status, errors, seconds = interrupt(command, checkpoint.exists, folder)
    assert status == 130
    assert_within(seconds, 1)
    kept = re.fullmatch(r"imgtool: a model\.checkpoint: (\d+ of 60 epochs are done|is kept); to go on: (.*)\n", errors)
    program, *arguments = shlex.split(kept[2])  # it "is kept" where Ctrl-C comes right after its writing
    assert program == "imgtool"
    assert arguments == [each for each in command if each != "--resume"] + ["--resume"]
    assert [path.name for path in folder.iterdir()] == ["a model.checkpoint"]
    subprocess.run([*IMGTOOL, *arguments], cwd=folder, check=True)
    assert train(tmp_path / "whole", "--model", "lenet", "--epochs", "60", "-q") == 0
    cut, whole = (next(path.glob("weights-*")).read_bytes() for path in (folder / "a model", tmp_path / "whole"))
    assert cut == whole
    assert [row["epoch"] for row in metrics_of(folder / "a model")] == list(range(1, 61))


def test_F8_an_interrupted_training_of_which_nothing_is_kept_says_so(tmp_path, assert_within):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    for model, more, reason in (
        ("two-layer", ["--epochs", "1000000"], "two-layer keeps no checkpoint when it is trained in NumPy"),
        ("alexnet", ["--batch", "1"], "no epoch is done"),
    ):
        sheet = tmp_path / f"{model}.png"
        command = ["train", str(TEXTURES), "-o", "m", "--model", model, *more, "--preview", str(sheet), "-q"]
        status, errors, seconds = interrupt(command, sheet.exists, tmp_path)
        assert (status, errors) == (130, f"imgtool: m: nothing is kept: {reason}\n")
        assert_within(seconds, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alexnet.png", "two-layer.png"]


def test_a_model_that_cannot_be_written_leaves_no_folder(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert train(tmp_path / "new" / "model", *QUICK) == 1
    assert "cannot be written: no space left" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_output_by_way_of_a_folder_yet_to_be_made_is_the_model_that_it_leads_to(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ("train", "--model", "two-layer", "--epochs", "1", "-o", "new/../model")
    assert run(*command, SAMPLES / "textures").status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    done = run(*command, "absent")  # refused before the data set is looked for
    assert done.status == 1
    assert done.err == f"imgtool: {tmp_path / 'model'}: exists; --force overwrites it\n"
    assert run(*command, SAMPLES / "textures", "--force").status == 0
    (tmp_path / "model" / "mine").touch()
    assert "model: holds other things than a model, such as mine" in run(*command, "absent", "--force").err
    assert checkpoint_of(Path("new/../model")) == tmp_path / "model.checkpoint"


@pytest.mark.parametrize("quiet", [False, True])
def test_N4_exhausted_memory_is_told_in_one_line_and_remembered(quiet, tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks import training

    step = training._Run._step

    def hungry(self, images, *rest):
        if len(images) > 8:
            raise MemoryError
        return step(self, images, *rest)

    monkeypatch.setattr(training._Run, "_step", hungry)
    options = ["--model", "lenet", "--epochs", "2", "--batch", "16", *(["-q"] if quiet else [])]
    assert train(tmp_path / "model", *options) == 0
    told = "imgtool: memory is exhausted; training goes on, from the beginning of epoch 1, with batches of 8 images"
    assert capsys.readouterr().err.splitlines().count(told) == (not quiet)
    provenance = registry.open_model(str(tmp_path / "model")).provenance
    assert provenance["recipe"]["batch"] == 16
    assert [row["batch"] for row in provenance["history"]] == [8, 8]


def test_frozen_layers_are_those_of_the_network_that_training_starts_from(tmp_path, capsys):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    options = ["--model", "lenet", "--epochs", "2", "--set", "freeze=all-but-last", "-q"]
    assert train(tmp_path / "model", *options) == 2
    needed = "imgtool: freeze=all-but-last needs weights to start from: --init names a trained network\n"
    assert capsys.readouterr().err == needed
    assert train(tmp_path / "model", *options, "--init", "lenet@mnist") == 0
    found, before = registry.open_model(str(tmp_path / "model")), registry.open_model("lenet@mnist")
    for name, array in before.arrays().items():
        same = array.shape == found.arrays()[name].shape and (array == found.arrays()[name]).all()
        assert same == (not name.startswith("fc3."))
    assert found.provenance["init"]["name"] == "lenet@mnist"
    # More epochs for a trained model the same way, its last layer included.
    assert train(tmp_path / "more", *options, "--init", str(tmp_path / "model"), "--set", "learning_rate=1e-9") == 0
    more = registry.open_model(str(tmp_path / "more")).arrays()
    np.testing.assert_allclose(more["fc3.weight"], found.arrays()["fc3.weight"], atol=1e-5)
    # What `lenet` stands for is named whole, so that a comparison tells whose labels these are; a folder by its name.
    assert train(tmp_path / "other", *options, "--init", "lenet") == 0
    names = [registry.open_model(str(tmp_path / each)).provenance["init"]["name"] for each in ("other", "more")]
    assert names == ["lenet@cifar10", "model"]


def test_images_that_first_weights_had_seen_are_told(tmp_path, capsys):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    line = ["train", str(TEXTURES), "--model", "lenet", "--epochs", "1", "--validation-share", "0.25"]
    first, same, other = (str(tmp_path / name) for name in ("first", "same", "other"))
    assert execute([*line, "-o", first, "-q"]) == 0
    assert execute([*line, "--init", first, "-o", same]) == 0  # the images that chose these weights choose again
    assert "had seen" not in capsys.readouterr().err
    assert execute([*line, "--init", first, "--seed", "7", "-o", other]) == 0
    told = "its first weights had seen 12 of the 12 validation images, whose error says nothing of new ones"
    assert f"imgtool: {other}: {told}\n" in capsys.readouterr().err
    # Along a chain, too: images that chose all weights so far are new, images that some learned from are not.
    for start, seed, name, is_told in ((same, "0", "fourth", False), (other, "7", "fifth", True)):
        assert execute([*line, "--init", start, "--seed", seed, "-o", str(tmp_path / name)]) == 0
        assert (told in capsys.readouterr().err) == is_told
    for part, numbers in (("train", range(0, 16, 2)), ("test", range(1, 16, 2))):
        for label in ("brick", "grass"):
            (tmp_path / "data" / part / label).mkdir(parents=True)
            for number in numbers:
                shutil.copy(f"{TEXTURES}/{label}/{label}_{number:02}.png", tmp_path / "data" / part / label)
    more = ["train", str(tmp_path / "data"), "--model", "lenet", "--epochs", "1", "--validation-share", "0"]
    assert execute([*more, "--init", first, "-o", str(tmp_path / "third")]) == 0
    assert "had seen 16 of the 16 held-out images" in capsys.readouterr().err


def test_names_of_classes_come_with_the_last_layer(tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    start = registry.create("lenet", epochs=1)
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    start.fit(Dataset(images, np.arange(8) % 2, ("n02124075", "n02123045")))
    start.classes, start.identifiers = ("Egyptian cat", "tabby"), ("n02124075", "n02123045")
    for classes, expected in (
        (("n02124075", "n02123045"), (start.classes, start.identifiers)),
        (("a", "b"), (("a", "b"), (None, None))),
    ):
        again = registry.create("lenet", epochs=1)
        again.start_from(start, classes)
        again.fit(Dataset(images, np.arange(8) % 2, classes))
        again.save(tmp_path / classes[0])
        stored = registry.open_model(str(tmp_path / classes[0]))
        assert (stored.classes, stored.identifiers) == expected


def test_a_machine_that_was_not_cross_validated_says_so(tmp_path, capsys):
    for label in ("brick", "grass"):
        (tmp_path / "data" / label).mkdir(parents=True)
        shutil.copy(f"{TEXTURES}/{label}/{label}_00.png", tmp_path / "data" / label)
    assert execute(["train", str(tmp_path / "data"), "--model", "hog-svm", "-o", str(tmp_path / "m")]) == 0
    said = "2 images of 2 classes; not cross-validated: its cost was not chosen, its scores are not calibrated\n"
    assert capsys.readouterr().out.endswith(said)


def test_the_error_that_chose_the_weights_is_shown(tmp_path, capsys):
    assert train(tmp_path / "net", "--model", "two-layer", "--epochs", "2", "-q") == 0
    assert train(tmp_path / "svm", "--model", "hog-svm", "-q") == 0
    for name, by in (("net", "'by': 'validation', 'epoch': "), ("svm", "'by': 'cross-validation', 'wrong': ")):
        assert execute(["models", "show", str(tmp_path / name)]) == 0
        (line,) = [each for each in capsys.readouterr().out.splitlines() if each.startswith("chosen by ")]
        assert by in line
