"""`imgtool classify --cam` and `--maps`: what is drawn of each image."""

import os
import shutil

import numpy as np
import pytest

import imgtool
from imgtool.image import read
from imgtool.networks.cut import until
from imgtool.networks.drawing import heat_picture, kernels_picture, maps_picture, shown_size, tiled
from imgtool.networks.numpy_backend import NumpyNetwork
from locations import SAMPLES

TEXTURES = SAMPLES / "textures"
GAP = 8  # pixels between the two halves of a picture


@pytest.fixture
def photos(tmp_path, monkeypatch):
    os.makedirs(tmp_path / "photos" / "a")
    for source, name in (("rocket_turned.jpg", "rocket.jpg"), ("cat.jpg", "a/cat.jpg"), ("camera.png", "a/camera.png")):
        shutil.copy(SAMPLES / source, tmp_path / "photos" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def test_cam_draws_the_image_and_what_speaks_for_the_best_label(photos, rows_of):
    rows = rows_of("classify", "-q", "--model", "alexnet", "--cam", "cam/", "photos")
    assert rows == rows_of("classify", "-q", "--model", "alexnet", "photos")
    for name in ("rocket", "a/cat", "a/camera"):
        (path,) = photos.glob(f"{name}.*")
        image, picture = read(path), read(f"cam/{name}.png")
        height, width = shown_size(*image.shape[:2])
        assert picture.shape == (height, 2 * width + GAP, 3)
        left, right = picture[:, :width], picture[:, width + GAP :]
        shown = imgtool.resize(image, height, width)
        np.testing.assert_array_equal(left, shown if shown.ndim == 3 else np.dstack([shown] * 3))
        heat = imgtool.grad_cam(image, model="alexnet")
        hot = imgtool.resize(heat, height, width)
        colors = np.ptp(right.astype(int), axis=2)  # gray where there is no heat
        assert colors[hot > 0.5].mean() > 40
        assert colors[hot == 0].max(initial=0) <= 1


def test_cam_goes_to_a_file_a_template_and_the_picture_of_another_format(photos, rows_of):
    image = photos / "rocket.jpg"
    rows_of("classify", "-q", "--model", "lenet", "--cam", "one.webp", image)
    rows_of("classify", "-q", "--model", "lenet", "--cam", "{parent}-{stem}.png", "photos")
    assert sorted(each for each in os.listdir() if "." in each) == [
        "a-camera.png", "a-cat.png", "one.webp", "photos-rocket.png",
    ]  # fmt: skip


@pytest.mark.parametrize(("model", "layer", "maps"), [("lenet", "act1", 6), ("alexnet", "features.4", 192)])
def test_maps_are_those_of_the_layer(model, layer, maps, photos, rows_of):
    rows_of("classify", "-q", "--model", model, "--maps", f"{layer}=maps", photos / "rocket.jpg")
    opened = imgtool.open_model(model)
    network, x = opened.network(), opened.preprocessing.normalize([opened.prepare(read(photos / "rocket.jpg"))])
    cut = until(network, layer)
    (values,) = NumpyNetwork(cut, {name: opened.arrays()[name] for name in cut.arrays()}).predict(x)
    assert len(values) == maps
    np.testing.assert_array_equal(read("maps/rocket.png"), maps_picture(values))


def test_pictures_are_drawn_of_standard_input_and_beside_ten_crops(photos, run, monkeypatch):
    import io
    import sys
    from types import SimpleNamespace

    data = (photos / "rocket.jpg").read_bytes()
    for more in ([], ["--crops", "10"]):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))
        done = run("classify", "-q", "--model", "alexnet", "--cam", "one.png", "--force", *more, "-")
        assert done.status == 0, done.err
        assert len(done.rows) == 1
        assert os.path.getsize("one.png") > 1000


def test_pictures_of_an_earlier_run_are_kept_and_are_no_images(photos, run):
    command = ["classify", "-q", "--model", "lenet", "--cam", "photos/cam/", "--maps", "act1=photos/maps", "photos"]
    assert len(run(*command).rows) == 3
    before = sorted(photos.rglob("*"))
    done = run(*command)
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert "exists; --force overwrites it" in done.err
    done = run(*command, "--force")
    assert (done.status, len(done.rows)) == (0, 3)
    assert sorted(photos.rglob("*")) == before


def test_a_bad_image_stops_nothing(photos, run):
    (photos / "bad.png").write_text("no image")
    done = run("classify", "-q", "--model", "lenet", "--cam", "cam/", "--maps", "act1=maps", "photos")
    assert (done.status, len(done.rows), done.err.count("\n")) == (1, 4, 1)
    assert len(os.listdir("cam")) == len(os.listdir("maps")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cam", "cam/", "--model", "sift-fv-svm"], "sift-fv-svm is no network, so it has no feature maps"),
        (["--maps", "act1=m", "--model", "sift-fv-svm"], "sift-fv-svm is no network, so it has no feature maps"),
        (["--maps", "akt1=m", "--model", "lenet"], "no layer 'akt1', perhaps act1; imgtool models layers lists them"),
        (["--maps", "fc1=m", "--model", "lenet"], "layer fc1 of lenet gives 120 numbers, no maps"),
        (["--maps", "act1", "--model", "lenet"], "'act1' is not LAYER=DIR"),
        (["--maps", "=m", "--model", "lenet"], "'=m' is not LAYER=DIR"),
        (["--cam", "cam/", "--model", "lenet", "--model", "alexnet"], "--cam takes one model, got 2"),
        (["--maps", "act1=m", "--model", "lenet", "--model", "alexnet"], "--maps takes one model, got 2"),
        (["--cam", "-", "--model", "lenet"], "standard output carries the rows"),
        (["--maps", "act1=-", "--model", "lenet"], "standard output carries the rows"),
        (["--cam", "m/", "--maps", "act1=m", "--model", "lenet"], "--cam and --maps are one file"),
        (["--cam", "s/x/", "--sort", "s", "--model", "lenet"], "s: --cam lies in the folder of --sort"),
        (["--cam", "{stem", "--model", "lenet"], "--cam {stem: "),
        (["--maps", "act1=photos/rocket.jpg", "--model", "lenet"], "--maps photos/rocket.jpg/: several images need"),
        (["--cam", "x.xyz", "--model", "lenet", "photos/rocket.jpg"], ".xyz"),
    ],
)
def test_what_cannot_be_drawn_is_one_line_and_nothing_is_done(arguments, message, photos, run):
    before = sorted(photos.parent.rglob("*"))
    if "photos/rocket.jpg" not in arguments:
        arguments = [*arguments, "photos"]
    done = run("classify", "-q", *arguments)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err
    assert sorted(photos.parent.rglob("*")) == before


def test_heat_is_drawn_over_gray_and_what_is_not_seen_is_dark():
    image = np.full((10, 20, 3), (200, 100, 0), np.uint8)
    heat = np.zeros((10, 20), np.float32)
    heat[2, 7] = 1
    picture = heat_picture(image, heat, (slice(0, 10), slice(5, 15)))
    right = picture[:, 20 + GAP :]
    assert (right[0, 5] == 100).all()
    assert (right[0, 0] == 35).all()
    assert right[2, 7, 0] > 200 > right[2, 7, 2]


def test_tiles_lie_in_rows_with_gaps():
    tiles = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 40, 64), np.uint8) * 50
    sheet = tiled(tiles)
    assert sheet.shape == (3 * 82 + 2, 2 * 130 + 2, 3)
    for index in range(5):
        top, left = 2 + index // 2 * 82, 2 + index % 2 * 130
        assert (sheet[top : top + 80, left : left + 128] == 50 * index).all()
    assert (sheet[:2] == 255).all()
    assert (sheet[-82:, -130:] == 255).all()  # the place that is left


def test_signs_are_seen():
    maps = np.zeros((2, 4, 4), np.float32)
    maps[0, 0, 0] = 3
    assert set(np.unique(maps_picture(maps)[2:-2, 2:-2])) == {0, 255}
    maps[1, 0, 0] = -3
    assert set(np.unique(maps_picture(maps))) == {0, 128, 255}
    kernels = np.zeros((2, 3, 5, 5), np.float32)
    kernels[0, 0, 2, 2], kernels[1, 2, 2, 2] = 1, -0.01  # each has a scale of its own
    picture = kernels_picture(kernels)
    colors = {tuple(color) for color in picture.reshape(-1, 3).tolist()}
    assert colors == {(255, 255, 255), (128, 128, 128), (255, 128, 128), (128, 128, 0)}
    large = maps_picture(np.random.default_rng(0).random((3, 300, 200)).astype(np.float32))
    assert large.shape[0] < 2 * 140
