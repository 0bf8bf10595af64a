"""Training by hand: forward, backward and a step of gradient descent, in NumPy alone.

The learning rate is constant and the momentum is the classic one, as in introductory courses; `networks.training` is
faster.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from imgtool.errors import ParameterError, TrainingError
from imgtool.events import Epoch, Events, FirstBatch, Step
from imgtool.networks.declaration import Sequence
from imgtool.networks.numpy_backend import NumpyNetwork
from imgtool.networks.recipe import Augmentation, Recipe
from imgtool.networks.samples import Samples

Arrays = dict[str, np.ndarray]
Batch = tuple[np.ndarray, np.ndarray]  # inputs, labels
History = list[dict[str, float]]


def train_by_hand(
    network: Sequence,
    arrays: Mapping[str, np.ndarray],
    samples: Samples,
    recipe: Recipe,
    augmentation: Augmentation,
    *,
    seed: int = 0,
    events: Events | None = None,
) -> tuple[Arrays, History]:
    """Return the arrays after training from the given ones, and a row for each epoch.

    A row holds epoch (from 1), loss, error, learning_rate, images_per_second and seconds.

    Of the recipe epochs, batch, learning rate, momentum and weight decay count; half of the images are mirrored where
    the augmentation says so. Raises ParameterError for settings that only PyTorch's training knows, TrainingError when
    the loss is not finite.
    """
    _require_simple(recipe, augmentation)
    arrays = {name: array.copy() for name, array in arrays.items()}
    model, sgd = NumpyNetwork(network, arrays), Momentum(arrays, recipe)
    history: History = []
    if events:
        events(FirstBatch(*next(_pixel_batches(samples, recipe, augmentation, [seed, 0]))))
    for epoch in range(1, recipe.epochs + 1):
        start, batches = time.perf_counter(), _batches(samples, recipe, augmentation, [seed, epoch - 1])
        with np.errstate(over="ignore", invalid="ignore"):
            loss, error = _epoch(model, sgd, batches, epoch, -(-len(samples.labels) // recipe.batch), events)
        if not np.isfinite(loss):
            rate = recipe.learning_rate
            raise TrainingError(f"the loss is not finite in epoch {epoch}; try a lower learning rate than {rate:g}")
        seconds = time.perf_counter() - start
        row: dict[str, Any] = {"loss": loss, "error": error, "learning_rate": recipe.learning_rate}
        row |= {"images_per_second": len(samples.labels) / seconds, "seconds": seconds}
        history.append({"epoch": epoch, **row})
        if events:
            events(Epoch(epoch, recipe.epochs, **row))
    return arrays, history


def _epoch(
    model: NumpyNetwork, sgd: Momentum, batches: Iterator[Batch], epoch: int, steps: int, events: Events | None
) -> tuple[float, float]:
    """Take a step for each batch; return mean loss and error."""
    seen, loss, wrong = 0, 0.0, 0
    for step, (inputs, labels) in enumerate(batches, start=1):
        logits = model.forward(inputs, training=True)
        mean, gradient = cross_entropy(logits, labels)
        model.backward(gradient)
        sgd.step(model.gradients())
        seen, loss, wrong = seen + len(labels), loss + mean * len(labels), wrong + _mistakes(logits, labels)
        if events:
            events(Step(epoch, sgd.recipe.epochs, step, steps, loss / seen))
    return loss / seen, wrong / seen


def _require_simple(recipe: Recipe, augmentation: Augmentation) -> None:
    """Raise ParameterError for a setting that training in NumPy does not support."""
    for given, used in (
        (recipe, ("epochs", "batch", "learning_rate", "momentum", "weight_decay", "warm_up")),
        (augmentation, ("horizontal_flip",)),
    ):
        for name, (default, _) in given.meanings().items():
            if name not in used and getattr(given, name) != default:
                raise ParameterError(f"training by hand knows no {name}, got {getattr(given, name)}")


def _batches(samples: Samples, recipe: Recipe, augmentation: Augmentation, seed: list[int]) -> Iterator[Batch]:
    """Yield (n, channels, height, width) float32 of mean 0 and deviation 1, and labels, in random order."""
    mean, deviation = (np.array(values, np.float32) for values in (samples.mean, samples.deviation))
    for images, labels in _pixel_batches(samples, recipe, augmentation, seed):
        inputs = (images.astype(np.float32) / np.float32(255) - mean) / deviation
        yield np.ascontiguousarray(inputs.transpose(0, 3, 1, 2)), labels


def _pixel_batches(samples: Samples, recipe: Recipe, augmentation: Augmentation, seed: list[int]) -> Iterator[Batch]:
    """Yield (n, height, width, channels) uint8, and labels, in random order."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(samples.labels))
    for begin in range(0, len(order), recipe.batch):
        part = order[begin : begin + recipe.batch]
        images = samples.images[part]
        if augmentation.horizontal_flip:
            images = np.where(generator.random(len(part))[:, None, None, None] < 0.5, images[:, :, ::-1], images)
        yield images, samples.labels[part]


def _mistakes(logits: np.ndarray, labels: np.ndarray) -> int:
    """Return for how many images the largest logit is not that of the label."""
    return int((logits.argmax(axis=1) != labels).sum())


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean of -log softmax(logits)[label], and its gradient with respect to the logits."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    rows = np.arange(len(labels))
    loss = float((log_sums - shifted[rows, labels]).mean())
    gradient = np.exp(shifted - log_sums[:, None])
    gradient[rows, labels] -= 1
    return loss, gradient / len(labels)


class Momentum:
    """Gradient descent with momentum: v = momentum v + g + weight_decay w; w = w - learning_rate v (PyTorch's SGD)."""

    def __init__(self, arrays: Mapping[str, np.ndarray], recipe: Recipe) -> None:
        self.arrays, self.recipe = arrays, recipe
        self._velocity: Arrays = {}

    def step(self, gradients: Mapping[str, np.ndarray]) -> None:
        """Change the arrays in place by their gradients."""
        for name, slope in gradients.items():
            weight = self.arrays[name]
            gradient = slope + self.recipe.weight_decay * weight
            velocity = self._velocity.get(name)
            self._velocity[name] = gradient if velocity is None else self.recipe.momentum * velocity + gradient
            weight -= self.recipe.learning_rate * self._velocity[name]
