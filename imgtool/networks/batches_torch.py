"""Batches of training images as a network sees them, in PyTorch. Imported late."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from imgtool.networks.augment import augment
from imgtool.networks.recipe import Augmentation, Recipe
from imgtool.networks.samples import Samples


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
    parts = np.array_split(order, steps_of_epoch(len(order), recipe.batch))
    for indices, pixels in zip(parts, samples.batches(parts), strict=True):
        images = as_images(pixels, device)
        labels = torch.from_numpy(samples.labels[indices]).to(device)
        yield augment(images, augmentation, generator, recipe.training_side, axes), labels


def steps_of_epoch(images: int, batch: int) -> int:
    """Return how many batches so many images are."""
    return max(1, math.ceil(images / batch))


def as_images(pixels: np.ndarray, device: str = "cpu") -> torch.Tensor:
    """Return (n, height, width, channels) uint8, which reach the device so, as (n, channels, ...) float32 in 0..1."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)


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
