"""Training by hand: forward, backward and a step of gradient descent, in NumPy alone.

Batches, learning rates and steps are those of `networks.training`, which is faster: from the same seed, and without
random changes of the images, both end with the same weights but for rounding. Layers are so small that one thread is
fastest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np

from imgtool.batch.library_threads import one_library_thread
from imgtool.errors import ParameterError, TrainingError
from imgtool.events import Epoch, Events, FirstBatch, Step
from imgtool.networks.declaration import Sequence
from imgtool.networks.history import History, best_epoch
from imgtool.networks.numpy_backend import NumpyNetwork
from imgtool.networks.preprocessing import standardized
from imgtool.networks.recipe import MAX_GRADIENT_NORM, Augmentation, Recipe
from imgtool.networks.samples import Samples
from imgtool.networks.schedules import rate_after

Arrays = dict[str, np.ndarray]
Batch = tuple[np.ndarray, np.ndarray]  # images (n, height, width, channels) float32 in 0..255, labels

KNOWN = {  # settings that training by hand has; others must be as they are by default
    *("epochs", "batch", "learning_rate", "momentum", "weight_decay", "label_smoothing"),
    *("schedule", "warm_up", "drop_epochs", "drop_factor"),
    *("horizontal_flip", "shift"),
}
VALIDATION_BATCH = 256  # images


def train_by_hand(
    network: Sequence,
    arrays: Mapping[str, np.ndarray],
    samples: Samples,
    recipe: Recipe,
    augmentation: Augmentation,
    *,
    seed: int = 0,
    validation: Samples | None = None,
    events: Events | None = None,
) -> tuple[Arrays, History]:
    """Return the arrays after training from the given ones, and a row for each epoch, as `networks.training.train` has.

    With validation images the arrays are those of the `best_epoch`. Raises ParameterError for settings that only
    PyTorch's training knows, TrainingError when the loss or its gradient is not finite.
    """
    require_known(recipe, augmentation)
    run = _Run(network, arrays, samples, recipe, augmentation, seed, events)
    history, best = History(), run.arrays
    if events:
        images, labels = next(run.batches(0))
        events(FirstBatch(np.rint(images).astype(np.uint8), labels))
    for epoch in range(recipe.epochs):
        start = time.perf_counter()
        with one_library_thread(), np.errstate(over="ignore", invalid="ignore"):  # the latter is told in one line
            row: dict[str, Any] = {"epoch": epoch + 1, **run.steps(epoch)}
            row["images_per_second"] = len(samples.labels) / (time.perf_counter() - start)
            if validation is not None:
                row["validation_loss"], row["validation_error"] = run.loss_and_error(validation)
        row["seconds"] = time.perf_counter() - start
        history.append(row)
        if best_epoch(history) == epoch + 1:
            best = {name: array.copy() for name, array in run.arrays.items()}
        if events:
            events(Epoch(epochs=recipe.epochs, **row))
    return best, history


def require_known(recipe: Recipe, augmentation: Augmentation) -> None:
    """Raise ParameterError for a setting that training in NumPy does not support."""
    for given in (recipe, augmentation):
        for name, (default, _) in given.meanings().items():
            if name not in KNOWN and (value := getattr(given, name)) != default:
                text = f"training in NumPy has no {name}={value}; backend torch has"
                raise ParameterError(text, parameters=("backend",))


class _Run:
    """One training: what is trained, on what, and how."""

    def __init__(
        self,
        network: Sequence,
        arrays: Mapping[str, np.ndarray],
        samples: Samples,
        recipe: Recipe,
        augmentation: Augmentation,
        seed: int,
        events: Events | None,
    ) -> None:
        self.arrays = {name: array.copy() for name, array in arrays.items()}
        self.model, self.descent = NumpyNetwork(network, self.arrays), Nesterov(self.arrays, recipe)
        self.samples, self.recipe, self.augmentation = samples, recipe, augmentation
        self.seed, self.events = seed, events

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the epoch's images, in random order and changed at random, and labels."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.samples.labels))
        generator = np.random.default_rng([self.seed, epoch, 1])
        parts = np.array_split(order, max(1, math.ceil(len(order) / self.recipe.batch)))
        for part, pixels in zip(parts, self.samples.batches(parts), strict=True):
            yield changed(pixels.astype(np.float32), self.augmentation, generator), self.samples.labels[part]

    def steps(self, epoch: int) -> dict[str, float]:
        """Take a step for each batch; return mean loss and error, and the learning rate of the last step."""
        seen, loss_sum, wrong, steps = 0, 0.0, 0, max(1, math.ceil(len(self.samples.labels) / self.recipe.batch))
        dropping = np.random.default_rng([self.seed, epoch, 2])
        for step, (images, labels) in enumerate(self.batches(epoch)):
            rate = rate_after(epoch + step / steps, self.recipe)
            logits = self.model.forward(normalized(images, self.samples), training=True, generator=dropping)
            loss, gradient = cross_entropy(logits, labels, self.recipe.label_smoothing)
            self.model.backward(gradient)
            if not math.isfinite(loss) or not self.descent.step(self.model.gradients(), rate):
                raise TrainingError(
                    f"the loss is not finite in epoch {epoch + 1} at step {step + 1}; "
                    f"try a lower learning rate than {self.recipe.learning_rate:g}"
                )
            seen, loss_sum, wrong = seen + len(labels), loss_sum + loss * len(labels), wrong + mistakes(logits, labels)
            if self.events:
                self.events(Step(epoch + 1, self.recipe.epochs, step + 1, steps, loss_sum / seen))
        return {"loss": loss_sum / seen, "error": wrong / seen, "learning_rate": rate}

    def loss_and_error(self, samples: Samples) -> tuple[float, float]:
        """Return mean cross-entropy and the share of images whose largest logit is not that of their label."""
        begins = range(0, len(samples.labels), VALIDATION_BATCH)
        parts = (samples.images[begin : begin + VALIDATION_BATCH].astype(np.float32) for begin in begins)
        logits = np.concatenate([self.model.predict(normalized(part, samples)) for part in parts]).astype(np.float64)
        return cross_entropy(logits, samples.labels)[0], mistakes(logits, samples.labels) / len(logits)


def changed(images: np.ndarray, augmentation: Augmentation, generator: np.random.Generator) -> np.ndarray:
    """Return images (n, height, width, channels) float32, half of them mirrored, moved by a share of their side."""
    if augmentation.horizontal_flip:
        images = np.where(generator.random(len(images))[:, None, None, None] < 0.5, images[:, :, ::-1], images)
    if augmentation.shift:
        reach = augmentation.shift * np.array(images.shape[2:0:-1])
        images = np.stack([moved(image, generator.uniform(-reach, reach)) for image in images])
    return images


def moved(image: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Return an image as it is seen through a window moved by (x, y) pixels; outside, its edge is repeated."""
    matrix = np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float64)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    result = cv2.warpAffine(image, matrix, image.shape[1::-1], flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(result).reshape(image.shape)


def normalized(images: np.ndarray, samples: Samples) -> np.ndarray:
    """Return images in 0..255 as (n, channels, height, width) float32 of mean 0 and deviation 1."""
    mean, deviation = (np.array(values, np.float32) for values in (samples.mean, samples.deviation))
    images = (images / np.float32(255) - mean) / deviation
    if samples.per_image:
        images = standardized(images)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def mistakes(logits: np.ndarray, labels: np.ndarray) -> int:
    """Return for how many images the largest logit is not that of the label."""
    return int((logits.argmax(axis=1) != labels).sum())


def cross_entropy(logits: np.ndarray, labels: np.ndarray, smoothing: float = 0.0) -> tuple[float, np.ndarray]:
    """Return the mean of -sum of t log softmax(logits), and its gradient with respect to the logits.

    t is 1 for the label; with smoothing, this share of it is spread over all classes.
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_shares = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    targets = np.full_like(logits, smoothing / logits.shape[1])
    targets[np.arange(len(labels)), labels] += 1 - smoothing
    loss = -float((targets * log_shares).sum(axis=1).mean())
    return loss, (np.exp(log_shares) - targets) / len(labels)


class Nesterov:
    """Gradient descent with weight decay and Nesterov's momentum, as PyTorch has it.

    g = gradient + weight_decay w; v = momentum v + g; w = w - rate (g + momentum v) (Sutskever et al., ICML 2013).
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], recipe: Recipe) -> None:
        self.arrays, self.recipe = arrays, recipe
        self._velocity: Arrays = {}

    def step(self, gradients: Mapping[str, np.ndarray], rate: float) -> bool:
        """Change the arrays in place, the gradients clipped to MAX_GRADIENT_NORM; not by any that is not finite."""
        norm = math.sqrt(sum(float(np.square(slope, dtype=np.float64).sum()) for slope in gradients.values()))
        if not math.isfinite(norm):
            return False
        momentum, clip = self.recipe.momentum, min(1.0, MAX_GRADIENT_NORM / norm) if norm else 1.0
        for name, slope in gradients.items():
            weight = self.arrays[name]
            gradient = clip * slope + self.recipe.weight_decay * weight
            self._velocity[name] = momentum * self._velocity.get(name, 0) + gradient
            weight -= rate * (gradient + momentum * self._velocity[name])
        return True
