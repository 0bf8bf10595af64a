"""Fit the sift-fv-svm that ships with imgtool, and measure it once on the held-out part.

    python scripts/train_sift_fv_svm.py fit DATA WORK        # Imagenette: train/ and val/ of class folders
    python scripts/train_sift_fv_svm.py measure DATA WORK    # once, when the fit is final

The settings were chosen on a tenth of the training part, which was left out for that; the model is then fitted to the
whole training part. It is written to WORK/sift-fv-svm@imagenette.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from imgtool.classifiers.classic import SiftFisherSvm
from imgtool.classifiers.registry import create
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import load
from imgtool.evaluation.statistics import wilson

SEED = 0
SETTINGS = {"size": 192, "components": 256, "dimensions": 80, "costs": (0.3, 1.0), "folds": 3}
QUANTISED = ["svm.weights"]
# Of the folders n01440764, n02102040, n02979186, n03000684, n03028079, n03394916, n03417042, n03425413, ...
CLASSES = (
    *("tench", "English springer", "cassette player", "chain saw", "church"),
    *("French horn", "garbage truck", "gas pump", "golf ball", "parachute"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["fit", "measure"])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    arguments = parser.parse_args()
    folder = arguments.work / "sift-fv-svm@imagenette"
    (fit if arguments.what == "fit" else measure)(arguments.data, folder)


def fit(data: Path, folder: Path) -> None:
    """Fit to the whole training part; cross-validation within it chooses the cost and tells what to expect."""
    begin = time.monotonic()
    model = create("sift-fv-svm", **SETTINGS)
    model.fit(load(data).train, seed=SEED, progress=Reporter())
    print(f"fitted in {time.monotonic() - begin:.0f} s: {model.description['history']}", flush=True)
    model.classes = CLASSES
    model.save(folder, overwrite=True, quantise=QUANTISED)


def measure(data: Path, folder: Path) -> None:
    """Measure the model as it is stored on the held-out part; the accuracy goes into its model.json."""
    model = SiftFisherSvm.load(folder)
    accuracy, confusion, milliseconds = measured(model, load(data).test)
    model.description["accuracy"] = accuracy
    model.save(folder, overwrite=True, quantise=QUANTISED)
    print(json.dumps(accuracy), f"{milliseconds:.1f} ms an image")
    print(confusion)


class Reporter:
    """Print a line every half minute."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, done: int, total: int, message: str) -> None:
        if time.monotonic() - self.last > 30:
            self.last = time.monotonic()
            print(f"{done}/{total} {message}", flush=True)


def measured(model: SiftFisherSvm, test: Dataset) -> tuple[dict, np.ndarray, float]:
    """Return accuracy with its interval, the confusion matrix (rows: what it is), and the time for an image."""
    chunks = np.array_split(np.arange(len(test)), max(len(test) // 64, 1))
    scores = np.concatenate([model.scores([test.image(int(index)) for index in chunk]) for chunk in chunks])
    guesses = scores.argmax(axis=1)
    confusion = np.zeros((len(model.classes), len(model.classes)), np.int64)
    np.add.at(confusion, (test.labels, guesses), 1)
    right = int((guesses == test.labels).sum())
    low, high = wilson(right, len(test))
    accuracy = {"right": right, "n": len(test), "value": right / len(test), "interval": [low, high]}
    return accuracy, confusion, 1e3 * sum(model.seconds.values()) / len(test)


if __name__ == "__main__":
    main()
