"""Every example of every command's help runs, in a folder that has what the examples name."""

import gzip
import io
import re
import shlex
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

import site_pages
from imgtool.cli.main import execute, program
from imgtool.device import cuda_devices
from locations import SAMPLES

COMMANDS = [("imgtool", program), *site_pages.commands()]
EXAMPLES = list(dict.fromkeys(line for _, command in COMMANDS for line in site_pages.examples(command)))
# Settings that are added so that an example takes seconds; what it shows stays.
QUICK = {
    "alexnet": ["--epochs", "1"],
    "lenet": ["--epochs", "1"],
    "sift-fv-svm": ["--set", "k=2"],
    "fit": ["--samples", "1500"],
}
CLASSIC = re.compile(r"features fit|svm|compare")
TORCH = re.compile(r"--model (lenet|alexnet)\b.*(-o|--preview)|^imgtool compare .*--model alexnet( |$)")
# File -> the command line that makes it, where an example needs what another one wrote.
RECIPES = {
    "gist.npz": "imgtool gist -q --size 32 photos/ -o gist.npz",
    "fisher.npz": "imgtool gist -q --size 32 photos/ -o fisher.npz",
    "embed.npz": "imgtool embed -q --model lenet photos/ -o embed.npz",
    "a.npz": "imgtool gist -q --size 32 photos/brick -o a.npz",
    "b.npz": "imgtool gist -q --size 32 photos/grass -o b.npz",
    "both.npz": "imgtool gist -q --size 32 photos/ -o both.npz",
    "lab.npy": "imgtool convert --color lab photo.jpg -o lab.npy",
    "book.safetensors": "imgtool features fit -q --components 2 --starts 1 --samples 1000 photos/ -o book.safetensors",
    "atoms.safetensors": "imgtool features fit -q --dictionary 8 --samples 500 photos/ -o atoms.safetensors",
    "photos-hog": "imgtool train -q photos/ --model hog-svm -o photos-hog",
    "photos-lenet": "imgtool train -q photos/ --model two-layer --epochs 1 -o photos-lenet",
    "my-model": "imgtool train -q photos/ --model two-layer --epochs 1 -o my-model",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cat = cv2.imread(str(SAMPLES / "cat.jpg"))
    shutil.copy(SAMPLES / "cat.jpg", "photo.jpg")
    cv2.imwrite("photo.tif", cat)
    cv2.imwrite("digit.png", np.eye(28, dtype=np.uint8) * 255)
    cv2.imwrite("left.jpg", cat[:, :300])
    cv2.imwrite("right.jpg", cat[:, 60:])
    for name in ("brick", "grass", "gravel"):
        for path in sorted((SAMPLES / "textures" / name).iterdir())[:3]:
            copy(path, tmp_path / "photos" / name)
    for name in ("tench", "church", "parachute"):
        copy(SAMPLES / "cat.jpg", tmp_path / "imagenette" / "val" / name)
        copy(SAMPLES / "coffee.png", tmp_path / "imagenette" / "train" / name)
    digits()
    return tmp_path


def copy(path, folder):
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, folder)


def digits():
    """Write a small MNIST."""
    Path("mnist").mkdir()
    rng = np.random.default_rng(0)
    for name, count in (("train", 40), ("t10k", 20)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        images = struct.pack(">4i", 2051, *pixels.shape) + pixels.tobytes()
        labels = struct.pack(">2i", 2049, count) + bytes(index % 10 for index in range(count))
        for kind, data in (("images-idx3", images), ("labels-idx1", labels)):
            with gzip.open(f"mnist/{name}-{kind}-ubyte.gz", "wb") as file:
                file.write(data)


def pipeline(line, monkeypatch, capsysbinary):
    """Run a line as a shell does: imgtool and cat, joined by pipes, with redirections; other programs are left out."""
    data = b""
    for part in re.split(r" \| (?=(?:[^']*'[^']*')*[^']*$)", line):
        words = shlex.split(part)
        if words[0] == "cat":
            data = Path(words[1]).read_bytes()
        if words[0] != "imgtool":
            continue
        words, source, target = redirections(words[1:])
        data = Path(source).read_bytes() if source else data
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        status = execute(words)
        data, errors = capsysbinary.readouterr()
        assert status == 0, errors.decode()
        if target:
            Path(target).write_bytes(data)


def redirections(words):
    """Return the words without redirections, the file that is read and the file that is written."""
    places = {sign: words.index(sign) for sign in "<>" if sign in words}
    left = words[: min(places.values(), default=len(words))]
    return left, *(words[places[sign] + 1] if sign in places else None for sign in "<>")


def need_extras(line):
    """Skip where what a line needs is not installed."""
    if CLASSIC.search(line):
        pytest.importorskip("sklearn", reason="the example needs the extra 'classic'")
    if TORCH.search(line):
        pytest.importorskip("torch", reason="the example needs the extra 'torch'")
    if "models fetch" in line:
        pytest.skip("the example needs a network: tests/classifiers/test_fetching.py has a server of its own")
    if line.endswith(".onnx"):
        pytest.importorskip("onnx", reason="the example needs the extra 'onnx'")
    if "--device cuda" in line and not cuda_devices():
        pytest.skip("the example needs a CUDA device")
    if "--report" in line:
        pytest.importorskip("matplotlib", reason="the example needs the extra 'report'")


def supply(line, monkeypatch, capsysbinary):
    """Make the files that an example reads and another one writes."""
    inputs = re.sub(r"(-o|>) \S+", "", line)
    for name, recipe in RECIPES.items():
        if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", inputs):
            need_extras(recipe)
            pipeline(recipe, monkeypatch, capsysbinary)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_of_the_help_runs(line, monkeypatch, capsysbinary):
    need_extras(line)
    supply(line, monkeypatch, capsysbinary)
    words = line.split()
    if "-o" in words and "photo." in (output := words[words.index("-o") + 1]):
        Path(output).unlink(missing_ok=True)  # what the example makes is not there yet
    fits = {"train", "compare", "fit"} & set(words) and "help" not in words
    more = [word for key, added in QUICK.items() if fits and key in words for word in added if added[0] not in words]
    pipeline(" ".join([line, *more]), monkeypatch, capsysbinary)
    for sign in {"-o", ">"} & set(words):
        assert Path(words[words.index(sign) + 1]).exists()
