"""Gradients that are derived by hand against numeric ones: each layer alone, then the whole network.

A tensor w is moved by a small step h along a random direction d. By the chain rule the loss then changes by h <g, d>,
where g is the gradient from the backward pass; its own difference quotient says what it really changes by. All numbers
of a tensor move at once, so that any wrong one shows.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from imgtool.networks.declaration import Combinator, Identity, Sequence, Shape
from imgtool.networks.numpy_backend import NumpyNetwork
from imgtool.networks.numpy_training import cross_entropy

Arrays = dict[str, np.ndarray]
Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]  # of an output: its value, and the gradient

IMAGES = 4  # in a batch
DIRECTIONS = 3  # of which the middle difference counts: a step along one of them may cross the kink of a ReLU
STEP = 1e-8
STEP_OF_ALL = 1e-9  # where all tensors move at once, which crosses more kinks
TOLERANCE = 1e-5  # of the gradient's length; float64 leaves about 1e-7


def gradient_check(
    network: Sequence, arrays: Mapping[str, np.ndarray], shape: Shape, *, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield a row for the input and for each tensor of every layer, then one for the whole network's cross-entropy.

    Rows hold layer, kind, tensor, difference (between derived and numeric slope, relative to the gradient's length) and
    ok. Everything is in float64 and in training mode; a layer's input is random, its arrays are those given.
    """
    generator = np.random.default_rng(seed)
    for name, layer, before, after in network.shapes(shape):
        if isinstance(layer, Combinator | Identity):
            continue
        own = {f"layer.{key}": arrays[f"{name}.{key}"] for key in layer.arrays()}
        check = _Check(Sequence(layer=layer), own, _values((IMAGES, *before), generator), generator)
        check.loss = _weighted(generator.standard_normal((IMAGES, *after)))
        for key, difference in check.differences().items():
            yield _row(name, type(layer).__name__, key.removeprefix("layer."), difference)
    check = _Check(network, arrays, generator.standard_normal((IMAGES, *shape)), generator)
    labels = np.arange(IMAGES) % network.output_shape(shape)[0]
    check.loss = lambda y: cross_entropy(y, labels)
    yield _row("all", "", "all", check.differences(together=True)["all"])


def _row(layer: str, kind: str, tensor: str, difference: float) -> dict[str, Any]:
    """Return the row of one tensor."""
    return {"layer": layer, "kind": kind, "tensor": tensor, "difference": difference, "ok": difference <= TOLERANCE}


def _values(shape: Shape, generator: np.random.Generator) -> np.ndarray:
    """Return values from -4 to 8 in random order, all different, so that a step crosses no kink and no maximum."""
    return generator.permutation(np.linspace(-4, 8.01, math.prod(shape))).reshape(shape)


def _weighted(factors: np.ndarray) -> Loss:
    """Return the loss that adds up an output with these factors, which are its gradient."""
    return lambda y: (float((y * factors).sum()), factors)


class _Check:
    """A network with the input and the arrays that are moved."""

    loss: Loss

    def __init__(
        self, network: Sequence, arrays: Mapping[str, np.ndarray], x: np.ndarray, generator: np.random.Generator
    ) -> None:
        own = {name: array.astype(np.float64) for name, array in arrays.items()}
        self._model, self._moved = NumpyNetwork(network, own), {"input": x, **own}
        self._generator, self._seed = generator, int(generator.integers(2**32))

    def differences(self, *, together: bool = False) -> dict[str, float]:
        """Return the relative difference of the slopes for the input and each tensor, or for "all" of them at once."""
        gradients = {"input": self._model.backward(self._forward()[1]), **self._model.gradients()}
        step = STEP_OF_ALL if together else STEP
        groups = {"all": gradients} if together else {name: {name: each} for name, each in gradients.items()}
        result = {}
        for name, group in groups.items():
            length = math.sqrt(sum(float((each**2).sum()) for each in group.values()))
            gap = statistics.median(self._gap(group, step) for _ in range(DIRECTIONS))
            result[name] = gap / length if length else math.inf if gap else 0.0
        return result

    def _forward(self) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient; dropout drops the same units each time."""
        output = self._model.forward(self._moved["input"], training=True, generator=np.random.default_rng(self._seed))
        return self.loss(output)

    def _gap(self, gradients: Arrays, step: float) -> float:
        """Return the distance between derived and numeric slope of the loss along one random direction."""
        directions = {name: self._generator.standard_normal(each.shape) for name, each in gradients.items()}
        derived = sum(float((gradients[name] * direction).sum()) for name, direction in directions.items())
        above = self._loss_after(directions, step)
        below = self._loss_after(directions, -2 * step)
        self._move(directions, step)
        return abs(derived - (above - below) / (2 * step))

    def _loss_after(self, directions: Arrays, step: float) -> float:
        """Return the loss after a step, which stays taken."""
        self._move(directions, step)
        return self._forward()[0]

    def _move(self, directions: Arrays, step: float) -> None:
        for name, direction in directions.items():
            self._moved[name] += step * direction
