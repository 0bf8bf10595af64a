"""Batches of training images as a network sees them, in PyTorch. Imported late."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from imgtool.networks.augment import Draws, augment
from imgtool.networks.distributed import Group
from imgtool.networks.preprocessing import FLAT_DEVIATION
from imgtool.networks.recipe import Augmentation, Recipe
from imgtool.networks.samples import Samples

GPU_SHARE = 4  # all images take at most one such part of a GPU's free memory
ALONE = Group()
COPIED_IMAGES = 1024  # to a GPU at once


def epoch_batches(
    samples: Samples,
    recipe: Recipe,
    augmentation: Augmentation,
    *,
    seed: int,
    epoch: int,
    device: str = "cpu",
    pixels: torch.Tensor | None = None,
    group: Group = ALONE,
) -> Iterator[tuple[torch.Tensor, torch.Tensor, int]]:
    """Yield the batches of an epoch (from 0) as the network sees them but for normalization: images, labels, n.

    Images are (n, channels, side, side) float32 in 0..1. An image's random numbers follow from seed, epoch and its
    place among all images, so that a resumed training sees the same, and so does every number of processes. Each of
    these has its share of a batch, which has `recipe.batch` images for each of them; n: in all shares together.
    pixels: all images where they are on the device already (`all_on`).
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(samples.labels))
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    axes = samples.color_axes if augmentation.pca_color else None
    draws = Draws.of(len(order), generator)
    wholes = np.array_split(order, steps_of_epoch(len(order), recipe.batch * group.count))
    parts = [group.share(whole) for whole in wholes]
    if pixels is None:
        found = (torch.from_numpy(part).to(device) for part in samples.batches(parts))
    else:
        found = (pixels[torch.from_numpy(indices).to(device)] for indices in parts)
    for whole, indices, some in zip(wholes, parts, found, strict=True):
        labels = torch.from_numpy(samples.labels[indices]).to(device)
        images = as_images(some)
        if len(indices):
            images = augment(images, augmentation, draws[indices], recipe.training_side, axes)
        yield images, labels, len(whole)


def steps_of_epoch(images: int, batch: int) -> int:
    """Return how many batches so many images are."""
    return max(1, math.ceil(images / batch))


def all_on(device: str, images: np.ndarray, free_bytes: int | None = None) -> torch.Tensor | None:
    """Return all images on a GPU, (n, height, width, channels) uint8; None where they would fill it, or there is none.

    Batches are then put together where they are used. free_bytes: of the device's memory, by default those of a GPU.
    """
    place = torch.device(device)
    if free_bytes is None:
        free_bytes = torch.cuda.mem_get_info(place)[0] if place.type == "cuda" else 0
    if images.nbytes > free_bytes // GPU_SHARE:
        return None
    pixels = torch.empty(images.shape, dtype=torch.uint8, device=place)
    for begin in range(0, len(images), COPIED_IMAGES):
        pixels[begin : begin + COPIED_IMAGES] = torch.from_numpy(np.array(images[begin : begin + COPIED_IMAGES]))
    return pixels


def as_images(pixels: torch.Tensor) -> torch.Tensor:
    """Return (n, height, width, channels) uint8 as (n, channels, height, width) float32 in 0..1."""
    return pixels.permute(0, 3, 1, 2).float().div_(255)


def layout(channels_last: bool) -> torch.memory_format:
    """Return PyTorch's name for the order of images in memory: pixels of all channels, or channels of all pixels."""
    return torch.channels_last if channels_last else torch.contiguous_format


class Normalization:
    """Subtracts the mean of each channel and divides by its deviation: one multiplication and one addition.

    Where samples say so, then the same by each image's own.
    """

    def __init__(self, samples: Samples, device: str = "cpu", *, channels_last: bool = True) -> None:
        mean, deviation = (torch.tensor(each).view(1, -1, 1, 1) for each in (samples.mean, samples.deviation))
        self.scale, self.offset = (1 / deviation).to(device), (-mean / deviation).to(device)
        self.layout, self.per_image = layout(channels_last), samples.per_image

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return (n, channels, height, width), by default in PyTorch's channels_last."""
        images = torch.addcmul(self.offset, images, self.scale)
        if self.per_image:
            images = images - images.mean(dim=(1, 2, 3), keepdim=True)
            images = images / (images.std(dim=(1, 2, 3), correction=0, keepdim=True) + FLAT_DEVIATION)
        return images.contiguous(memory_format=self.layout)
