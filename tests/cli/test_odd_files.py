"""A pipe, a device, a folder, a link to nothing or a file of holes wherever a file is read: one line, at once."""

import contextlib
import os
import signal
import sys

import numpy as np
import pytest

from imgtool.classifiers.storage import ModelData, save_model
from imgtool.cli.main import execute
from imgtool.datasets.feature_file import FeatureTable, save
from imgtool.errors import DataError
from imgtool.evaluation.store import Store
from imgtool.features.codebook import Dictionary, save_codebook
from imgtool.image import encode
from imgtool.networks import checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
SECONDS = 60  # after which it counts as waiting
SPARSE_BYTES = 1 << 42

# Name of the file that is odd -> the command that reads it, with the name in it as {}.
PLACES = {
    "image.png": "info {}",
    "list.txt": "info --files-from {}",
    "kernel.txt": "filter --kernel-file {} good.png",
    "kernel.csv": "filter --kernel-file {} good.png",
    "kernel.npy": "filter --kernel-file {} good.png",
    "kernel.json": "filter --kernel-file {} good.png",
    "rows.npz": "features info {}",
    "rows.npy": "features info {}",
    "rows.csv": "features info {}",
    "rows.jsonl": "features info {}",
    "rows.parquet": "features info {}",
    "merged.npz": "features merge {} good.npz -o new.npz",
    "converted.npz": "features convert {} -o new.npy",
    "searched.npz": "features search --query good.png {}",
    "queries.npz": "features search --queries {} good.npz",
    "book.safetensors": "features info {}",
    "used.safetensors": "fisher --codebook {} good.png",
    "model/model.json": "models show ./model",
    "model/weights": "models verify ./model",
    "model/CARD.md": "models show ./model",
    "names.txt": "models export lenet@mnist --names {} -o new",
    "data.csv": "train {} --model hog-svm -o new",
    "data.npz": "train {} --model hog-svm -o new",
    "data/a/odd.png": "hog data",
    "data/b/odd.png": "train data --model hog-svm -o new",
    "digits/train-images-idx3-ubyte": "train digits --model hog-svm -o new",
    "cifar/data_batch_1.bin": "train cifar --model hog-svm -o new",
    "new.npz.partial": "hog good.png -o new.npz --resume",
}
KINDS = ["fifo", "device", "folder", "dangling", "sparse"]
# What is right all the same: a folder in a folder.
FINE = {("data/a/odd.png", "folder"), ("data/b/odd.png", "folder")}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what the commands need beside the odd file."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    picture = encode(rng.integers(0, 256, (32, 32), dtype=np.uint8), "png")
    (tmp_path / "good.png").write_bytes(picture)
    save("good.npz", FeatureTable(np.ones((1, 4), np.float32), ["a"], ["b"], {"descriptor": "hog", "parameters": {}}))
    for name in ("data/a", "data/b", "digits", "cifar"):
        (tmp_path / name).mkdir(parents=True)
    for number in range(2):
        for name in "ab":
            (tmp_path / "data" / name / f"{number}.png").write_bytes(picture)
    arrays = {"svm.weights": np.ones((2, 3), np.float32)}
    provenance = {"kind": "published", "source": "a test", "license": "CC0"}
    save_model(tmp_path / "model", ModelData("hog-svm", {}, [("a", None), ("b", None)], provenance, arrays))
    return tmp_path


def make_odd(path, kind):
    """Put something else in the place of a file."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to("nowhere")
    else:
        with path.open("wb") as file:
            file.truncate(SPARSE_BYTES)


@contextlib.contextmanager
def no_waiting():
    """Fail where something takes too long, as opening a pipe does."""

    def late(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PLACES)
def test_F26_what_is_no_file_is_one_line_wherever_a_file_is_read(place, capfd, name, kind):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    if (name, kind) in FINE and "train" in PLACES[name]:
        pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    path = place / name
    if name == "model/weights":
        path = next((place / "model").glob("weights-*"))
    make_odd(path, kind)
    command = PLACES[name].replace("{}", name).split()
    with no_waiting():
        status = execute(command)
    lines = capfd.readouterr().err.splitlines()
    assert status == 0 if (name, kind) in FINE else status in (1, 2), lines
    complaints = [line for line in lines if "imgtool: " in line and "cannot be used" not in line]
    assert not [line for line in lines if "internal" in line or "Traceback" in line]
    assert len(complaints) <= 1 or (name, kind) in FINE, complaints
    assert not any(each.name.startswith("new") and each.name != name for each in place.iterdir() if status)


@pytest.mark.parametrize("kind", KINDS)
def test_F26_odd_checkpoints_and_predictions_are_one_line(tmp_path, kind):
    make_odd(tmp_path / "c", kind)
    identity = {"recipe": {"epochs": 1}, "validation": "", "tensors": {}}
    with no_waiting(), pytest.raises(DataError, match="/c: ") as caught:
        checkpoint.load(tmp_path / "c", identity)
    assert "\n" not in str(caught.value)
    with no_waiting():
        assert not checkpoint.is_checkpoint(tmp_path / "c")
    store = Store(tmp_path / "work")
    path = store.path("k")
    path.parent.mkdir()
    make_odd(path, kind)
    with no_waiting():
        if kind == "dangling":
            assert store.get("k") is None
        else:
            with pytest.raises(DataError, match=r"\.predictions: ") as caught:
                store.get("k")
            assert "\n" not in str(caught.value)


def test_save_and_load_go_on_working(tmp_path):
    """The good ones, so that the tests above refuse for the right reason."""
    save_codebook(tmp_path / "book.safetensors", Dictionary(np.eye(4)))
    assert execute(["features", "info", str(tmp_path / "book.safetensors")]) == 0
