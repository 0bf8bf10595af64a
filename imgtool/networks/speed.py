"""How many images a second pass a network, in inference and in training; in NumPy here, `speed_torch` has PyTorch."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgtool.networks.channels_last import NumpyRunner
from imgtool.networks.declaration import Sequence, Shape
from imgtool.networks.numpy_backend import NumpyNetwork
from imgtool.networks.numpy_training import Nesterov, cross_entropy
from imgtool.networks.recipe import Recipe

WARM_UPS = 2  # steps that are not timed: memory is laid out, libraries choose their ways
RATE = 1e-4  # of learning: the weights stay about where they are


@dataclass(frozen=True)
class Load:
    """What is timed: a network with its arrays, and random images of a shape, a batch at a time, for so long."""

    network: Sequence
    arrays: Mapping[str, np.ndarray]
    shape: Shape
    batch: int = 32
    seconds: float = 1.0

    def images(self) -> np.ndarray:
        """Return a batch of images (n, *shape) float32."""
        return np.random.default_rng(0).standard_normal((self.batch, *self.shape), np.float32)

    def labels(self) -> np.ndarray:
        """Return a label for each image."""
        return np.random.default_rng(1).integers(0, self.network.output_shape(self.shape)[0], self.batch)

    def rate(self, step: Callable[[], object]) -> float:
        """Return images a second of a step that takes a batch and returns when it is done."""
        for _ in range(WARM_UPS):
            step()
        begin, count, passed = time.perf_counter(), 0, 0.0
        while passed < self.seconds or not count:
            step()
            count, passed = count + 1, time.perf_counter() - begin
        return self.batch * count / passed


def inference_rate(load: Load) -> float:
    """Return images a second from prepared images to logits."""
    runner, images = NumpyRunner(load.network, load.arrays), load.images()
    return load.rate(lambda: runner.logits(runner.features(images)))


def training_rate(load: Load) -> float:
    """Return images a second of forward and backward passes and steps of gradient descent."""
    arrays = {name: array.copy() for name, array in load.arrays.items()}
    model, descent = NumpyNetwork(load.network, arrays), Nesterov(arrays, Recipe())
    images, labels, generator = load.images(), load.labels(), np.random.default_rng(0)

    def step() -> None:
        _, gradient = cross_entropy(model.forward(images, training=True, generator=generator), labels)
        model.backward(gradient)
        descent.step(model.gradients(), RATE)

    return load.rate(step)


def processor_name() -> str:
    """Return what this machine's processor is called by its maker, as far as the system says so."""
    with suppress(OSError):
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()
