"""Train a PyTorch module: stochastic gradient descent with momentum, one rate cycle, checkpoints. Imported late.

Knows no particular network and no image format: it takes uint8 images in memory and a module of logits.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import pickle
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from imgtool.batch.outputs import new_file
from imgtool.errors import DataError, TrainingError
from imgtool.networks.augment import Augmentation, augment

Progress = Callable[[int, int, str], None]

LONGEST_GRADIENT = 5.0  # the whole gradient's norm; a longer one is shortened to it


@dataclass(frozen=True)
class Recipe:
    """How to train.

    The learning rate rises linearly to `rate` over the first `warm_up` share of all steps and falls to zero as a
    cosine; the momentum is Nesterov's. side: pixels of the training images, None for as they are; bf16: matrix
    products in bfloat16.
    """

    epochs: int = 10
    batch: int = 64
    rate: float = 0.01
    momentum: float = 0.9
    decay: float = 5e-4
    warm_up: float = 0.05
    smoothing: float = 0.0
    bf16: bool = False
    side: int | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class Samples:
    """Images (n, height, width, channels) uint8, labels (n,) int64; mean and std of each channel in 0..1."""

    images: np.ndarray
    labels: np.ndarray
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def digest(self) -> str:
        """Return a hash of images and labels."""
        found = hashlib.sha256(repr(self.images.shape).encode())
        found.update(np.ascontiguousarray(self.images).data)
        found.update(np.ascontiguousarray(self.labels, np.int64).data)
        return found.hexdigest()

    def batch(self, indices: np.ndarray) -> torch.Tensor:
        """Return some of the images as (n, channels, height, width) float32 in 0..1."""
        images = torch.from_numpy(np.ascontiguousarray(self.images[indices]))
        return images.permute(0, 3, 1, 2).float().div_(255)

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        """Subtract the mean, divide by the standard deviation."""
        mean, std = (torch.tensor(each).view(1, -1, 1, 1).to(images) for each in (self.mean, self.std))
        return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def train(
    module: torch.nn.Module,
    samples: Samples,
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str = "cpu",
    held_out: Samples | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> list[dict[str, float]]:
    """Train the module in place and return the history: loss (and held-out accuracy) of each epoch.

    checkpoint: a file written after every epoch; when it exists, training goes on from it and, on the CPU with the
    same number of threads, ends with the same weights as if it had not been interrupted. Raises TrainingError when
    the loss or its gradient is not finite or memory is exhausted, DataError when the checkpoint belongs to another
    training.
    """
    module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(
        module.parameters(), recipe.rate, recipe.momentum, weight_decay=recipe.decay, nesterov=True, fused=True
    )
    identity = {"recipe": asdict(recipe), "seed": seed, "data": samples.digest(), "tensors": _shapes(module)}
    history = _resume(checkpoint, identity, module, optimizer) if checkpoint else []
    for epoch in range(len(history), recipe.epochs):
        with _within_memory(recipe.batch):
            loss = _epoch(module, optimizer, samples, recipe, epoch, seed=seed, device=device, progress=progress)
            entry = {"epoch": float(epoch + 1), "loss": loss}
            if held_out is not None:
                entry["held_out_accuracy"] = accuracy(module, held_out, device=device)
        history.append(entry)
        if checkpoint:
            _save(checkpoint, identity, module, optimizer, history)
    return history


def _epoch(
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    samples: Samples,
    recipe: Recipe,
    epoch: int,
    *,
    seed: int,
    device: str,
    progress: Progress | None,
) -> float:
    """Go once through the samples in random order; return the mean loss."""
    module.train()
    # Every epoch draws from generators of its own, so that a resumed training sees the same numbers.
    order = np.random.default_rng([seed, epoch]).permutation(len(samples.labels))
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    torch.manual_seed(seed * 100_003 + epoch)  # dropout has no generator argument
    batches = np.array_split(order, max(1, math.ceil(len(order) / recipe.batch)))
    total, seen = 0.0, 0
    for step, indices in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * schedule((epoch + step / len(batches)) / recipe.epochs, recipe.warm_up)
        images = augment(samples.batch(indices).to(device), recipe.augmentation, generator, recipe.side)
        labels = torch.from_numpy(samples.labels[indices]).to(device)
        loss = _step(module, optimizer, samples.normalised(images), labels, recipe)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is not finite in epoch {epoch + 1} at step {step + 1}; try a lower rate than {recipe.rate}"
            )
        total, seen = total + loss * len(indices), seen + len(indices)
        if progress:
            done, steps = epoch * len(batches) + step + 1, recipe.epochs * len(batches)
            progress(done, steps, f"epoch {epoch + 1} loss {total / seen:.3f}")
    return total / seen


def _step(
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    recipe: Recipe,
) -> float:
    """Go one step down the gradient; return the loss. Where loss or gradient is not finite: no step, and NaN."""
    with _precision(images.device.type, recipe.bf16):
        logits = module(images)
    loss = functional.cross_entropy(logits.float(), labels, label_smoothing=recipe.smoothing)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(module.parameters(), LONGEST_GRADIENT)
    if not torch.isfinite(loss + norm):
        return math.nan
    optimizer.step()
    return loss.item()


def schedule(share: float, warm_up: float) -> float:
    """Return the share of the full learning rate after this share of all steps."""
    if share < warm_up:
        return max(share / warm_up, 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (share - warm_up) / (1 - warm_up)))


def _precision(device_type: str, bf16: bool) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which products are computed in bfloat16, or as they are."""
    return torch.autocast(device_type, torch.bfloat16) if bf16 else contextlib.nullcontext()


@contextlib.contextmanager
def _within_memory(batch: int) -> Iterator[None]:
    """Turn exhausted memory, of the machine or of the GPU, into a TrainingError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # PyTorch has a class for the GPU's memory; for the machine's, only the allocator's name in the message.
        known = isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError))
        if not known and "DefaultCPUAllocator" not in str(error):
            raise
        raise TrainingError(f"memory is exhausted; try a smaller batch than {batch}") from None


@torch.no_grad()
def predict(module: torch.nn.Module, samples: Samples, *, device: str = "cpu", batch: int = 256) -> np.ndarray:
    """Return the logits (n, classes) of all samples in float32."""
    module.eval()
    parts = np.array_split(np.arange(len(samples.labels)), max(1, math.ceil(len(samples.labels) / batch)))
    return np.concatenate(
        [module(samples.normalised(samples.batch(part).to(device))).float().cpu().numpy() for part in parts]
    )


def accuracy(module: torch.nn.Module, samples: Samples, *, device: str = "cpu") -> float:
    """Return the share of samples whose largest logit is that of their label."""
    return float((predict(module, samples, device=device).argmax(1) == samples.labels).mean())


def _shapes(module: torch.nn.Module) -> dict[str, list[int]]:
    """Return the shape of every tensor by its name."""
    return {name: list(tensor.shape) for name, tensor in module.state_dict().items()}


def _save(
    path: Path, identity: dict[str, Any], module: torch.nn.Module, optimizer: torch.optim.Optimizer, history: list[Any]
) -> None:
    """Write a checkpoint whole or not at all. Raises OutputError when it cannot be written."""
    state = {
        "identity": identity,
        "history": history,
        "module": module.state_dict(),
        "momentum": [optimizer.state[p].get("momentum_buffer") for p in module.parameters()],
    }
    with new_file(path, overwrite=True) as file:
        torch.save(state, file)


def _resume(
    path: Path, identity: dict[str, Any], module: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> list[dict[str, float]]:
    """Restore module and optimizer from a checkpoint, if there is one, and return its history."""
    if not path.exists():
        return []
    try:
        state = torch.load(path, weights_only=True)  # tensors, numbers and texts; no code
        found = state["identity"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError):
        raise DataError(f"{path}: is no checkpoint of imgtool") from None
    if found != identity:
        raise DataError(f"{path}: is the checkpoint of another training (other data, seed, settings or network)")
    module.load_state_dict(state["module"])
    for parameter, momentum in zip(module.parameters(), state["momentum"], strict=True):
        if momentum is not None:
            optimizer.state[parameter]["momentum_buffer"] = momentum
    history: list[dict[str, float]] = state["history"]
    return history
