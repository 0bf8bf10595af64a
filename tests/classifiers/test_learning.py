"""A training that learned nothing says so; one that learned something does not."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from imgtool.classifiers.learning import doubt_of, doubt_of_share, is_like_guessing
from imgtool.cli.main import execute
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import Parts
from imgtool.evaluation.comparing import compare
from imgtool.image.write import encode
from locations import SAMPLES

TEXTURES = SAMPLES / "textures"


def network(**row):
    return SimpleNamespace(provenance={"history": [{"epoch": 1, **row}]})


@pytest.mark.parametrize(
    ("row", "doubtful"),
    [({"loss": 2.333, "error": 0.9}, True), ({"loss": 2.3, "error": 0.897}, True), ({"loss": 1.1, "error": 0.9}, False),
     ({"loss": 2.4, "error": 0.5}, True), ({"loss": 2.29, "error": 0.5}, False), ({"loss": 0.1, "error": 0.0}, False)],
)  # fmt: skip
def test_a_network_that_ends_at_the_loss_of_guessing_is_doubted(row, doubtful):
    labels = np.arange(1000) % 10
    doubt = doubt_of(network(**row), labels)
    assert bool(doubt) == doubtful
    assert not doubtful or f"its loss ended at {row['loss']:.4g}, and guessing has 2.303" in doubt


def test_validation_images_say_more_than_the_loss():
    labels, validation = np.arange(600) % 3, np.arange(60) % 3
    known_by_heart = network(loss=0.01, error=0.0, validation_loss=3.0, validation_error=0.65)
    assert "learned nothing: 21 of 60 validation images" in doubt_of(known_by_heart, labels, validation)
    slow = network(loss=1.2, error=0.66, validation_loss=1.0, validation_error=0.3)
    assert doubt_of(slow, labels, validation) == ""
    assert doubt_of(known_by_heart, labels, validation[:6]) == ""  # too few to say anything


def test_a_machine_at_chance_in_cross_validation_is_doubted():
    labels = np.arange(90) % 3
    found = SimpleNamespace(
        provenance={"history": [{"cross_validated_accuracy": {"0.1": 0.3, "1": 0.37}, "cost": 1.0}]}
    )
    assert "33 of 90 images left out in cross-validation are right, and always naming one class has 30" in doubt_of(
        found, labels
    )
    found.provenance["history"][0]["cross_validated_accuracy"]["1"] = 0.6
    assert doubt_of(found, labels) == ""


@pytest.mark.parametrize("right", range(0, 61, 5))
def test_what_is_like_guessing_is_scipys_binomial_test(right):
    from scipy.stats import binomtest

    labels = np.repeat([0, 1, 2], [30, 20, 10])
    assert is_like_guessing(right, labels) == (binomtest(right, 60, 0.5, "greater").pvalue > 0.01)


def test_of_few_images_nothing_is_said():
    assert doubt_of_share(1, np.arange(12) % 3, "images") == ""


def noise(count, seed=0):
    """Images that show nothing of their classes."""
    rng = np.random.default_rng(seed)
    return Dataset(rng.integers(0, 256, (count, 16, 16)).astype(np.uint8), np.arange(count) % 3, ("a", "b", "c"))


def write(dataset, folder):
    for index in range(len(dataset)):
        path = folder / dataset.classes[dataset.labels[index]] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(dataset.items[index], "png"))


@pytest.mark.parametrize("model", ["hog-svm", "two-layer", "lenet"])
def test_N9_labels_at_random_are_told(model, tmp_path, capsys):
    if model == "lenet":
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    write(noise(150), tmp_path / "data" / "train")
    write(noise(60, seed=1), tmp_path / "data" / "test")
    command = ["train", str(tmp_path / "data"), "--model", model, "-o", str(tmp_path / "m"), "--json"]
    command += [] if model == "hog-svm" else ["--epochs", "3"]
    assert execute(command) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["accuracy"]["n"] == 60
    assert f"{tmp_path / 'm'}: learned nothing: " in captured.err
    assert execute([*command, "--force", "-q"]) == 0
    assert capsys.readouterr().err == ""
    (row,) = compare(model, tmp_path / "data", settings={} if model == "hog-svm" else {"epochs": 3}).rows()
    assert row["top1_error"] > 0.4


@pytest.mark.parametrize("model", ["hog-svm", "two-layer"])
def test_what_learned_something_is_not_doubted(model, tmp_path, capsys):
    command = ["train", str(TEXTURES), "--model", model, "-o", str(tmp_path / "m")]
    assert execute(command) == 0
    assert "learned nothing" not in capsys.readouterr().err


def test_N9_a_rate_too_high_is_told_by_train_and_by_compare(tmp_path, capsys):
    command = [
        "train",
        str(TEXTURES),
        "--model",
        "two-layer",
        "--lr",
        "0.5",
        "--epochs",
        "3",
        "-o",
        str(tmp_path / "m"),
    ]
    assert execute(command) == 0
    assert "learned nothing: its loss ended at " in capsys.readouterr().err
    data = Dataset(noise(90).items, np.arange(90) % 3, ("a", "b", "c"))
    done = compare("two-layer", Parts(data, data), settings={"epochs": 2, "learning_rate": 0.5})
    assert any(each.startswith("two-layer: learned nothing: ") for each in done.remarks())


@pytest.mark.parametrize("epoch", [1, 2])
def test_N9_what_ends_without_a_finite_loss_leaves_nothing_that_blocks_a_lower_rate(
    epoch, tmp_path, capsys, monkeypatch
):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks import training

    step = training._Run._step
    steps = []

    def failing(self, *arguments):
        steps.append(1)
        if self.recipe.learning_rate > 1 and len(steps) > (epoch - 1) * 2:
            return float("nan"), float("nan")
        return step(self, *arguments)

    monkeypatch.setattr(training._Run, "_step", failing)
    command = [
        "train",
        str(TEXTURES),
        "--model",
        "lenet",
        "--epochs",
        "3",
        "--batch",
        "32",
        "-q",
        "-o",
        str(tmp_path / "m"),
    ]
    assert execute([*command, "--lr", "1000000"]) == 1
    assert f"the loss is not finite in epoch {epoch}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert execute([*command, "--lr", "0.001"]) == 0


@pytest.mark.parametrize("model", ["alexnet@imagenette", "lenet@mnist", "sift-fv-svm@imagenette", "my/folder"])
def test_trained_weights_are_no_architecture_and_the_way_out_is_told(model, tmp_path, capsys):
    assert execute(["train", str(TEXTURES), "--model", model, "-o", str(tmp_path / "m")]) == 2
    found = capsys.readouterr().err
    assert f"{model} is trained already, and training takes an architecture: " in found
    assert found.count("\n") == 1
    if "net@" in model:
        assert f": {model.partition('@')[0]}; --init {model} starts from its weights" in found


def test_the_way_out_for_trained_weights_works(tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    options = ["--init", "lenet@mnist", "--epochs", "1", "-q"]
    assert execute(["train", str(TEXTURES), "--model", "lenet", *options, "-o", str(tmp_path / "m")]) == 0


@pytest.mark.parametrize(("model", "message"), [("nosuch@x", "no model 'nosuch'"), ("lenet@x", "no trained 'lenet@x'")])
def test_weights_that_are_nowhere_are_not_called_trained(model, message, tmp_path, capsys):
    assert execute(["train", str(tmp_path), "--model", model, "-o", str(tmp_path / "model")]) == 2
    assert message in capsys.readouterr().err
