"""`imgtool models`."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from imgtool.classifiers import registry
from imgtool.classifiers.inspection import first_kernels
from imgtool.classifiers.published import PUBLISHED
from imgtool.classifiers.storage import ModelData, save_model
from imgtool.classifiers.training import train
from imgtool.cli.main import execute
from imgtool.image import read
from locations import IMGTOOL, SAMPLES

SHIPPED = registry.shipped()


def test_list_names_what_ships_and_what_can_be_trained(capsys):
    assert execute(["models", "list", "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["model"] for row in rows] == [*SHIPPED, *PUBLISHED, *registry.names()]
    for row in rows[: len(SHIPPED)]:
        assert row["classes"] == (1000 if row["model"] == "efficientnet-lite0@imagenet" else 10)
        assert 0.7 <= row["accuracy"] <= 1
        assert row["n"] >= 3925


@pytest.mark.parametrize("name", SHIPPED)
def test_show_prints_the_card_and_the_description(name, capsys):
    assert execute(["models", "show", name]) == 0
    assert capsys.readouterr().out == (registry.SHIPPED_FOLDER / name / "CARD.md").read_text("utf-8")
    assert execute(["models", "show", name, "--json"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert description == json.loads((registry.SHIPPED_FOLDER / name / "model.json").read_text())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_card_says_how_the_threshold_was_chosen(name):
    card = (registry.SHIPPED_FOLDER / name / "CARD.md").read_text("utf-8")
    assert re.search(rf"[Tt]hreshold[^.0-9]* {registry.open_model(name).threshold:g}\b", card)


def test_show_of_a_trained_model_says_what_it_is(tmp_path, capsys):
    trained = {"kind": "trained", "data": {"images": 3, "sha256": "0" * 64}, "seed": 4, "recipe": {}, "history": []}
    save_model(tmp_path / "model", ModelData("two-layer", {}, [("a", None), ("b\x1b[31m", None)], trained))
    assert execute(["models", "show", str(tmp_path / "model")]) == 0
    shown = capsys.readouterr().out
    assert "two-layer" in shown
    assert "\x1b" not in shown


def test_verify_finds_every_shipped_model_whole(capsys):
    assert execute(["models", "verify"]) == 0
    captured = capsys.readouterr()
    assert [line.split(":")[0] for line in captured.out.splitlines()] == SHIPPED
    assert captured.err == ""


def test_verify_names_the_broken_one_and_goes_on(tmp_path, capsys):
    assert execute(["models", "verify", str(tmp_path), "lenet"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("lenet: whole, 10 classes, sha256 ")
    assert captured.err == f"imgtool: {tmp_path}: is no model: model.json is missing\n"


def test_layers_adds_up(capsys):
    assert execute(["models", "layers", "lenet@mnist", "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0]["output"] == "6x28x28"
    assert rows[-1]["parameters"] == sum(row["parameters"] for row in rows[:-1]) == 62_006 - 2 * 25 * 6
    assert execute(["models", "layers", "sift-fv-svm"]) == 2
    assert "no network" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "parameters", "multiply_adds"),
    [
        ("alexnet --input 3x224x224 --classes 1000", 61_100_840, 714_188_480),
        ("resnet18 --input 3x224x224 --classes 1000", 11_689_512, 1_814_073_344),
        ("resnet18 --input 3x64x97", 11_181_642, None),
        ("lenet@mnist --input 3x32x32 --classes 26", 62_006 + 16 * 85, None),
        ("two-layer --classes 3", 3072 * 100 + 100 + 303, None),
    ],
)
def test_layers_of_other_images_and_classes(line, parameters, multiply_adds, run):
    done = run("models", "layers", *line.split(), "--format", "jsonl")
    last = json.loads(done.out.splitlines()[-1])
    assert (last["layer"], last["parameters"]) == ("all", parameters)
    assert multiply_adds in (None, last["multiply-adds"])


def test_gradcheck_of_an_architecture_and_of_a_trained_network(trained, run):
    for name in ("lenet@mnist", trained, "two-layer"):
        done = run("models", "gradcheck", name, "--format", "jsonl")
        rows = [json.loads(line) for line in done.out.splitlines()]
        assert done.status == 0
        assert all(row["ok"] is True and row["difference"] < 1e-5 for row in rows)
        assert rows[0].keys() == {"layer", "kind", "tensor", "difference", "ok"}
        assert rows[-1]["layer"] == "all"
        assert done.err.startswith(f"{name}: gradients derived by hand")
    assert run("models", "gradcheck", "two-layer", "-q").err == ""
    done = run("models", "gradcheck", "hog-svm")
    assert (done.status, done.err) == (2, "imgtool: hog-svm is no network\n")


def test_gradcheck_ends_with_1_where_a_gradient_is_wrong(run, monkeypatch):
    from imgtool.networks import numpy_layers

    monkeypatch.setattr(numpy_layers.Elementwise, "backward", lambda self, gradient, tape: gradient * tape.memory.pop())
    done = run("models", "gradcheck", "two-layer", "-q", "--format", "tsv")
    assert done.status == 1
    assert [line.split("\t")[-1] for line in done.out.splitlines()].count("false") == 2
    assert done.err == "imgtool: two-layer: derived and numeric gradients differ: relu1 input, all all\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("lenet --input 1x32x31", "side must be from 32 to 35, got 31"),
        ("alexnet --input 1x64x64", "channels must be 3, got 1"),
        ("resnet18 --input 3x64", "'3x64' is not channels, rows and columns such as 3x224x224"),
        ("resnet18 --input 3x64x-4", "is not channels, rows and columns"),
        ("two-layer --input 3x32x40", "a linear layer of 4800 inputs cannot take"),
        ("resnet18 --classes 0", "0 is not in the range 1<=x<=1000000"),
    ],
)
def test_layers_refuses_images_that_do_not_fit_in_one_line(line, reason, run):
    done = run("models", "layers", *line.split())
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert reason in done.err


@pytest.mark.parametrize("command", ["show", "verify", "layers"])
def test_an_unknown_name_is_answered_with_the_known_ones(command, capsys):
    assert execute(["models", command, "alexnett"]) in (1, 2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "did you mean alexnet" in captured.err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "model"
    options = ["--model", "two-layer", "--epochs", "8", "--set", "hidden=20", "-q"]
    assert execute(["train", str(SAMPLES / "textures"), *options, "-o", str(folder)]) == 0
    return folder


def test_export_stores_8_bits_without_the_accuracy_of_other_weights_unless_measured(trained, tmp_path, run):
    assert run("models", "export", trained, "--quantize", "-o", tmp_path / "small").status == 0
    before, after = registry.open_model(trained), registry.open_model(tmp_path / "small")
    assert after.weights_bytes < before.weights_bytes / 3
    image = read(SAMPLES / "textures" / "brick" / "brick_00.png")
    np.testing.assert_allclose(after.scores([image]), before.scores([image]), atol=0.03)
    assert "accuracy" not in after.provenance
    options = ["--quantize", "--measure", SAMPLES / "textures", "-o", tmp_path / "small", "--force"]
    assert run("models", "export", trained, *options).status == 0
    measured = registry.open_model(tmp_path / "small")
    assert measured.provenance["accuracy"]["n"] == 48
    assert measured.weights_hash == after.weights_hash


def test_export_names_classes_that_are_called_by_identifiers(trained, tmp_path, run):
    names = tmp_path / "names.txt"
    names.write_text("brick red brick\ngrass green grass\ngravel  gray gravel\n")
    assert run("models", "export", trained, "--names", names, "-o", tmp_path / "named").status == 0
    model = registry.open_model(tmp_path / "named")
    assert model.classes == ("red brick", "green grass", "gray gravel")
    assert model.identifiers == ("brick", "grass", "gravel")
    names.write_text("brick red brick\n")
    done = run("models", "export", trained, "--names", names, "-o", tmp_path / "other")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "'grass'" in done.err


@pytest.mark.parametrize("there", [True, False])
def test_export_writes_nothing_where_the_data_to_measure_do_not_fit(trained, there, tmp_path, run):
    (tmp_path / "data" / "brick").mkdir(parents=True)
    (tmp_path / "data" / "zebra").mkdir()
    for name in ("brick", "zebra"):
        shutil.copy(SAMPLES / "textures" / "brick" / "brick_00.png", tmp_path / "data" / name)
    if there:
        shutil.copytree(trained, tmp_path / "out")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = run(
        "models", "export", trained, "--quantize", "--measure", tmp_path / "data", "-o", tmp_path / "out", "--force"
    )
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "'zebra'" in done.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert (tmp_path / "out").exists() == there


def test_show_of_a_card_that_is_a_link_no_text_or_holds_escapes(tmp_path, capsys):
    folder = tmp_path / "m"
    shutil.copytree(registry.SHIPPED_FOLDER / "lenet@mnist", folder)
    card, name = folder / "CARD.md", str(folder)
    text = card.read_bytes()
    card.write_bytes(b"\x1b[31m red \xc2\x9b2J \xe2\x80\xae turned\n" + text)
    assert execute(["models", "show", name]) == 0
    assert capsys.readouterr().out.startswith("\\x1b[31m red \\x9b2J \\u202e turned\n")
    card.write_bytes(b"\xff\xfe" + text)
    assert execute(["models", "show", name]) == 1
    assert capsys.readouterr().err == f"imgtool: {name}: CARD.md is not UTF-8 text\n"
    (tmp_path / "secret").write_bytes(text)
    card.unlink()
    card.symlink_to(tmp_path / "secret")
    assert execute(["models", "show", name]) == 1
    done = capsys.readouterr()
    assert (done.out, done.err) == ("", f"imgtool: {name}: CARD.md is a link, and is not followed\n")


@pytest.mark.parametrize(("name", "shape"), [("alexnet", (64, 3, 11, 11)), ("lenet@mnist", (6, 1, 5, 5))])
def test_filters_draws_the_first_layers_kernels(name, shape, tmp_path, run):
    assert run("models", "filters", name, "-o", tmp_path / "f.png").status == 0
    picture, kernels = read(tmp_path / "f.png"), first_kernels(name)
    assert kernels.shape == shape
    first = {"alexnet": "features.0.weight", "lenet@mnist": "conv1.weight"}[name]
    np.testing.assert_array_equal(kernels, registry.open_model(name).arrays()[first])
    zoom = (picture.shape[1] - 2) // (8 if shape[0] == 64 else 2) // shape[3]
    tile = picture[2::zoom, 2::zoom][: shape[2], : shape[3]]
    darker, brighter = kernels[0].transpose(1, 2, 0) < -0.01, kernels[0].transpose(1, 2, 0) > 0.01
    assert (np.broadcast_to(darker, tile.shape) <= (tile < 128)).all()
    assert (np.broadcast_to(brighter, tile.shape) <= (tile > 127)).all()
    done = run("models", "filters", name, "-o", tmp_path / "f.png")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "--force" in done.err


def test_filters_of_other_networks(trained, tmp_path, run):
    assert first_kernels(trained).shape == (20, 1, 32, 32)  # what each unit weighs the pixels with
    assert run("models", "filters", f"{trained}/", "-o", f"{tmp_path}/").status == 0
    assert read(tmp_path / "model.png").shape == (5 * 130 + 2, 4 * 130 + 2, 3)
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    options = {"epochs": 1, "side": 33, "batch": 24}
    train(SAMPLES / "textures", "resnet18", output=tmp_path / "resnet", **options)
    assert first_kernels(tmp_path / "resnet").shape[2:] == (7, 7)
    assert run("models", "filters", tmp_path / "resnet", "-o", tmp_path / "r.png").status == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["resnet18"], 2, "resnet18 is an architecture without weights, so it has no kernels yet; imgtool train"),
        (["sift-fv-svm"], 2, "sift-fv-svm is no network"),
        (["alexnett"], 2, "did you mean alexnet"),
        (["alexnet", "-o", "x.xyz"], 2, ".xyz"),
    ],
)
def test_filters_that_are_not_there_are_one_line(arguments, status, message, tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("models", "filters", *arguments)
    assert (done.status, done.out, done.err.count("\n")) == (status, "", 1)
    assert message in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_filters_are_named_on_a_terminal_and_go_through_a_pipe(tmp_path, imgtool):
    import pty

    done = imgtool("models", "filters", "lenet", cwd=tmp_path)
    assert done.stdout.startswith(b"\x89PNG")
    child, terminal = pty.openpty()
    command = [*IMGTOOL, "models", "filters", "lenet"]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal)
    assert process.wait(60) == 0
    os.close(terminal)
    assert os.read(child, 1000).decode().strip() == "lenet.filters.png"
    os.close(child)
    assert (tmp_path / "lenet.filters.png").read_bytes() == done.stdout
