"""First weights: drawn so that activations keep their size from layer to layer.

Weights are normal with variance 2 / inputs (He et al., ICCV 2015), those of the last layer and of the first of two
low-rank factors, which no ReLU follows, 1 / inputs; biases are 0. Batch normalization begins with weight 1 and with
the statistics of one forward pass of random images, so that a network predicts sensibly before its first step.

Each tensor has a generator of its own, seeded by its name: the same name has the same numbers in every network where
it has the same shape, on both backends.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection

import numpy as np

from imgtool.networks.declaration import Sequence, Shape
from imgtool.networks.numpy_backend import NumpyNetwork

STATISTICS_IMAGES = 8


def draw_arrays(
    network: Sequence,
    seed: int,
    shape: Shape | None = None,
    *,
    deviation: float | None = None,
    biases_of_one: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Return fresh float32 arrays, tensors and buffers, by their full names.

    shape: of the images, (channels, rows, columns), for the statistics of batch normalization; without it their means
    are 0 and their variances 1. deviation: of all weights, in the place of what their inputs ask for; biases_of_one:
    layers whose biases begin with 1.
    """
    last = [network.last_learned()]
    arrays = {}
    for name, layer in network.layers():
        for key, size in layer.arrays().items():
            full = f"{name}.{key}"
            if key in ("bias", "running_mean"):
                arrays[full] = np.full(size, name in biases_of_one and key == "bias", np.float32)
            elif len(size) == 1:
                arrays[full] = np.ones(size, np.float32)
            else:
                gain = 1 if name in last or key == "right" else 2
                scale = np.float32(deviation or math.sqrt(gain / math.prod(size[1:])))
                arrays[full] = _generator(seed, full).standard_normal(size, np.float32) * scale
    if shape and network.buffers():
        _set_statistics(network, arrays, seed, shape)
    return arrays


def _set_statistics(network: Sequence, arrays: dict[str, np.ndarray], seed: int, shape: Shape) -> None:
    """Set the running statistics in place to those of a batch of random images.

    They differ in brightness as well as in each pixel: of noise alone, deep layers see nearly the same in every image,
    and what differs there in photographs would come out many times too large.
    """
    generator = _generator(seed, "images")
    pixels = generator.standard_normal((STATISTICS_IMAGES, *shape), np.float32)
    brightness = generator.standard_normal((STATISTICS_IMAGES, shape[0], 1, 1), np.float32)
    exact = {name: array.astype(np.float64) for name, array in arrays.items()}
    NumpyNetwork(network, exact).set_statistics((pixels + brightness).astype(np.float64))
    for name in network.buffers():
        arrays[name][:] = exact[name]


def _generator(seed: int, name: str) -> np.random.Generator:
    """Return the generator of one tensor."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
