"""Milliseconds of processor time for an image to pass a network, on one thread: in NumPy and in PyTorch.

    OPENBLAS_NUM_THREADS=1 python benchmarks/networks.py [ROUNDS]

The networks take turns with each batch; the table gives medians over the rounds (21 unless told), and the median of the
ratios of NumPy's time to PyTorch's of the same round.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

import imgtool
from imgtool.classifiers.network import NetworkClassifier

NAMES = ("efficientnet-lite0@imagenet", "alexnet@imagenette", "lenet@cifar10")
BATCHES = (1, 32)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    torch.set_num_threads(1)
    print(f"{'network':<30} {'batch':>5} {'NumPy':>8} {'PyTorch':>8} {'ratio':>6}   ms an image, processor time")
    for name in NAMES:
        models = [opened(name, backend) for backend in ("numpy", "torch")]
        for batch in BATCHES:
            squares = np.random.default_rng(0).integers(0, 256, (batch, *shape(models[0])), dtype=np.uint8)
            calls = [passing(model, list(squares)) for model in models]
            times = [[seconds(call) * 1000 / batch for call in calls] for _ in range(rounds + 1)][1:]
            numpy, pytorch = (statistics.median(each) for each in zip(*times, strict=True))
            ratio = statistics.median(one / other for one, other in times)
            print(f"{name:<30} {batch:>5} {numpy:8.2f} {pytorch:8.2f} {ratio:6.2f}")


def opened(name: str, backend: str) -> NetworkClassifier:
    """Return a network that ships."""
    model = imgtool.open_model(name, backend=backend)
    assert isinstance(model, NetworkClassifier)
    return model


def shape(model: NetworkClassifier) -> tuple[int, int, int]:
    """Return (side, side, channels) of a prepared image."""
    return model.preprocessing.side, model.preprocessing.side, model.preprocessing.channels


def passing(model: NetworkClassifier, squares: list[np.ndarray]) -> Callable[[], object]:
    """Return what computes probabilities of prepared images."""
    return lambda: model.decide(model.features(squares))


def seconds(call: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
