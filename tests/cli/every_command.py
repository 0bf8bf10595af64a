"""One short command line of every command, for what must hold of all of them, and the files that they work on."""

import subprocess

import numpy as np

from imgtool.image import encode
from locations import IMGTOOL

MODEL = "lenet@mnist"
# What each command prints results with, and what leaves them in a file; None where there is none.
PRINTING = {
    "filter": ["--kernel", "box", "a.png"],
    "gradient": ["a.png"],
    "convert": ["a.png", "--to", "bmp"],
    "info": ["a.png"],
    "hog": ["a.png"],
    "gist": ["a.png"],
    "sift": ["a.png"],
    "fisher": ["a.png"],
    "embed": ["--model", MODEL, "a.png"],
    "features": ["info", "rows.npz"],
    "classify": ["--model", MODEL, "a.png"],
    "train": ["--settings", "--model", "lenet"],
    "evaluate": ["data", "--model", "svm", "--model", "svm2"],
    "compare": ["data", "--model", "hog-svm", "--model", "gist-svm"],
    "models": ["list"],
    "explain": ["network", MODEL, "a.png", "--label", "3"],
    "doctor": [],
    "completion": ["bash"],
    "help": ["filter"],
}
STORING = {
    "filter": ["--kernel", "box", "a.png", "-o", "new.png"],
    "gradient": ["a.png", "-o", "new.png"],
    "convert": ["a.png", "-o", "new.bmp"],
    "hog": ["a.png", "-o", "new.npz"],
    "gist": ["a.png", "-o", "new.csv"],
    "sift": ["a.png", "-o", "new.npz"],
    "fisher": ["a.png", "-o", "new.jsonl"],
    "embed": ["--model", MODEL, "a.png", "-o", "new.npz"],
    "features": ["convert", "rows.npz", "-o", "new.npy"],
    "train": ["data", "-q", "--model", "hog-svm", "-o", "new"],
    "models": ["export", MODEL, "-q", "-o", "new"],
}


def prepare(folder):
    """Make two classes of images, one image, a feature file and two models."""
    rng = np.random.default_rng(0)
    for index, name in enumerate(["dark", "light"]):
        for number in range(10):
            path = folder / "data" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = rng.integers(100 * index, 100 * index + 100, (32, 32), dtype=np.uint8)
            path.write_bytes(encode(image, "png"))
    (folder / "a.png").write_bytes(encode(rng.integers(0, 256, (64, 64), dtype=np.uint8), "png"))
    run(folder, "", "hog", "a.png", "-o", "rows.npz")
    for model, name in (("hog-svm", "svm"), ("gist-svm", "svm2")):
        done = run(folder, "", "train", "data", "--model", model, "-o", name)
        assert done.returncode == 0, done.stderr
    return folder


def run(folder, redirected, *arguments, before=""):
    """Run imgtool from a shell with some streams redirected; what the others get is kept."""
    command = ["bash", "-c", f'{before} exec "$@" {redirected}', "bash", *IMGTOOL, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False)
