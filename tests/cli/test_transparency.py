"""Colour under alpha 0 counts in no command: two images that look the same give the same result."""

import json
from pathlib import Path

import numpy as np
import pytest

import imgtool
from imgtool import read, write
from imgtool.datasets.dataset import Dataset
from imgtool.image.alpha import flatten

DESCRIBING = {
    "hog": ("hog",),
    "hog dalal-triggs": ("hog", "--variant", "dalal-triggs"),
    "hog uoctti": ("hog", "--variant", "uoctti"),
    "gist": ("gist",),
    "gist color": ("gist", "--color"),
    "sift": ("sift", "--values"),
    "sift sparse": ("sift", "--sparse", "--values"),
    "fisher": ("fisher",),
    "classify": ("classify", "--model", "alexnet", "--model", "sift-fv-svm"),
}


def make_pair(hidden_seed=1):
    """Write a.png and b.png, which look the same: what is under alpha 0 differs."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] - 31.5
    image = np.dstack([rng.integers(0, 256, (64, 64, 3)), np.where(x**2 + y**2 < 600, 255, 0)]).astype(np.uint8)
    image[20:24, :, 3] //= 2
    write("a.png", image, overwrite=True)
    clear = image[..., 3] == 0
    image[clear, :3] = np.random.default_rng(hidden_seed).integers(0, 256, (int(clear.sum()), 3))
    write("b.png", image, overwrite=True)


@pytest.fixture(autouse=True)
def pair(tmp_path, monkeypatch):
    """a.png and b.png in an empty folder."""
    monkeypatch.chdir(tmp_path)
    make_pair()


def _without_path(row):
    return {key: value for key, value in row.items() if key != "path"}


@pytest.mark.parametrize("command", DESCRIBING.values(), ids=list(DESCRIBING))
def test_images_that_look_the_same_are_described_the_same(run, command):
    done = run(*command, "--format", "jsonl", "a.png", "b.png")
    rows = [_without_path(row) for row in done.rows]
    half = len(rows) // 2
    assert done.status == 0
    assert rows[:half] == rows[half:]
    assert rows[0]["left_out"] == {"alpha": 1}
    assert "2 transparent images were shown on the background; --background COLOR sets it" in done.err


@pytest.mark.parametrize("command", DESCRIBING.values(), ids=list(DESCRIBING))
def test_the_background_can_be_chosen(run, command):
    write("flat.png", flatten(read("a.png"), "black"))
    done = run(*command, "--format", "jsonl", "--background", "#000", "a.png", "flat.png")
    rows = [_without_path(row) for row in done.rows]
    half = len(rows) // 2
    assert rows[0].pop("left_out") == {"alpha": 1}
    assert "transparent" not in done.err
    for row in rows[:half]:
        row.pop("left_out", None)
    assert rows[:half] == rows[half:]


def test_an_opaque_alpha_is_no_remark(run):
    image = read("a.png")
    image[..., 3] = 255
    write("opaque.png", image)
    assert run("gist", "opaque.png").rows[0].get("left_out") is None


def test_a_feature_file_holds_a_background_that_is_not_white(run):
    assert run("gist", "a.png", "-o", "white.npz", "--background", "white").status == 0
    assert run("gist", "a.png", "-o", "default.npz").status == 0
    assert Path("white.npz").read_bytes() == Path("default.npz").read_bytes()
    assert run("gist", "a.png", "-o", "black.npz", "--background", "black").status == 0
    meta = json.loads(str(np.load("black.npz")["meta"]))
    assert meta["parameters"]["background"] == "#000000"
    found = run("features", "search", "--query", "b.png", "--format", "jsonl", "--metric", "euclidean", "black.npz")
    assert found.rows[0]["score"] == 0
    found = run("features", "search", "--query", "b.png", "--format", "jsonl", "--metric", "euclidean", "default.npz")
    assert found.rows[0]["score"] == 0


def test_arrays_and_worker_processes_see_the_same(run):
    images = [read("a.png"), read("b.png")]
    here = [each.result() for each in imgtool.describe_images(images, "gist", background=(0, 0, 0))]
    np.testing.assert_array_equal(*here)
    files = [each.result() for each in imgtool.describe_images(["a.png"] * 200, "gist", background="black", jobs=2)]
    np.testing.assert_array_equal(here[0], files[-1])


@pytest.mark.parametrize("command", [("--match", "a.png"), ("--match", "b.png")])
def test_matches_count_no_hidden_color(run, command):
    rows = [_without_path(row) for row in run("sift", *command, "--format", "jsonl", "a.png", "b.png").rows]
    assert rows[0]["keypoints"] == rows[1]["keypoints"]
    assert rows[0]["matches"] == rows[1]["matches"]


def test_data_sets_are_seen_on_white():
    stack = np.stack([read("a.png"), read("b.png")])
    for items in (stack, [Path("a.png"), Path("b.png")]):
        dataset = Dataset(items, np.array([0, 1]), ("x", "y"))
        np.testing.assert_array_equal(dataset.image(0), flatten(stack[0]))
        np.testing.assert_array_equal(dataset.image(0), dataset.image(1))


def test_codebooks_are_fitted_to_what_is_seen(run):
    for name in "ab":
        Path(name).mkdir()
        Path(f"{name}.png").rename(f"{name}/x.png")
        command = ("features", "fit", "--components", "2", "--dimensions", "4", "--samples", "200", f"{name}/x.png")
        assert run(*command, "-o", f"{name}.safetensors").status == 0
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()


def test_an_unknown_color_is_refused(run):
    done = run("gist", "--background", "whitish", "a.png")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert "--background" in done.err
    assert "whitish" in done.err
