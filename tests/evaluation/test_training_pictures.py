"""Pictures of a training: the sheet of its first batch and its curves, what they show and when they are refused."""

import errno
import json
import os
import sys

import numpy as np
import pytest

import imgtool
from imgtool.cli.main import execute
from imgtool.errors import ParameterError
from imgtool.evaluation import training_pictures
from imgtool.events import Epoch, FirstBatch
from imgtool.image.sheet import CAPTION_PIXELS, GAP_PIXELS, captioned_sheet
from locations import SAMPLES

TEXTURES = str(SAMPLES / "textures")
ROW = {"loss": 1.5, "error": 0.25, "learning_rate": 0.01, "validation_loss": 1.0, "validation_error": 0.5}
HISTORY = [{"epoch": number, **ROW, "validation_error": error} for number, error in enumerate((0.5, 0.25, 0.375), 1)]


def train(*arguments):
    return execute(["train", TEXTURES, *map(str, arguments)])


# The sheet


def panels(sheet, shape, count, scale, columns=8):
    """The images of a sheet, every pixel of which is a square of scale x scale."""
    height, width = shape
    for index in range(count):
        row, column = divmod(index, columns)
        top = GAP_PIXELS + row * (scale * height + CAPTION_PIXELS + GAP_PIXELS)
        left = GAP_PIXELS + column * (scale * width + GAP_PIXELS)
        squares = sheet[top : top + scale * height, left : left + scale * width]
        image = squares[::scale, ::scale]
        np.testing.assert_array_equal(image.repeat(scale, 0).repeat(scale, 1), squares)
        yield image


@pytest.mark.parametrize(
    ("model", "settings", "side", "scale"),
    [("lenet", {"channels": 3}, 32, 3), ("lenet", {"batch": 9, "training_side": 33}, 33, 3), ("two-layer", {}, 32, 3),
     ("alexnet", {"batch": 12, "side": 128}, 128, 1)],
)  # fmt: skip
def test_a_previews_pixels_are_those_of_the_first_batch(model, settings, side, scale, tmp_path):
    if model != "two-layer":
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")

    class StopError(Exception):
        pass

    batches = []

    def stop(event):
        if isinstance(event, FirstBatch):
            batches.append(event)
            raise StopError

    with pytest.raises(StopError):
        imgtool.train(TEXTURES, model, seed=4, events=stop, **settings)
    (batch,) = batches
    sheet = imgtool.training_preview(TEXTURES, model, seed=4, **settings)
    images = list(panels(sheet, (side, side), min(32, len(batch.images)), scale))
    for image, expected in zip(images, batch.images, strict=False):
        np.testing.assert_array_equal(image, np.broadcast_to(expected, image.shape))
    chosen = [each for key, value in settings.items() for each in ("--set", f"{key}={value}")]
    assert train("--model", model, "--seed", 4, *chosen, "--preview", tmp_path / "sheet.png", "-q") == 0
    np.testing.assert_array_equal(imgtool.read(tmp_path / "sheet.png"), sheet)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]  # without -o that is all


def test_a_seed_a_setting_and_no_changes_each_give_another_sheet():
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    sheets = [
        imgtool.training_preview(TEXTURES, "lenet", **how)
        for how in ({}, {"seed": 1}, {"shift": 0.3}, {"augment": False}, {"validation_share": 0.5})
    ]
    assert len({sheet.tobytes() for sheet in sheets}) == len(sheets)


def test_with_an_output_the_sheet_is_written_and_then_it_is_trained(tmp_path, capsys):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    plain = ["--model", "lenet", "--epochs", "2", "-q"]
    assert train(*plain, "-o", tmp_path / "alone") == 0
    assert train(*plain, "-o", tmp_path / "model", "--preview", tmp_path / "a.png") == 0
    assert train(*plain, "--preview", tmp_path / "b.png") == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    weights = [next((tmp_path / name).glob("weights-*")).read_bytes() for name in ("alone", "model")]
    assert weights[0] == weights[1]  # looking changes nothing


def test_what_a_preview_prints(tmp_path, capsys):
    line = ["--model", "two-layer", "--preview", tmp_path / "a.png"]
    assert train(*line) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'a.png'}\n"
    assert "epoch" not in printed.err
    assert train(*line) == 1
    assert capsys.readouterr().err == f"imgtool: {tmp_path / 'a.png'}: exists; --force overwrites it\n"
    assert train(*line, "--force", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record == {"path": TEXTURES, "model": "two-layer", "preview": str(tmp_path / "a.png")}


@pytest.mark.parametrize(("shape", "scale"), [((96, 120), 1), ((95, 300), 2), ((1, 1), 96), ((10, 7), 14)])
def test_small_images_are_enlarged_by_whole_numbers(shape, scale):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for _ in range(11)]
    sheet = captioned_sheet(images, [*"abcdefghij", "a name much too long for any panel \u65e5\n" * 9])
    for image, expected in zip(panels(sheet, shape, 11, scale), images, strict=True):
        np.testing.assert_array_equal(image, expected)
    below = GAP_PIXELS + scale * shape[0]
    assert sheet[below : below + CAPTION_PIXELS, GAP_PIXELS : GAP_PIXELS + 20].min() < 100  # there is text
    assert (sheet[:, -GAP_PIXELS:] == 255).all()  # and it ends with its panel


# The curves


def test_curves_are_the_numbers_of_the_history():
    figure = pytest.importorskip("matplotlib.figure", reason="the extra 'report' is not installed").Figure()
    from imgtool.evaluation.curves import _draw_panels

    _draw_panels(figure, HISTORY)
    drawn = [[line.get_xydata().tolist() for line in axes.lines] for axes in figure.axes]
    assert drawn == [
        [[[1, 1.5], [2, 1.5], [3, 1.5]], [[1, 1], [2, 1], [3, 1]], [[2, 1]]],
        [[[1, 25], [2, 25], [3, 25]], [[1, 50], [2, 25], [3, 37.5]], [[2, 25]]],
        [[[1, 0.01], [2, 0.01], [3, 0.01]]],
    ]
    assert [axes.get_title() for axes in figure.axes] == ["loss", "error (%)", "learning rate"]
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert texts == ["training", "validation", "kept: epoch 2"]


@pytest.mark.parametrize(
    "history", [HISTORY, HISTORY[:1], [{"epoch": 7}], [{"epoch": 1, "loss": 2.0, "validation_error": None}]]
)
def test_curves_of_any_history_are_a_picture(history):
    pytest.importorskip("matplotlib", reason="the extra 'report' is not installed")
    picture = imgtool.training_curves(history, title="one\n<two> $\\three$ \u65e5 \udce9" * 20)
    assert (picture.shape, picture.dtype) == ((380, 1200, 3), np.uint8)
    assert len(np.unique(picture)) > 5
    with pytest.raises(ParameterError, match="no epoch"):
        imgtool.training_curves([])


def test_curves_are_drawn_when_it_ends(tmp_path):
    pytest.importorskip("matplotlib", reason="the extra 'report' is not installed")
    assert train("--model", "two-layer", "--epochs", 3, "-o", tmp_path / "m", "--curves", tmp_path / "a.png", "-q") == 0
    rows = [json.loads(line) for line in (tmp_path / "m" / "metrics.jsonl").read_text().splitlines()]
    expected = imgtool.training_curves(rows, title=f"two-layer, {TEXTURES}")
    np.testing.assert_array_equal(imgtool.read(tmp_path / "a.png"), expected)


def test_N9_pictures_of_a_training_that_failed_do_not_block_the_next(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="the extra 'report' is not installed")
    line = ["--model", "two-layer", "-o", tmp_path / "m", "-q", "--epochs", "9"]
    line += ["--curves", tmp_path / "a.png", "--preview", tmp_path / "b.png"]
    assert train(*line, "--lr", "1e6") == 1
    assert "not finite" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    (tmp_path / "a.png").write_text("mine")  # what was there, and may be overwritten, stays or is overwritten
    assert train(*line, "--lr", "1e6", "--force") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    (tmp_path / "a.png").unlink()
    assert train(*line) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "m"]


def test_a_training_that_goes_on_draws_all_its_epochs_over_the_curves_of_before(tmp_path):
    for package in ("torch", "matplotlib"):
        pytest.importorskip(package, reason="needs the extras 'torch' and 'report'")

    class CutError(Exception):
        pass

    def cut(event):
        if isinstance(event, Epoch) and event.epoch == 2:
            raise CutError

    with pytest.raises(CutError):
        imgtool.train(TEXTURES, "lenet", epochs=4, output=tmp_path / "m", events=cut)
    (tmp_path / "a.png").write_text("curves of before")
    options = ["--model", "lenet", "--epochs", "4", "-q", "-o", tmp_path / "m", "--curves", tmp_path / "a.png"]
    assert train(*options, "--resume") == 0
    rows = [json.loads(line) for line in (tmp_path / "m" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    expected = imgtool.training_curves(rows, title=f"lenet, {TEXTURES}")
    np.testing.assert_array_equal(imgtool.read(tmp_path / "a.png"), expected)


def test_curves_are_drawn_anew_while_it_goes_on_and_a_full_disk_stops_only_the_last(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="the extra 'report' is not installed")
    monkeypatch.setattr(training_pictures, "REDRAW_SECONDS", 0.0)
    drawn = []
    monkeypatch.setattr(training_pictures, "training_curves", lambda rows, **_: drawn.append(len(rows)) or np.eye(9))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    curves = training_pictures.CurvesFile(tmp_path / "a.npy")
    with curves:
        curves(Epoch(1, 3, 1.0, 0.5, 0.1, 10.0, 1.0, resumed=True))
        curves(Epoch(2, 3, 1.0, 0.5, 0.1, 10.0, 1.0))
        assert (tmp_path / "a.npy").exists()
        monkeypatch.setattr(os, "fsync", full)
        curves(Epoch(3, 3, 1.0, 0.5, 0.1, 10.0, 1.0))
        monkeypatch.undo()
    assert drawn == [2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--curves", "a.png", "--model", "hog-svm", "-o", "m"], "--curves: hog-svm is no network"),
     (["--preview", "a.png", "--model", "hog-svm"], "--preview: hog-svm is no network"),
     (["--curves", "a.pdf", "--model", "two-layer", "-o", "m"], "a.pdf"),
     (["--preview", "a", "--model", "two-layer"], "a: "),
     (["--curves", "a.png", "--model", "two-layer"], "name a folder for the model: -o FOLDER"),
     (["--preview", "b.png", "--resume", "--model", "two-layer"], "name a folder for the model: -o FOLDER"),
     (["--model", "two-layer"], "name a folder for the model: -o FOLDER")],
)  # fmt: skip
def test_pictures_that_cannot_be_are_refused_before_a_data_set_is_looked_for(
    options, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert execute(["train", "nowhere", *options]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_curves_are_one_line_before_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert train("--model", "two-layer", "-o", tmp_path / "m", "--curves", tmp_path / "a.png") == 2
    told = capsys.readouterr().err
    assert "drawing curves needs" in told
    assert "matplotlib" in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())
    with pytest.raises(imgtool.MissingExtraError):
        imgtool.training_curves(HISTORY)
