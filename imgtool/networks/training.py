"""Train a PyTorch module: the loop of stochastic gradient descent, which emits events. Imported late.

It works with any module that returns logits, and with uint8 images in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from imgtool.errors import TrainingError
from imgtool.events import Epoch, Events, FirstBatch, SmallerBatch, Step
from imgtool.networks.batches_torch import (
    ALONE,
    Normalization,
    all_on,
    as_images,
    epoch_batches,
    layout,
    steps_of_epoch,
)
from imgtool.networks.checkpoint import Checkpoint, describe, load, save
from imgtool.networks.distributed import Group
from imgtool.networks.history import History, best_epoch
from imgtool.networks.optimizers_torch import make_optimizer
from imgtool.networks.recipe import Augmentation, Recipe
from imgtool.networks.samples import Samples
from imgtool.networks.schedules import rate_after
from imgtool.networks.torch_backend import AuxiliaryHead

MULTIPLY_ADDS_PER_THREAD = 250_000_000  # in one step, below which another thread costs more than it gives
MAX_THREADS = 4  # on two cores AlexNet takes 1.07 times as long with 4 threads as with 2, and 1.2 times with 8
VALIDATION_BATCH = 256  # images
# What PyTorch says of exhausted memory where it raises no class of its own: the machine's, and libraries on a GPU.
AUXILIARY_SHARE = 0.3  # of the loss of a classifier in the middle (Szegedy et al., CVPR 2015, section 5)
EXHAUSTED = ("DefaultCPUAllocator", "out of memory", "ALLOC_FAILED")


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
    group: Group = ALONE,
    events: Events | None = None,
) -> History:
    """Train the module in place and return the history: a row for each epoch.

    A row holds epoch (from 1), loss, error (of the training images as they were seen), learning_rate (of its last
    step), images_per_second (in training) and seconds (validation included); with validation images also
    validation_loss and validation_error, and the module then ends with the weights of the `best_epoch`.

    Parameters that need no gradient stay as they are, and so do the statistics of their layers; dropout is off then.
    Where memory is exhausted the epoch begins again, and training goes on, with half the batch; rows then hold batch.

    checkpoint: a file written after every epoch; when it exists, training goes on from it and, on the CPU, ends with
    the same weights as if it had not been interrupted. threads: of the CPU, by default those of the checkpoint, else
    `default_threads` for `multiply_adds`, which are those of the forward pass of one image. group: processes that train
    together, with a batch each; the first one looks at the validation images and writes the checkpoint, which the
    others read. Raises TrainingError when the loss or its gradient is not finite, memory is exhausted by one image, or
    another process has ended; DataError when the checkpoint belongs to another training.
    """
    with _within_memory("the network's weights"):
        module.to(device=device, memory_format=layout(recipe.channels_last))  # type: ignore[call-overload]
        run = _Run(module, samples, recipe, augmentation, seed, device, validation, events, group)
    identity, history = run.identity() if checkpoint else {}, []
    if checkpoint and checkpoint.exists():
        stored = load(checkpoint, identity, threads)
        threads, history = stored.threads, stored.history
        run.restore(stored.arrays)
        run.batch = int(history[-1].get("batch", recipe.batch))
        for row in history:
            run.report(row, resumed=True)
    group.require_same(len(history), "epochs in their checkpoints", device)
    threads = threads or default_threads(multiply_adds * recipe.batch)
    with _threads(threads), _dropout_generator(device):
        for epoch in range(len(history), recipe.epochs):
            try:
                history.append(run.epoch(epoch))
            except _NotFiniteError:
                # Going on from the checkpoint would end here again, and it would stand in a lower rate's way.
                if checkpoint and history and group.is_first:
                    checkpoint.unlink(missing_ok=True)
                raise
            if best_epoch(history) == epoch + 1:
                run.keep()
            if checkpoint and group.is_first:
                save(checkpoint, Checkpoint(identity, threads, history, run.arrays()))
            run.report(history[-1])
    run.restore_best()
    return history


class _NotFiniteError(TrainingError):
    """The loss or its gradient is not finite."""


def train_what_learns(module: torch.nn.Module) -> None:
    """Put a module into the mode of training; where some of it does not learn, only the layers that do."""
    module.train()
    if all(parameter.requires_grad for parameter in module.parameters()):
        return
    for layer in module.modules():
        if not any(parameter.requires_grad for parameter in layer.parameters()):
            layer.eval()


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
        group: Group,
    ) -> None:
        self.group = group
        self.module, self.samples, self.recipe, self.augmentation = module, samples, recipe, augmentation
        self.seed, self.device, self.validation, self.events = seed, device, validation, events
        self.batch = recipe.batch  # which exhausted memory makes smaller
        self.pixels = all_on(device, samples.images)
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
            **({"processes": self.group.count} if self.group.count > 1 else {}),
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
        """Take numbers that `arrays` gave."""
        tensors = self._tensors()
        with torch.no_grad():
            for name, array in arrays.items():
                tensors[name].copy_(torch.from_numpy(array))

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
        """Go once through the samples in random order; return the row of the history.

        Where memory is exhausted it begins again, from the state before it, with half the batch; of several processes,
        which would have to do so together, the training ends.
        """
        if self.group.count > 1:
            with _within_memory("a batch, which must be smaller"):
                return self._row(epoch)
        before = {name: array.copy() for name, array in self.arrays().items() if not name.startswith("best.")}
        while (row := self._row_within_memory(epoch)) is None:
            if self.batch == 1:
                raise TrainingError("memory is exhausted by a batch of one image")
            self.batch //= 2
            self.optimizer.forget_gradients()
            if torch.device(self.device).type == "cuda":
                torch.cuda.empty_cache()
            self.restore(before)
            if self.events:
                self.events(SmallerBatch(epoch + 1, self.batch))
        return row

    def _row_within_memory(self, epoch: int) -> dict[str, float] | None:
        """Return the row of an epoch, None where memory is exhausted.

        The error is gone then, and with it all that its traceback holds.
        """
        try:
            return self._row(epoch)
        except (MemoryError, RuntimeError) as error:
            if not _is_exhausted(error):
                raise
        return None

    def _row(self, epoch: int) -> dict[str, float]:
        """Take the steps of an epoch and look at the validation images; return the row of the history."""
        start = time.perf_counter()
        row: dict[str, float] = {"epoch": epoch + 1, **self._steps(epoch)}
        row["images_per_second"] = len(self.samples.labels) / (time.perf_counter() - start)
        self.group.take_firsts(list(self.module.buffers()))
        if self.validation is not None and self.group.is_first:
            images = max(1, VALIDATION_BATCH * self.batch // self.recipe.batch)
            row["validation_loss"], row["validation_error"] = loss_and_error(
                self.module, self.validation, self.device, images
            )
        if self.batch != self.recipe.batch:
            row["batch"] = self.batch
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
        train_what_learns(self.module)
        torch.manual_seed(self.seed * 100_003 + epoch + (self.group.launch.rank << 32))  # for dropout
        loss_sum, wrong, seen = 0.0, 0.0, 0
        normalize = Normalization(self.samples, self.device, channels_last=self.recipe.channels_last)
        steps = steps_of_epoch(len(self.samples.labels), self.batch * self.group.count)
        for step, (images, labels, count) in enumerate(self._batches(epoch)):
            self._show(images, labels)
            rate = rate_after(epoch + step / steps, self.recipe)
            loss, mistakes = self._step(normalize(images), labels, count, rate)
            if not math.isfinite(loss):
                raise _NotFiniteError(
                    f"the loss is not finite in epoch {epoch + 1} at step {step + 1}; "
                    f"try a lower learning rate than {self.recipe.learning_rate:g}"
                )
            loss_sum, wrong, seen = loss_sum + loss * count, wrong + mistakes, seen + count
            if self.events:
                self.events(Step(epoch + 1, self.recipe.epochs, step + 1, steps, loss_sum / seen))
        return {"loss": loss_sum / seen, "error": wrong / seen, "learning_rate": rate}

    def _batches(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, int]]:
        """Yield images and labels of the epoch's steps, and how many all processes have."""
        return epoch_batches(
            self.samples, replace(self.recipe, batch=self.batch), self.augmentation, seed=self.seed, epoch=epoch,
            device=self.device, pixels=self.pixels, group=self.group,
        )  # fmt: skip

    def _step(self, images: torch.Tensor, labels: torch.Tensor, count: int, rate: float) -> tuple[float, float]:
        """Take one step; return the loss and how many images were wrong. Not finite: no step, and NaN.

        images, labels: this process's of the `count` images of all processes; both numbers are those of all.
        """
        self.optimizer.forget_gradients()
        value, wrong = self._backward(images, labels, len(labels) / count) if len(labels) else (0.0, 0.0)
        if self.group.count > 1:
            both = torch.tensor([value, wrong], device=images.device)
            self.group.add_up([*self._gradients(), both])
            value, wrong = both.tolist()
        if not math.isfinite(value) or not self.optimizer.step(rate):
            return math.nan, math.nan
        return value, wrong

    def _backward(self, images: torch.Tensor, labels: torch.Tensor, share: float) -> tuple[float, float]:
        """Compute gradients of the mean loss, times a share; return that loss and how many images were wrong."""
        with _precision(images.device.type, self.recipe.bf16):
            logits = self.module(images)
        smoothing = self.recipe.label_smoothing
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=smoothing) * share
        beside = [
            functional.cross_entropy(head.logits.float(), labels, label_smoothing=smoothing) * share
            for head in self.module.modules()
            if isinstance(head, AuxiliaryHead) and head.logits is not None
        ]
        (loss + AUXILIARY_SHARE * sum(beside)).backward()  # type: ignore[no-untyped-call]
        return loss.item(), float((logits.argmax(1) != labels).sum())

    def _gradients(self) -> list[torch.Tensor]:
        """Return the gradients of all that learns, zeros where this process had no image."""
        learning = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        for parameter in learning:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return [parameter.grad for parameter in learning if parameter.grad is not None]


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
def _within_memory(what: str) -> Iterator[None]:
    """Turn memory that something exhausts into a TrainingError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_exhausted(error):
            raise
        raise TrainingError(f"memory is exhausted by {what}") from None


def _is_exhausted(error: Exception) -> bool:
    """Tell whether an error says that memory is exhausted, the machine's or the GPU's."""
    is_one = isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError))
    return is_one or any(words in str(error) for words in EXHAUSTED)


@torch.no_grad()
def predict(
    module: torch.nn.Module, samples: Samples, device: str = "cpu", images: int = VALIDATION_BATCH
) -> np.ndarray:
    """Return the logits (n, classes) of all samples in float32; images: at once, at most."""
    module.eval()
    count = len(samples.labels)
    parts = np.array_split(np.arange(count), steps_of_epoch(count, images))
    normalize = Normalization(samples, device)
    batches = (normalize(as_images(torch.from_numpy(part).to(device))) for part in samples.batches(parts))
    return np.concatenate([module(images).float().cpu().numpy() for images in batches])


def loss_and_error(
    module: torch.nn.Module, samples: Samples, device: str = "cpu", images: int = VALIDATION_BATCH
) -> tuple[float, float]:
    """Return the mean cross-entropy, and the share of samples whose largest logit is not that of their label."""
    logits = predict(module, samples, device, images)
    loss = functional.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(samples.labels))
    return loss.item(), float((logits.argmax(1) != samples.labels).mean())
