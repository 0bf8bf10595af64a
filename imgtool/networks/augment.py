"""Random changes of training images, a batch at a time, in PyTorch. Imported late.

Batches are (n, channels, height, width) float32 in 0..1. Every random number is drawn before, for all images of an
epoch at once, on the CPU: so a seed gives an image the same changes on every device, in every batch and process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from imgtool.networks.recipe import Augmentation


@dataclass(frozen=True)
class Draws:
    """The random numbers of images: windows (4, n), signs (n), colors (3, n), all from 0 to 1, and normals (n, 3)."""

    windows: torch.Tensor
    signs: torch.Tensor
    colors: torch.Tensor
    normals: torch.Tensor

    @classmethod
    def of(cls, count: int, generator: torch.Generator) -> Draws:
        """Draw those of so many images."""
        uniform = torch.rand(8, count, generator=generator)
        return cls(uniform[:4], uniform[4], uniform[5:], torch.randn(count, 3, generator=generator))

    def __getitem__(self, indices: np.ndarray) -> Draws:
        """Return those of some images."""
        chosen = torch.from_numpy(indices)
        return Draws(self.windows[:, chosen], self.signs[chosen], self.colors[:, chosen], self.normals[chosen])


def augment(
    images: torch.Tensor,
    augmentation: Augmentation,
    draws: Draws,
    side: int = 0,
    axes: np.ndarray | None = None,
) -> torch.Tensor:
    """Return randomly changed images of side x side pixels (0: unchanged size); the input if nothing changes them.

    axes: of the colors of all training images (`samples.color_axes`), for `pca_color`.
    """
    side = side or images.shape[-1]
    images = _warp(images, augmentation, draws, side)
    if augmentation.color_jitter:
        images = _jitter(images, augmentation.color_jitter, draws)
    if augmentation.pca_color and axes is not None:
        images = _shift_colors(images, augmentation.pca_color, axes, draws)
    return images


def _warp(images: torch.Tensor, how: Augmentation, draws: Draws, side: int) -> torch.Tensor:
    """Cut a window of random area, shape and place out of each image, mirror some, bring all to one size.

    Coordinates run from -1 to 1 over the image; what lies outside is the edge pixel repeated.
    """
    area, ratio, x, y = draws.windows
    sign = torch.where(draws.signs < 0.5, -1.0, 1.0) if how.horizontal_flip else torch.ones(len(images))
    if images.shape[2:] == (side, side) and how.shift == 0 and how.min_crop_area == how.max_aspect_ratio == 1:
        return _flip(images, sign < 0) if how.horizontal_flip else images
    area = area * (1 - how.min_crop_area) + how.min_crop_area
    ratio = torch.exp((2 * ratio - 1) * math.log(how.max_aspect_ratio))
    width, height = (area * ratio).sqrt().clamp(max=1.0), (area / ratio).sqrt().clamp(max=1.0)
    x, y = (2 * x - 1) * (1 - width + 2 * how.shift), (2 * y - 1) * (1 - height + 2 * how.shift)
    lattice = _lattice(torch.stack((x, y, width * sign, height))[..., None].to(images), side)
    return functional.grid_sample(images, lattice, padding_mode="border", align_corners=False)


def _lattice(windows: torch.Tensor, side: int) -> torch.Tensor:
    """Return where to sample, (n, side, side, 2), for centers and sizes (x, y, width, height) of windows, (4, n, 1).

    A window stands upright, so that its columns' x and its rows' y are all there is: PyTorch's `affine_grid`, which
    multiplies each place by a matrix, takes longer.
    """
    x, y, width, height = windows
    places = (torch.arange(side, device=windows.device) * 2 + 1) / side - 1  # of pixels, where the window is the image
    lattice = windows.new_empty(windows.shape[1], side, side, 2)
    lattice[..., 0] = torch.addcmul(x, width, places)[:, None, :]
    lattice[..., 1] = torch.addcmul(y, height, places)[:, :, None]
    return lattice


def _flip(images: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Mirror the chosen images left to right."""
    return torch.where(chosen.to(images.device)[:, None, None, None], images.flip(3), images)


def _jitter(images: torch.Tensor, amount: float, draws: Draws) -> torch.Tensor:
    """Change brightness, contrast and saturation of each image."""
    factors = 1 + amount * (2 * draws.colors.to(images) - 1)
    brightness, contrast, saturation = factors[:, :, None, None, None].unbind()
    images = images * brightness
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images.sub_(mean).mul_(contrast).add_(mean)
    gray = images.mean(dim=1, keepdim=True)
    return images.sub_(gray).mul_(saturation).add_(gray).clamp_(0, 1)


def _shift_colors(images: torch.Tensor, amount: float, axes: np.ndarray, draws: Draws) -> torch.Tensor:
    """Add to each image, along each principal axis of all colors, a normal number of deviation `amount` times the axis.

    Krizhevsky, Sutskever and Hinton (NIPS 2012), amount 0.1. They multiply the eigenvectors by eigenvalues; here it is
    by their roots, the deviations of the colors, so that the amount means the same for every unit of the pixels.
    """
    normal = draws.normals[:, : len(axes)] * amount
    shift = normal @ torch.from_numpy(axes).float()
    return (images + shift.to(images)[:, :, None, None]).clamp(0, 1)
