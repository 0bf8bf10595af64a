"""What each model takes in a comparison for an image that it learns from, beside what is guessed before it begins.

    python benchmarks/training_times.py SCENES [--images N] [--model NAME ...]

SCENES: the folder of the fifteen scenes, or another with class folders. For each model, with default settings, a
comparison of its own on N images (default 800), a quarter of them held out: seconds for a training image, labeling and
measuring of times included. The guesses are those of `evaluation/pace.py`, for two cores.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import imgtool
from imgtool.classifiers import registry
from imgtool.datasets.dataset import Dataset
from imgtool.evaluation.pace import SECONDS, guessed_seconds


def seconds_of(name: str, images: Dataset) -> float:
    """Return what one model takes for an image that it learns from."""
    begin = time.perf_counter()
    row = imgtool.compare(name, images).rows()[0]
    assert "n" in row, row
    return (time.perf_counter() - begin) / (len(images) - row["n"])


def main() -> None:
    reader = argparse.ArgumentParser()
    reader.add_argument("scenes")
    reader.add_argument("--images", type=int, default=800)
    reader.add_argument("--model", action="append", dest="models")
    given = reader.parse_args()
    images = imgtool.load_dataset(given.scenes).train
    images = images.subset(np.arange(0, len(images), max(1, len(images) // given.images)))
    print(f"{len(images)} images\n{'model':18}{'ms/image':>10}{'guessed':>10}{'ratio':>8}")
    for name in given.models or [*SECONDS, "lenet", "alexnet", "resnet18"]:
        taken, guess = seconds_of(name, images), guessed_seconds(registry.create(name))
        assert guess is not None
        print(f"{name:18}{1000 * taken:10.1f}{1000 * guess:10.1f}{taken / guess:8.2f}", flush=True)


if __name__ == "__main__":
    main()
