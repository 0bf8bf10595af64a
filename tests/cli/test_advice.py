"""The advice in messages works: each is provoked, then followed, and the second command succeeds (row F25).

Every key of `messages.ADVICE` is here, and advice that stands in the messages of commands.
"""

import importlib.util
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.cli.messages import ADVICE
from imgtool.datasets import feature_file
from imgtool.datasets.feature_file import FeatureTable
from imgtool.image import encode


class Case(NamedTuple):
    """A command that fails, what its message says, and the commands that follow from it."""

    wrong: str
    says: str
    right: tuple[str, ...]
    status: int = 1


CASES = {
    "exists": Case("filter --kernel box a.png -o there.png", "exists; --force", ("{wrong} --force",)),
    "truncated": Case("filter --kernel box cut.png -o b.png", "--allow-truncated", ("{wrong} --allow-truncated",)),
    "max-pixels": Case("info --max-pixels 100 a.png", "--max-pixels", ("info --max-pixels 1000000 a.png",)),
    "unfinished": Case("hog a.png -o left.npz", "--resume", ("{wrong} --resume", "hog a.png -o left.npz --force")),
    "other-run": Case(
        "hog --cell 4 a.png -o left.npz --resume", "--force begins anew", ("hog --cell 4 a.png -o left.npz --force",)
    ),
    "resize": Case(
        "hog a.png small.png -o f.npz", "--resize", ("hog a.png small.png --resize 64x64 -o f.npz --force",)
    ),
    "crop": Case("info --pixels --format table big.png", "--crop X,Y,WxH", ("info --pixels --crop 5,5,3x3 big.png",)),
    "several": Case(
        "filter --kernel box a.png small.png",
        "name a folder or template with -o",
        ("{wrong} -o out/", "{wrong} -o {{stem}}.box.png"),
        2,
    ),
    "among": Case("evaluate digits --model lenet@mnist -q", "--among data", ("{wrong} --among data",)),
    "background": Case(
        "convert clear.png -o c.jpg",
        "--background COLOR",
        ("{wrong} --background white", "convert clear.png -o c.webp"),
    ),
    "depth": Case(
        "convert deep.png -o d.jpg",
        "imgtool convert --depth 8",
        ("convert --depth 8 deep.png -o d.jpg", "convert deep.png -o d.tif", "convert deep.png -o d.jp2"),
    ),
    "float": Case(
        "convert deep.png -o d.pfm",
        "imgtool convert --depth float",
        ("convert --depth float deep.png -o d.pfm",),
    ),
    "size": Case(
        "convert wide.png -o w.webp",
        "holds 16383 a side; png, jpeg, bmp, tiff, jp2, pnm, pam, npy hold more",
        ("convert --size 9000x wide.png -o w.webp", "convert wide.png -o w.tif", "convert wide.png -o w.bmp"),
    ),
    "lossless": Case(
        "convert deep.png --quality 50 -o d.jp2",
        "leave out --quality, or convert with --depth 8",
        ("convert deep.png -o d.jp2", "{wrong} --depth 8"),
    ),
    "method": Case(
        "filter --kernel laplacian-8 --method separable a.png -o m.png",
        "use --method direct or fft",
        (
            "filter --kernel laplacian-8 --method direct a.png -o m.png",
            "filter --kernel laplacian-8 --method fft a.png -o n.png",
        ),
        2,
    ),
    "train": Case(
        "classify --model two-layer a.png",
        "imgtool train makes others",
        (
            "train classes --model two-layer --epochs 1 -o mine",
            "classify --model ./mine a.png",
            "classify --model alexnet@imagenette a.png",
        ),
        2,
    ),
    "skip-bad": Case(
        "train bad --model two-layer --epochs 1 -o model",
        "--skip-bad",
        ("{wrong} --skip-bad",),
    ),
    "no-validation": Case(
        "train alone --model two-layer --epochs 1 -q -o model",
        "--validation-share 0",
        ("{wrong} --validation-share 0",),
    ),
    "levels": Case(
        "classify -q --model alexnet bright.npy",
        "imgtool convert --depth 8 --range stretch",
        ("convert --depth 8 --range stretch bright.npy -o bright.png", "classify --model alexnet bright.png"),
    ),
    "dictionary": Case(
        "fisher --encoding sparse a.png",
        "imgtool features fit --dictionary",
        (
            "features fit --dictionary 4 --samples 300 a.png -o d.safetensors",
            "fisher --encoding sparse --codebook d.safetensors a.png",
        ),
        1,
    ),
    "vectors": Case(
        "train gist.npz --model pixels-svm -o vectors -q",
        "imgtool train fits hog-svm, gist-svm",
        ("train gist.npz --model gist-svm -o vectors",),
    ),
    "square": Case(
        "train oblong.npz --model hog-svm -o square -q",
        "not resized to a square, as for hog-svm; imgtool hog --resize 128x128 --orientations 18 --cell 16 makes",
        (
            "hog --resize 128x128 --orientations 18 --cell 16 classes -o square.npz",
            "train square.npz --model hog-svm -o square",
        ),
    ),
    "layers": Case(
        "embed --model lenet --layer pol1 a.png",
        "no layer 'pol1', perhaps pool1; imgtool models layers",
        ("models layers lenet", "embed --model lenet --layer pool1 a.png"),
        2,
    ),
    "by-hand": Case(
        "train classes --model lenet --epochs 1 -o by-hand",
        "--backend numpy trains it by hand, without",
        ("{wrong} --backend numpy",),
        2,
    ),
    # advice in the words of commands and the library
    "jpeg is small": Case(
        "convert wider.png -o w.jpg",
        "holds 65500 a side",
        ("convert --size x1 wider.png -o w.png", "convert wider.png -o w.png"),
    ),
    "page": Case("info --page 9 a.png", "page", ("info --page 1 a.png",)),
    "kernel": Case(
        "filter --kernel sobel a.png -o k.png", "did you mean sobel-x?", ("filter --kernel sobel-x a.png -o k.png",), 2
    ),
    "one kernel": Case(
        "filter a.png",
        "--kernel NAME, --kernel-file FILE or --matrix ROWS (--list shows names)",
        ("filter --list", 'filter --matrix "1 0 -1" a.png -o k.png'),
        2,
    ),
    "normalize": Case(
        "filter --kernel sobel-x --normalize sum a.png -o k.png",
        "abs divides by their absolute sum",
        ("filter --kernel sobel-x --normalize abs a.png -o k.png",),
        2,
    ),
    "json": Case(
        "filter --kernel box a.png --json -o -",
        "--json goes with -o FILE",
        ("filter --kernel box a.png --json -o k.png",),
        2,
    ),
    "degrees": Case(
        "gradient --degrees a.png -o k.npy",
        "--show phase and --range raw",
        ("gradient --degrees --show phase --range raw a.png -o k.npy",),
        2,
    ),
    "raw": Case(
        "filter --kernel box --range raw a.png -o k.png",
        "tiff, npy can; or imgtool convert --depth 8",
        (
            "filter --kernel box --range raw a.png -o k.npy",
            "convert --depth 8 k.npy -o k.png",
            "filter --kernel box --range raw a.png -o k.tif",
        ),
    ),
    "picture of hsv": Case(
        "convert --color hsv a.png -o h.xyz",
        ".npy",
        ("convert --color hsv a.png -o h.npy", "convert --color hsv a.png -o h.png"),
        2,
    ),
    "color": Case(
        "convert --from lab a.npy -o b.png", "--from", ("convert --from lab --color rgb --depth 8 lab.npy -o b.png",), 2
    ),
    "null": Case("info --files-from zeros", "-0 takes what lies between them", ("info --files-from zeros -0",), 2),
    "nodata": Case(
        "filter --kernel sobel-x --nodata 0 a.png -o k.png",
        "add up to more than 0",
        ("filter --kernel box --nodata 0 a.png -o k.png",),
        2,
    ),
    "trained": Case(
        "train classes --model lenet@mnist -o tuned",
        "training takes an architecture: lenet; --init lenet@mnist",
        ("train classes --model lenet --init lenet@mnist --epochs 1 -o tuned",),
        2,
    ),
    "completion": Case(
        "completion", "name a shell: bash, zsh, fish", ("completion bash", "completion zsh", "completion fish"), 2
    ),
    "a border's value": Case(
        "filter --kernel box --border-value 9 a.png -o k.png",
        "--border-value goes with --border clip",
        ("filter --kernel box --border-value 9 --border clip a.png -o k.png",),
        2,
    ),
    "resample": Case(
        "convert --resample box a.png -o k.png",
        "--resample goes with --size",
        ("convert --resample box --size 9x9 a.png -o k.png",),
        2,
    ),
}
TORCH = {"trained"}
CLASSIC = {"dictionary"}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """A folder that has what the commands name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHELL", "/bin/sh")
    rng = np.random.default_rng(0)
    picture = lambda *shape, dtype="uint8": rng.integers(0, 256, shape).astype(dtype)  # noqa: E731
    images = {
        "a.png": picture(64, 64, 3),
        "small.png": picture(40, 40, 3),
        "there.png": picture(9, 9),
        "big.png": picture(400, 400),
        "clear.png": picture(16, 16, 4),
        "deep.png": picture(40, 40, 3, dtype="uint16") * 257,
        "wide.png": picture(1, 17_000),
        "wider.png": picture(1, 70_000),
    }
    for name, image in images.items():
        Path(name).write_bytes(encode(image, "png"))
    Path("cut.png").write_bytes(encode(picture(200, 200), "png")[:20_000])
    np.save("bright.npy", picture(40, 40, 3).astype(np.float32))
    np.save("lab.npy", rng.random((9, 9, 3)) * 50)
    np.save("a.npy", rng.random((9, 9, 3)))
    Path("zeros").write_bytes(b"a.png\0small.png\0")
    for data in ("classes", "bad"):
        for label in "xyz":
            Path(data, label).mkdir(parents=True)
            for number in range(4):
                Path(data, label, f"{number}.png").write_bytes(encode(picture(32, 32, 3), "png"))
    for label in ("1", "ten"):  # one that a model of digits knows, and one that it does not
        Path("digits", label).mkdir(parents=True)
        Path("digits", label, "0.png").write_bytes(encode(picture(28, 28), "png"))
        Path("alone", label).mkdir(parents=True)
        Path("alone", label, "0.png").write_bytes(encode(picture(28, 28), "png"))
    vectors = FeatureTable(rng.random((12, 512), np.float32), list("abcdefghijkl"), list("xyz") * 4)
    of_gist = {"size": 256, "orientations": [8, 8, 8, 8], "blocks": 4, "prefilter": 4.0, "color": False}
    of_hog = {"variant": "skimage", "orientations": 9, "cell": [8, 8]}
    for name, descriptor, parameters in (("gist", "gist", of_gist), ("oblong", "hog", of_hog)):
        meta = {"descriptor": descriptor, "parameters": parameters}
        feature_file.save(f"{name}.npz", replace(vectors, meta=meta))
    Path("bad/x/page.png").write_text("<html>no picture</html>")


def leave_a_run(name):
    """Leave what a run that was killed leaves: its journal."""
    slow = "import time, imgtool.features.hog as hog; hog.hog = lambda *a, **k: time.sleep(60)"
    start = (
        f"import sys; sys.argv = ['imgtool', 'hog', 'a.png', '-o', {name!r}]; from imgtool.cli import main; main.run()"
    )
    line = f"{slow}\n{start}"
    process = subprocess.Popen([sys.executable, "-c", line])
    for _ in range(600):
        if any(name in each.name and each.name != name for each in Path().iterdir()):
            break
        signal.sigtimedwait([], 0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def run(line):
    return execute(shlex.split(line))


def test_every_advice_is_followed_somewhere():
    elsewhere = {
        "resume",
        "fetch",
        "fetch-again",
    }  # tests/cli/test_interruptions.py, tests/classifiers/test_fetching.py
    assert ADVICE.keys() - CASES.keys() == elsewhere


@pytest.mark.parametrize("name", CASES)
def test_F25_advice_that_is_followed_succeeds(name, capsys, monkeypatch):
    case = CASES[name]
    if name in TORCH:
        pytest.importorskip("torch", reason="needs the extra 'torch'")
    if name in CLASSIC:
        pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    if name == "by-hand":
        real = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else real(name, *rest)
        )
    if name in ("unfinished", "other-run"):
        leave_a_run("left.npz")
        capsys.readouterr()
    assert run(case.wrong) == case.status
    err = capsys.readouterr().err
    assert case.says in err
    assert err.count("\n") == (2 if name == "skip-bad" else 1)  # each file, and how many
    for line in case.right:
        words = shlex.split(line.format(wrong=case.wrong))
        if "-o" in words and words[words.index("-o") + 1] not in case.wrong.split("-o")[0]:
            Path(words[words.index("-o") + 1]).unlink(missing_ok=True) if "--force" not in words else None
        assert run(line.format(wrong=case.wrong)) == 0, capsys.readouterr().err
