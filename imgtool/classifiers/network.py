"""Networks as classifiers: what they look at, how they are trained, on which backend they run.

Predicting runs in NumPy without PyTorch (backend `numpy`), or in PyTorch (backend `torch`); `auto` takes NumPy where no
GPU is asked for and few images come at once. Training runs in PyTorch, for `two-layer` by hand in NumPy.
"""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from imgtool.classifiers.protocol import Classifier, Progress, softmax
from imgtool.datasets.dataset import Dataset
from imgtool.device import resolve
from imgtool.errors import DataError, MissingExtraError, ParameterError
from imgtool.events import Epoch, Event, Step
from imgtool.image.color import to_gray, to_rgb
from imgtool.image.pixels import convert_depth
from imgtool.image.resize import fit_crop
from imgtool.networks import declaration
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.numpy_backend import NumpyRunner
from imgtool.networks.numpy_training import train_by_hand
from imgtool.networks.recipe import Augmentation, Recipe
from imgtool.networks.samples import Samples, channel_statistics

FEW = 256  # images in one call up to which `auto` stays with NumPy
_CHUNK = 32  # images that pass a network at once

_DESCENT = {"epochs": 30, "batch": 32, "rate": 0.01, "decay": 5e-4, "mirror": True}
COMMON = {**_DESCENT, "smoothing": 0.0, "shift": 0.0, "zoom": 1.0, "stretch": 1.0, "jitter": 0.0, "bf16": False}
# What settings may be, both ends included.
RANGES: Mapping[str, tuple[float, float]] = {
    "side": (1, 1024),
    "hidden": (1, 65536),
    "rank": (0, 4096),
    "epochs": (1, 1_000_000),
    "batch": (1, 1_000_000),
    "rate": (1e-12, 1_000_000),
    "decay": (0, 1),
    "smoothing": (0, 1),
    "shift": (0, 1),
    "zoom": (0.01, 1),
    "stretch": (1, 16),
    "jitter": (0, 1),
}


class NetworkClassifier(Classifier):
    """A declared network with its weights. Subclasses declare it.

    settings: side: pixels of the square it looks at; channels: 1 for gray, 3 for color; and those of training, see
    `networks.recipe`.
    """

    backends: ClassVar[tuple[str, ...]] = ("auto", "numpy", "torch")
    keeps_checkpoints: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = RANGES
    channels: ClassVar[tuple[int, ...]] = (1, 3)

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(name, **settings)
        for key, (low, high) in self.ranges.items():
            if not low <= self.settings.get(key, low) <= high:
                raise ParameterError(f"{name}: {key} must be from {low} to {high}, got {self.settings[key]}")
        if self.settings["channels"] not in self.channels:
            allowed = " or ".join(map(str, self.channels))
            raise ParameterError(f"{name}: channels must be {allowed}, got {self.settings['channels']}")
        self._weights: dict[str, np.ndarray] = {}
        self._numpy: NumpyRunner | None = None
        self._torch: Any = None

    @abstractmethod
    def network(self) -> declaration.Sequence:
        """Return the declaration for this classifier's classes and settings."""

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return the centered square (side, side, channels) uint8 after the shorter side was resized to it."""
        if image.dtype != np.uint8:
            image = convert_depth(image, "8")
        side = self.settings["side"]
        color = to_gray(image)[:, :, None] if self.settings["channels"] == 1 else to_rgb(image)
        fitted = fit_crop(color if color.shape[2] == 3 else color[:, :, 0], side, side)
        return fitted.reshape(side, side, -1)

    def features(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return the input of the last layer (N, D) float32."""
        few = len(batch) <= FEW or importlib.util.find_spec("torch") is None
        if self.backend == "numpy" or (self.backend == "auto" and self.device == "cpu" and few):
            run = self._by_numpy
        else:
            run = self._by_torch
        return np.concatenate([run(self._normalise(batch[i : i + _CHUNK])) for i in range(0, len(batch), _CHUNK)])

    def decide(self, features: np.ndarray) -> np.ndarray:
        """Return softmax probabilities of the last layer."""
        return softmax(self._network().logits(features))

    def _normalise(self, batch: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Return (n, channels, side, side) float32, mean 0 and deviation 1 over the training images."""
        if "preprocessing" not in self.description:
            raise ParameterError(f"{self.name} is not trained yet")
        mean, std = (np.array(self.description["preprocessing"][key], np.float32) for key in ("mean", "std"))
        images = (np.stack(list(batch)).astype(np.float32) / np.float32(255) - mean) / std
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))

    def _network(self) -> NumpyRunner:
        """Return the NumPy form, built once."""
        if self._numpy is None:
            if not self._weights:
                raise ParameterError(f"{self.name} is not trained yet")
            self._numpy = NumpyRunner(self.network(), self._weights)
        return self._numpy

    def _by_numpy(self, images: np.ndarray) -> np.ndarray:
        return self._network().features(images)

    def _by_torch(self, images: np.ndarray) -> np.ndarray:
        """Run all layers but the last in PyTorch."""
        _torch(f"--backend torch of {self.name}")
        from imgtool.networks.torch_backend import TorchRunner

        if self._torch is None:
            self._torch = TorchRunner(self.network(), self._weights, self.device)
        result: np.ndarray = self._torch.features(images)
        return result

    def fit(
        self,
        dataset: Dataset,
        *,
        seed: int = 0,
        device: str = "cpu",
        resume: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Train from fresh weights with stochastic gradient descent."""
        _torch(f"training {self.name}")
        device = resolve(device)
        from imgtool.networks.torch_backend import arrays_of, build
        from imgtool.networks.training import train

        def tell(event: Event) -> None:
            if progress and isinstance(event, Step):
                done, total = (event.epoch - 1) * event.steps + event.step, event.epochs * event.steps
                progress(done, total, f"epoch {event.epoch} loss {event.loss:.3f}")

        self.classes = dataset.classes
        samples = self.samples(dataset)
        module = build(self.network(), seed=seed)
        recipe, augmentation = self.recipe()
        side = samples.images.shape[1]
        rows = train(
            module, samples, recipe, augmentation, seed=seed, device=device, checkpoint=resume, events=tell,
            multiply_adds=self.network().multiply_adds((samples.images.shape[3], side, side)),
        )  # fmt: skip
        history = [{"epoch": row["epoch"], "loss": row["loss"]} for row in rows]
        self._take(arrays_of(module), dataset, samples.mean, samples.deviation, seed, history)
        return self

    def samples(self, dataset: Dataset) -> Samples:
        """Return all images prepared in memory, with mean and deviation of each channel."""
        images = np.stack([self.prepare(dataset.image(index)) for index in range(len(dataset))])
        return Samples(images, dataset.labels.astype(np.int64), *channel_statistics(images))

    def recipe(self) -> tuple[Recipe, Augmentation]:
        """Return how the settings say to train."""
        own = self.settings
        recipe = Recipe(
            epochs=own["epochs"],
            batch=own["batch"],
            learning_rate=own["rate"],
            weight_decay=own["decay"],
            label_smoothing=own["smoothing"],
            bf16=own["bf16"],
        )
        return recipe, Augmentation(own["mirror"], own["shift"], own["zoom"], own["stretch"], own["jitter"])

    def _take(
        self,
        weights: Mapping[str, np.ndarray],
        dataset: Dataset,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
        history: list[dict[str, float]],
    ) -> None:
        """Keep trained weights and what there is to say of them."""
        self._weights, self._numpy, self._torch = dict(weights), None, None
        self.description |= {
            "preprocessing": {"mean": list(mean), "std": list(std)},
            "data": {"images": len(dataset), "sha256": dataset.digest()},
            "seed": seed,
            "history": history,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights by their tensor names."""
        return self._weights

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take weights whose names and shapes are the network's."""
        self._weights, self._numpy, self._torch = arrays, None, None
        numbers = self.description.get("preprocessing", {})
        for key in ("mean", "std"):
            values = numbers.get(key) if isinstance(numbers, dict) else None
            fits = isinstance(values, list) and len(values) == self.settings["channels"]
            if not fits or not all(isinstance(value, float) and abs(value) < 1e3 for value in values or ()):
                raise DataError(f"preprocessing: {key} in model.json is missing or not what it should be")
        if min(numbers["std"]) <= 0:
            raise DataError("preprocessing: std in model.json must be positive")
        for name, array in arrays.items():
            if array.dtype != np.float32:
                raise DataError(f"weights do not fit: {name} is {array.dtype}, not float32")
        self._network()


def _torch(purpose: str) -> Any:
    """Return the module torch. Raises MissingExtraError where it is not installed."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", purpose) from None
    return torch


class TwoLayer(NetworkClassifier):
    """`two-layer`, trained by hand."""

    keeps_checkpoints: ClassVar[bool] = False
    defaults: ClassVar[Mapping[str, Any]] = {"side": 32, "channels": 3, "hidden": 100, **_DESCENT, "decay": 1e-3}

    def network(self) -> declaration.Sequence:
        """Return linear, ReLU, linear."""
        from imgtool.networks.two_layer import two_layer

        own = self.settings
        return two_layer(len(self.classes), own["channels"], own["side"], own["hidden"])

    def fit(
        self,
        dataset: Dataset,
        *,
        seed: int = 0,
        device: str = "cpu",
        resume: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Train in NumPy, by hand. Raises TrainingError when the loss is not finite."""

        def tell(event: Event) -> None:
            if progress and isinstance(event, Epoch):
                progress(event.epoch, event.epochs, f"epoch {event.epoch} loss {event.loss:.3f}")

        self.classes = dataset.classes
        samples, own = self.samples(dataset), self.settings
        recipe = Recipe(own["epochs"], own["batch"], own["rate"], weight_decay=own["decay"])
        flip = Augmentation(own["mirror"])
        weights = draw_arrays(self.network(), seed)
        weights, rows = train_by_hand(self.network(), weights, samples, recipe, flip, seed=seed, events=tell)
        history = [{"epoch": row["epoch"], "loss": row["loss"]} for row in rows]
        self._take(weights, dataset, samples.mean, samples.deviation, seed, history)
        return self


class LeNet(NetworkClassifier):
    """`lenet`: 32 x 32 pixels."""

    defaults: ClassVar[Mapping[str, Any]] = {"channels": 3, **COMMON, "side": 32, "shift": 0.1}
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {**RANGES, "side": (32, 35)}  # its fc1 has 5 x 5 x 16 inputs

    def network(self) -> declaration.Sequence:
        """Return LeNet."""
        from imgtool.networks.lenet import lenet

        return lenet(len(self.classes), self.settings["channels"])


class AlexNet(NetworkClassifier):
    """`alexnet`: 128 x 128 pixels unless told otherwise; rank > 0 for thin fc6 and fc7."""

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        **RANGES,
        "side": (63, 1024),
    }  # below, its pools find nothing
    channels: ClassVar[tuple[int, ...]] = (3,)
    defaults: ClassVar[Mapping[str, Any]] = {
        "channels": 3,
        "rank": 0,
        **COMMON,
        "side": 128,
        "zoom": 0.35,
        "stretch": 4 / 3,
        "jitter": 0.3,
        "smoothing": 0.1,
    }

    def network(self) -> declaration.Sequence:
        """Return AlexNet."""
        from imgtool.networks.alexnet import alexnet

        return alexnet(len(self.classes), rank=self.settings["rank"] or None)
