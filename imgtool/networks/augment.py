"""Random changes of training images, a batch at a time, in PyTorch. Imported late.

Batches are (n, channels, height, width) float32 in 0..1; every random number comes from the generator passed in,
which lives on the CPU, so that a seed gives the same images on every device.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from imgtool.networks.recipe import Augmentation


def augment(
    images: torch.Tensor, augmentation: Augmentation, generator: torch.Generator, side: int = 0
) -> torch.Tensor:
    """Return a changed copy, side x side pixels (0: as they are)."""
    side = side or images.shape[-1]
    images = _warp(images, augmentation, generator, side)
    if augmentation.color_jitter:
        images = _jitter(images, augmentation.color_jitter, generator)
    return images


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """Return `count` numbers between low and high."""
    return torch.rand(count, generator=generator) * (high - low) + low


def _warp(images: torch.Tensor, how: Augmentation, generator: torch.Generator, side: int) -> torch.Tensor:
    """Cut a window of random area, shape and place out of each image, mirror some, bring all to one size.

    Coordinates run from -1 to 1 over the image; what lies outside is the edge pixel repeated.
    """
    n = len(images)
    area = _uniform(n, how.min_crop_area, 1.0, generator)
    ratio = torch.exp(_uniform(n, -1.0, 1.0, generator) * torch.log(torch.tensor(how.max_aspect_ratio)))
    width, height = (area * ratio).sqrt().clamp(max=1.0), (area / ratio).sqrt().clamp(max=1.0)
    x = _uniform(n, -1.0, 1.0, generator) * (1 - width + 2 * how.shift)
    y = _uniform(n, -1.0, 1.0, generator) * (1 - height + 2 * how.shift)
    if how.horizontal_flip:
        width = width * (torch.randint(2, (n,), generator=generator) * 2 - 1)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2], theta[:, 1, 1], theta[:, 1, 2] = width, x, height, y
    grid = functional.affine_grid(theta.to(images), [n, images.shape[1], side, side], align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _jitter(images: torch.Tensor, amount: float, generator: torch.Generator) -> torch.Tensor:
    """Change brightness, contrast and saturation of each image."""
    brightness, contrast, saturation = (
        _uniform(len(images), 1 - amount, 1 + amount, generator).to(images)[:, None, None, None] for _ in range(3)
    )
    images = images * brightness
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (images - mean) * contrast + mean
    gray = images.mean(dim=1, keepdim=True)
    return ((images - gray) * saturation + gray).clamp(0, 1)
