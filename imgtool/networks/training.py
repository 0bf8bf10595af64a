"""Train a PyTorch module: the loop of stochastic gradient descent, which emits events. Imported late.

It works with any module that returns logits, and with uint8 images in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from imgtool.errors import TrainingError
from imgtool.events import Epoch, Events, FirstBatch, Step
from imgtool.networks.augment import augment
from imgtool.networks.checkpoint import Checkpoint, describe, load, save
from imgtool.networks.optimizers_torch import make_optimizer
from imgtool.networks.recipe import Augmentation, Recipe
from imgtool.networks.samples import Samples
from imgtool.networks.schedules import rate_after

History = list[dict[str, float]]

MULTIPLY_ADDS_PER_THREAD = 250_000_000  # in one step, below which another thread costs more than it gives
MAX_THREADS = 4  # on two cores AlexNet takes 1.07 times as long with 4 threads as with 2, and 1.2 times with 8
VALIDATION_BATCH = 256  # images


def train(
    module: torch.nn.Module,
    samples: Samples,
    recipe: Recipe,
    augmentation: Augmentation,
    *,
    seed: int = 0,
    device: str = "cpu",
    validation: Samples | None = None,
    checkpoint: Path | None = None,
    threads: int | None = None,
    multiply_adds: int = 0,
    events: Events | None = None,
) -> History:
    """Train the module in place and return the history: a row for each epoch.

    A row holds epoch (from 1), loss, error (of the training images as they were seen), learning_rate (of its last
    step), images_per_second (in training) and seconds (validation included); with validation images also
    validation_loss and validation_error, and the module then ends with the weights of the `best_epoch`.

    checkpoint: a file written after every epoch; when it exists, training goes on from it and, on the CPU, ends with
    the same weights as if it had not been interrupted. threads: of the CPU, by default those of the checkpoint, else
    `default_threads` for `multiply_adds`, which are those of the forward pass of one image. Raises TrainingError when
    the loss or its gradient is not finite or memory is exhausted, DataError when the checkpoint belongs to another
    training.
    """
    module.to(device=device, memory_format=layout(recipe.channels_last))  # type: ignore[call-overload]
    run = _Run(module, samples, recipe, augmentation, seed, device, validation, events)
    identity, history = run.identity() if checkpoint else {}, []
    if checkpoint and checkpoint.exists():
        stored = load(checkpoint, identity, threads)
        threads, history = stored.threads, stored.history
        run.restore(stored.arrays)
        for row in history:
            run.report(row, resumed=True)
    threads = threads or default_threads(multiply_adds * recipe.batch)
    with _threads(threads), _dropout_generator(device):
        for epoch in range(len(history), recipe.epochs):
            try:
                history.append(run.epoch(epoch))
            except _NotFiniteError:
                # Going on from the checkpoint would end here again, and it would stand in a lower rate's way.
                if checkpoint and history:
                    checkpoint.unlink(missing_ok=True)
                raise
            if best_epoch(history) == epoch + 1:
                run.keep()
            if checkpoint:
                save(checkpoint, Checkpoint(identity, threads, history, run.arrays()))
            run.report(history[-1])
    run.restore_best()
    return history


class _NotFiniteError(TrainingError):
    """The loss or its gradient is not finite."""


def epoch_batches(
    samples: Samples, recipe: Recipe, augmentation: Augmentation, *, seed: int, epoch: int, device: str = "cpu"
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the batches of an epoch (from 0) as the network sees them but for normalization: images, labels.

    Images are (n, channels, side, side) float32 in 0..1. Every epoch draws from generators of its own, so that a
    resumed training sees the same numbers.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(samples.labels))
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    axes = samples.color_axes if augmentation.pca_color else None
    for indices in np.array_split(order, steps_of_epoch(len(order), recipe)):
        images = batch(samples, indices, device)
        labels = torch.from_numpy(samples.labels[indices]).to(device)
        yield augment(images, augmentation, generator, recipe.training_side, axes), labels


def steps_of_epoch(images: int, recipe: Recipe) -> int:
    """Return how many steps go through so many images."""
    return max(1, math.ceil(images / recipe.batch))


def batch(samples: Samples, indices: np.ndarray, device: str = "cpu") -> torch.Tensor:
    """Return some of the images as (n, channels, height, width) float32 in 0..1; they reach the device as uint8."""
    images = torch.from_numpy(np.ascontiguousarray(samples.images[indices])).to(device)
    return images.permute(0, 3, 1, 2).float().div_(255)


def layout(channels_last: bool) -> torch.memory_format:
    """Return PyTorch's name for the order of images in memory: pixels of all channels, or channels of all pixels."""
    return torch.channels_last if channels_last else torch.contiguous_format


class Normalization:
    """Subtracts the mean of each channel and divides by its deviation: one multiplication and one addition."""

    def __init__(self, samples: Samples, device: str = "cpu", *, channels_last: bool = True) -> None:
        mean, deviation = (torch.tensor(each).view(1, -1, 1, 1) for each in (samples.mean, samples.deviation))
        self.scale, self.offset = (1 / deviation).to(device), (-mean / deviation).to(device)
        self.layout = layout(channels_last)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return (n, channels, height, width), by default in PyTorch's channels_last."""
        return torch.addcmul(self.offset, images, self.scale).contiguous(memory_format=self.layout)


def best_epoch(history: Sequence[dict[str, float]]) -> int:
    """Return the number of the epoch whose weights are kept.

    The one of least error on the validation images, of equal ones that of the least loss, of these the first; without
    validation images the last.
    """
    if "validation_error" not in history[-1]:
        return len(history)
    return int(min(history, key=lambda row: (row["validation_error"], row["validation_loss"]))["epoch"])


def default_threads(multiply_adds: int) -> int:
    """Return how many threads train a network with so many multiply-adds in one step (of a batch, forwards).

    A function of nothing else, so that the same training has the same bits on every machine; a power of two.
    """
    threads = 1
    while threads < MAX_THREADS and multiply_adds >= 2 * threads * MULTIPLY_ADDS_PER_THREAD:
        threads *= 2
    return threads


class _Run:
    """One training: what is trained, on what, and how."""

    def __init__(
        self,
        module: torch.nn.Module,
        samples: Samples,
        recipe: Recipe,
        augmentation: Augmentation,
        seed: int,
        device: str,
        validation: Samples | None,
        events: Events | None,
    ) -> None:
        self.module, self.samples, self.recipe, self.augmentation = module, samples, recipe, augmentation
        self.seed, self.device, self.validation, self.events = seed, device, validation, events
        self.optimizer = make_optimizer(module, recipe)
        self.best: dict[str, torch.Tensor] = {}  # with validation images, the tensors of the best epoch
        self._has_shown = False
        self.keep()

    def identity(self) -> dict[str, Any]:
        """Return what makes two trainings the same one, as JSON has it; of a run that has not begun."""
        return {
            "recipe": self.recipe.to_json(),
            "augmentation": self.augmentation.to_json(),
            "seed": self.seed,
            "data": self.samples.digest(),
            "validation": self.validation.digest() if self.validation else "",
            "network": hashlib.sha256(repr(self.module).encode()).hexdigest(),  # what no tensor tells: strides, dropout
            "start": self._start_digest(),
            "tensors": describe({name: array for name, array in self.arrays().items() if not name.startswith("best.")}),
        }

    def _start_digest(self) -> str:
        """Return a hash of the module's tensors, as they are before the first step."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.module.state_dict().items()):
            digest.update(name.encode())
            digest.update(np.array(tensor.cpu().numpy(), order="C").data)
        return digest.hexdigest()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all numbers that training changes, by name."""
        return {name: tensor.detach().cpu().numpy() for name, tensor in self._tensors().items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the numbers that `arrays` gave."""
        with torch.no_grad():
            for name, tensor in self._tensors().items():
                tensor.copy_(torch.from_numpy(arrays[name]))

    def _tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors themselves: the module's, the optimizer's, and those of the best epoch."""
        parts = {"module": self.module.state_dict(), **self.optimizer.tensors(), "best": self.best}
        return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}

    def keep(self) -> None:
        """Store the module's tensors as those of the best epoch, if there are validation images."""
        if self.validation is not None:
            self.best = {name: tensor.clone() for name, tensor in self.module.state_dict().items()}

    def restore_best(self) -> None:
        """Give the module the tensors of the best epoch."""
        if self.best:
            self.module.load_state_dict(self.best)

    def epoch(self, epoch: int) -> dict[str, float]:
        """Go once through the samples in random order; return the row of the history."""
        start = time.perf_counter()
        with _within_memory(self.recipe.batch):
            row: dict[str, float] = {"epoch": epoch + 1, **self._steps(epoch)}
            row["images_per_second"] = len(self.samples.labels) / (time.perf_counter() - start)
            if self.validation is not None:
                row["validation_loss"], row["validation_error"] = loss_and_error(
                    self.module, self.validation, self.device
                )
        row["seconds"] = time.perf_counter() - start
        return row

    def report(self, row: dict[str, float], *, resumed: bool = False) -> None:
        """Emit the event of an epoch."""
        if self.events:
            values: dict[str, Any] = {**row, "epochs": self.recipe.epochs, "resumed": resumed}
            self.events(Epoch(**values))

    def _show(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Emit the event of the first batch, once."""
        if self.events and not self._has_shown:
            self._has_shown = True
            pixels = images.mul(255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
            self.events(FirstBatch(pixels.cpu().numpy(), labels.cpu().numpy()))

    def _steps(self, epoch: int) -> dict[str, float]:
        """Take the steps of an epoch; return mean loss and error, and the learning rate of the last step."""
        self.module.train()
        torch.manual_seed(self.seed * 100_003 + epoch)  # dropout has no generator argument
        loss_sum, wrong, seen = 0.0, 0.0, 0
        normalize = Normalization(self.samples, self.device, channels_last=self.recipe.channels_last)
        steps = steps_of_epoch(len(self.samples.labels), self.recipe)
        for step, (images, labels) in enumerate(self._batches(epoch)):
            self._show(images, labels)
            rate = rate_after(epoch + step / steps, self.recipe)
            loss, mistakes = self._step(normalize(images), labels, rate)
            if not math.isfinite(loss):
                raise _NotFiniteError(
                    f"the loss is not finite in epoch {epoch + 1} at step {step + 1}; "
                    f"try a lower learning rate than {self.recipe.learning_rate:g}"
                )
            loss_sum, wrong, seen = loss_sum + loss * len(labels), wrong + mistakes, seen + len(labels)
            if self.events:
                self.events(Step(epoch + 1, self.recipe.epochs, step + 1, steps, loss_sum / seen))
        return {"loss": loss_sum / seen, "error": wrong / seen, "learning_rate": rate}

    def _batches(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield images and labels of the epoch's steps."""
        return epoch_batches(
            self.samples, self.recipe, self.augmentation, seed=self.seed, epoch=epoch, device=self.device
        )

    def _step(self, images: torch.Tensor, labels: torch.Tensor, rate: float) -> tuple[float, float]:
        """Take one step; return the loss and how many images were wrong. Not finite: no step, and NaN."""
        with _precision(images.device.type, self.recipe.bf16):
            logits = self.module(images)
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        self.optimizer.forget_gradients()
        loss.backward()  # type: ignore[no-untyped-call]
        value = loss.item()
        if not math.isfinite(value) or not self.optimizer.step(rate):
            return math.nan, math.nan
        return value, float((logits.argmax(1) != labels).sum())


def _precision(device_type: str, bf16: bool) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which products are computed in bfloat16, or as they are."""
    return torch.autocast(device_type, torch.bfloat16) if bf16 else contextlib.nullcontext()


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with so many threads of the CPU, and afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _dropout_generator(device: str) -> contextlib.AbstractContextManager[None]:
    """Return the context in which PyTorch's global generator, which dropout draws from, may be seeded anew."""
    place = torch.device(device)
    cuda = [place.index or 0] if place.type == "cuda" else []
    return torch.random.fork_rng(devices=cuda)


@contextlib.contextmanager
def _within_memory(batch: int) -> Iterator[None]:
    """Turn exhausted memory, of the machine or of the GPU, into a TrainingError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # PyTorch has a class for the GPU's memory; for the machine's, only the allocator's name in the message.
        exhausted = isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError))
        if not exhausted and "DefaultCPUAllocator" not in str(error):
            raise
        raise TrainingError(f"memory is exhausted; try a smaller batch than {batch}") from None


@torch.no_grad()
def predict(module: torch.nn.Module, samples: Samples, device: str = "cpu") -> np.ndarray:
    """Return the logits (n, classes) of all samples in float32."""
    module.eval()
    count = len(samples.labels)
    parts = np.array_split(np.arange(count), max(1, math.ceil(count / VALIDATION_BATCH)))
    normalize = Normalization(samples, device)
    return np.concatenate([module(normalize(batch(samples, part, device))).float().cpu().numpy() for part in parts])


def loss_and_error(module: torch.nn.Module, samples: Samples, device: str = "cpu") -> tuple[float, float]:
    """Return the mean cross-entropy, and the share of samples whose largest logit is not that of their label."""
    logits = predict(module, samples, device)
    loss = functional.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(samples.labels))
    return loss.item(), float((logits.argmax(1) != samples.labels).mean())
