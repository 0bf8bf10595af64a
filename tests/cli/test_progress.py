"""What is told of long work while it goes on: an epoch a line, a stage a line with -v, a bar on terminals."""

import re
import sys

import pytest
from terminals import on_a_terminal

from imgtool.cli.main import execute
from imgtool.cli.progress import EpochLines, time_text
from imgtool.events import Epoch
from locations import SAMPLES

TEXTURES = str(SAMPLES / "textures")
LINE = r"epoch +{epoch}/{epochs}  loss \d\.\d{{3}}  {validation}error \d+\.\d%  \d+ images/s{left}"


def line(epoch, epochs, *, watched=True):
    """The form of an epoch's line."""
    validation, left = r"validation \d\.\d{3}  " if watched else "", r"  \d+ s left" if epoch < epochs else ""
    return LINE.format(epoch=epoch, epochs=epochs, validation=validation, left=left)


def train(tmp_path, *arguments):
    assert execute(["train", TEXTURES, "-o", str(tmp_path / "m"), "--force", *arguments]) == 0


@pytest.mark.parametrize("model", ["lenet", "two-layer"])
def test_training_tells_of_each_epoch_in_a_line(model, tmp_path, capsys):
    if model == "lenet":
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    train(tmp_path, "--model", model, "--epochs", "12", "--batch", "3")
    data, *lines = capsys.readouterr().err.splitlines()[:13]
    assert data.endswith("48 images of 3 classes")
    for number, found in enumerate(lines, start=1):
        assert re.fullmatch(line(number, 12), found), found
    train(tmp_path, "--model", model, "--epochs", "12", "-q")
    assert "epoch" not in capsys.readouterr().err


def test_with_v_it_tells_of_stages_and_never_of_each_image_or_step(tmp_path, capsys):
    train(tmp_path, "--model", "two-layer", "--epochs", "2", "--batch", "1")
    plain = capsys.readouterr().err.splitlines()
    train(tmp_path, "--model", "two-layer", "--epochs", "2", "--batch", "1", "-v")
    told = capsys.readouterr().err.splitlines()
    assert [each for each in told if "epoch" not in each] == [
        "imgtool: device cpu",
        "imgtool: looking at images",
        *plain[:1],
        "imgtool: reading images",
        *(each for each in plain[1:] if "epoch" not in each),
    ]


def test_a_machines_cross_validation_is_a_few_lines(tmp_path, capsys):
    train(tmp_path, "--model", "hog-svm", "-v", "--set", "costs=0.1,1", "--set", "kernel=linear")
    stages = [
        "device cpu",
        "looking at images",
        "describing images",
        "products of all pairs of images",
        "cross-validation, cost 0.1",
        "cross-validation, cost 1",
    ]
    told = [each for each in capsys.readouterr().err.splitlines() if "images of" not in each]
    assert told[:6] == [f"imgtool: {each}" for each in stages]
    assert len(told) == 7


def test_a_comparison_tells_of_epochs_by_model_and_only_with_v(capsys):
    compare = ["compare", TEXTURES, "--model", "two-layer", "--epochs", "2", "--format", "csv"]
    assert execute(compare) == 0
    assert "epoch" not in capsys.readouterr().err
    assert execute([*compare, "-v"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert re.fullmatch(f"two-layer: {line(2, 2, watched=False)}", told[4])
    assert [each for each in told if "epoch" not in each][:4] == [
        "imgtool: device cpu",
        "imgtool: looking at images",
        "imgtool: two-layer: reading images",
        "imgtool: two-layer: labeling images",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_on_a_terminal_lines_stand_above_the_bar_which_goes_in_the_end(tmp_path):
    slow = ["--model", "two-layer", "--epochs", "100", "--set", "hidden=300", "--set", "side=64"]
    status, seen = on_a_terminal(["train", TEXTURES, *slow, "-o", str(tmp_path / "m")])
    assert status == 0
    text = re.sub(r"\x1b\[[\d;]*[mK]", "", seen)
    assert re.search(r"━ +\d+/200 .*epoch \d+ loss", text)
    assert not re.search(r"\d/100 +\d", text)  # steps are counted throughout
    epochs = re.findall(r"epoch +(\d+)/100  loss .*? images/s", text)
    assert list(map(int, epochs)) == list(range(1, 101))
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown again


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_F8_what_an_interrupted_training_leaves_is_told_below_the_bar_that_is_gone(tmp_path):
    slow = ["--model", "two-layer", "--epochs", "100000", "--set", "hidden=300", "--set", "side=64"]
    status, seen = on_a_terminal(["train", TEXTURES, *slow, "-o", str(tmp_path / "m")], interrupt_at="━".encode())
    assert status == 130
    told = "nothing is kept: two-layer keeps no checkpoint when it is trained in NumPy"
    assert seen.split("\x1b[?25h")[-1] == f"imgtool: {tmp_path / 'm'}: {told}\r\n"


def test_time_left_is_that_of_the_mean_epoch_and_starts_anew_with_each_training():
    lines = EpochLines()

    def told(epoch, seconds, **more):
        return lines.line(Epoch(epoch, 10, 0.5, 0.25, 0.1, 1234.5, seconds, **more))

    assert told(1, 20.0) == "epoch  1/10  loss 0.500  error 25.0%  1234 images/s  180 s left".replace("180 s", "3 min")
    assert told(2, 4.0).endswith("  96 s left")
    assert told(1, 1.0, model="a").endswith("  9 s left")
    watched = told(10, 1.0, validation_loss=0.25, validation_error=0.125, model="a")
    assert watched == "a: epoch 10/10  loss 0.500  validation 0.250  error 12.5%  1234 images/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (5990, "100 min"), (6000, "1.7 h"), (9e5, "250.0 h")],
)
def test_times_are_in_the_unit_that_suits_them(seconds, text):
    assert time_text(seconds) == text
