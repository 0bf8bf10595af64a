"""F5: a child that ends itself before its n-th call that touches files, for every n: the old file or the new one."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import imgtool
from imgtool.batch import temporaries
from imgtool.batch.outputs import write_file
from imgtool.evaluation.store import Predictions, Store
from imgtool.features.codebook import Dictionary, save_codebook
from imgtool.networks import checkpoint

os.chdir(sys.argv[1])
kind, before = sys.argv[2:]
os.mkdir("in")
for name in "ab":
    imgtool.write(f"in/{name}.png", np.random.default_rng(ord(name)).integers(0, 256, (70, 70), dtype=np.uint8))


def image(which):
    imgtool.write("out/a.png", np.full((9, 9), which, np.uint8), overwrite=True)


def features(suffix):
    return lambda which: imgtool.describe_images(
        f"in/{'ab'[which]}.png", "hog", output=f"out/a.{suffix}", overwrite=True, jobs=1
    )


def codebook(which):
    save_codebook("out/a.safetensors", Dictionary(np.eye(4, 9, which, np.float32)), overwrite=True)


def predictions(which):
    Store(Path("out")).put("a", Predictions("a", "0" * 64, ("a", "b"), np.full((1, 2), 0.5 + which / 10)))


def report(which):
    write_file("out/a.html", b"<html>" + bytes([which]), overwrite=True)


def training(which):
    state = checkpoint.Checkpoint({"recipe": {"epochs": 3}}, 1, [], {"a": np.full(9, which, np.float32)})
    checkpoint.save(Path("out/a.checkpoint"), state)


write = {"image": image, "codebook": codebook, "predictions": predictions, "report": report, "checkpoint": training,
         "npz": features("npz"), "npy": features("npy"), "csv": features("csv"), "jsonl": features("jsonl")}[kind]
WATCHED = {"open", "os.rename", "os.remove", "os.mkdir", "os.link", "os.listdir", "os.truncate"}
calls = 0


def hook(name, arguments):
    global calls
    if name in WATCHED and not str(arguments[0]).startswith("in/"):
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)


def content(path):
    if path.suffix in (".safetensors", ".checkpoint"):  # whose metadata come in any order
        return {name: array.tobytes() for name, array in load_file(path).items()}
    return path.read_bytes()


def finished():
    return {path.name: content(path) for path in Path("out").iterdir()
            if path.suffix not in (".tmp", ".partial", ".rows")} if os.path.isdir("out") else {}


def again(which):
    temporaries._swept.clear()
    write(which)


contents = []
for which in (0, 1):
    again(which)
    contents.append(finished())
assert contents[0] != contents[1]
last, seen = 0, set()
while True:
    last += 1
    for path in Path("out").iterdir() if before == "none" else ():
        path.unlink()
    if before == "old":
        again(0)
    child = os.fork()
    if child == 0:
        sys.addaudithook(hook)
        again(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    left = finished()
    seen.add("none" if not left else "old" if left == contents[0] else "new" if left == contents[1] else "neither")
    if status == 0:
        break
    again(1)
    assert {path.name for path in Path("out").iterdir()} == contents[1].keys(), sorted(Path("out").iterdir())
    assert finished() == contents[1]
print(last, sorted(seen))
"""
KINDS = ["image", "codebook", "predictions", "report", "checkpoint", "npz", "npy", "csv", "jsonl"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("before", ["old", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_F5_killed_before_any_call_the_old_or_the_new_file_stands_and_leftovers_are_swept(kind, before, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), kind, before], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    count, seen = done.stdout.strip().split(" ", 1)
    assert int(count) >= 4
    assert seen == f"['new', '{before}']"
