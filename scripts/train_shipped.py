"""Train the networks that ship with imgtool, from the data sets that their cards name.

    python scripts/train_shipped.py alexnet DATA WORK        # Imagenette: train/ and val/ of class folders
    python scripts/train_shipped.py alexnet-thin DATA WORK   # after alexnet: thin fc6 and fc7, 8-bit values
    python scripts/train_shipped.py lenet-mnist DATA WORK    # the four IDX files
    python scripts/train_shipped.py lenet-cifar10 DATA WORK  # train/ and test/ of class folders

Settings were chosen on images held out of the training part; the held-out part of the data set is looked at once, at
the end, when the model folder is written to WORK/NAME. Checkpoints lie in WORK; a stopped run goes on from them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from scipy.sparse.linalg import svds

from imgtool.classifiers.network import AlexNet, NetworkClassifier
from imgtool.classifiers.registry import create
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import load
from imgtool.datasets.split import split
from imgtool.evaluation.statistics import wilson
from imgtool.events import Event
from imgtool.networks.samples import Samples
from imgtool.networks.torch_backend import arrays_of, build, load_arrays
from imgtool.networks.training import train

SEED = 0
IMAGENETTE = {
    "n01440764": "tench", "n02102040": "English springer", "n02979186": "cassette player", "n03000684": "chain saw",
    "n03028079": "church", "n03394916": "French horn", "n03417042": "garbage truck", "n03425413": "gas pump",
    "n03445777": "golf ball", "n03888257": "parachute",
}  # fmt: skip
ALEXNET = {"epochs": 45, "batch": 128, "rate": 0.02, "bf16": True}
THIN = {"rank": 192, "epochs": 20, "batch": 128, "rate": 0.01, "bf16": True}
THIN_LAYERS = ("classifier.1", "classifier.4")
MNIST = {
    "channels": 1,
    "epochs": 30,
    "batch": 64,
    "rate": 0.03,
    "mirror": False,
    "shift": 0.08,
    "zoom": 0.8,
    "stretch": 1.15,
}
CIFAR = {"epochs": 120, "batch": 64, "rate": 0.02, "shift": 0.125, "zoom": 0.9}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["alexnet", "alexnet-thin", "lenet-mnist", "lenet-cifar10"])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    {"alexnet": full, "alexnet-thin": thin, "lenet-mnist": mnist, "lenet-cifar10": cifar}[arguments.what](
        arguments.data, arguments.work
    )


def full(data: Path, work: Path) -> None:
    """AlexNet with all its weights: kept in WORK for the thin form, shipped nowhere."""
    model = create("alexnet", **ALEXNET)
    fitted(model, load(data).train, work / "alexnet.ckpt", share=0.05)
    model.save(work / "alexnet-full", overwrite=True)


def thin(data: Path, work: Path) -> None:
    """Write fc6 and fc7 as products of two thin matrices by truncated SVD, train on in that form, ship in 8 bits."""
    teacher = AlexNet.load(work / "alexnet-full")
    model = create("alexnet", **THIN)
    start = dict(teacher.arrays())
    for name in THIN_LAYERS:
        start |= truncated(name, start.pop(f"{name}.weight"), THIN["rank"])
    parts = load(data)
    fitted(model, parts.train, work / "alexnet-thin.ckpt", share=0.05, start=start)
    finish(
        model,
        parts.test,
        work / "alexnet@imagenette",
        IMAGENETTE,
        quantise=[n for n in model.arrays() if "bias" not in n],
    )
    correct = hits(teacher, parts.test)
    print(f"the full model: {correct} of {len(parts.test)} right, {correct / len(parts.test):.4f}")


def mnist(data: Path, work: Path) -> None:
    """LeNet on the digits."""
    parts, model = load(data), create("lenet", **MNIST)
    fitted(model, parts.train, work / "lenet-mnist.ckpt")
    finish(model, parts.test, work / "lenet@mnist")


def cifar(data: Path, work: Path) -> None:
    """LeNet on small color photographs."""
    parts, model = load(data), create("lenet", **CIFAR)
    fitted(model, parts.train, work / "lenet-cifar10.ckpt")
    finish(model, parts.test, work / "lenet@cifar10")


def truncated(name: str, weight: np.ndarray, rank: int) -> dict[str, np.ndarray]:
    """Return the best product of two matrices of this rank (Eckart and Young), the singular values shared."""
    u, s, v = svds(weight.astype(np.float32), k=rank, v0=np.ones(min(weight.shape), np.float32))
    root = np.sqrt(s)
    return {f"{name}.left": u * root, f"{name}.right": root[:, None] * v}


def fitted(
    model: NetworkClassifier, dataset: Dataset, checkpoint: Path, *, share: float = 0.0, start: dict | None = None
) -> None:
    """Train, watching a held-out share of the training part; start from given weights or fresh ones."""
    model.classes = dataset.classes
    rest, held = split(dataset, share, SEED) if share else (dataset, None)
    samples = model.samples(rest)
    watched = None
    if held is not None:
        watched = Samples(model.samples(held).images, held.labels, samples.mean, samples.deviation)
    module = build(model.network(), seed=SEED)
    if start:
        load_arrays(module, start)
    begin = time.monotonic()
    recipe, augmentation = model.recipe()
    history = train(
        module, samples, recipe, augmentation, seed=SEED, validation=watched, checkpoint=checkpoint, events=Reporter()
    )
    model._take(arrays_of(module), rest, samples.mean, samples.deviation, SEED, history)
    print(f"trained in {time.monotonic() - begin:.0f} s: {history[-1]}")


class Reporter:
    """Print a line every half minute."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, event: Event) -> None:
        if time.monotonic() - self.last > 30:
            self.last = time.monotonic()
            print(event, flush=True)


def hits(model: NetworkClassifier, test: Dataset) -> int:
    """Return how many images of the held-out part get their label, through the NumPy backend."""
    model.backend = "numpy"
    guesses = [
        model.scores([test.image(i) for i in range(b, min(b + 64, len(test)))]).argmax(1)
        for b in range(0, len(test), 64)
    ]
    return int((np.concatenate(guesses) == test.labels).sum())


def finish(
    model: NetworkClassifier, test: Dataset, folder: Path, names: dict[str, str] | None = None, quantise: list[str] = ()
) -> None:
    """Save, open what was saved, and measure that on the held-out part; the accuracy goes into model.json."""
    if names:
        model.classes = tuple(names[name] for name in model.classes)
    model.save(folder, overwrite=True, quantise=quantise)
    correct = hits(type(model).load(folder), test)
    low, high = wilson(correct, len(test))
    accuracy = {"right": correct, "n": len(test), "value": correct / len(test), "interval": [low, high]}
    model.description["accuracy"] = accuracy
    model.save(folder, overwrite=True, quantise=quantise)
    print(folder.name, json.dumps(accuracy))


if __name__ == "__main__":
    main()
