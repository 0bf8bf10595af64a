"""GIST of many images at once on a device, the same numbers as `gist` of each within rounding.

Resizing and stretching are done in float64, so that a constant image is known as one; the rest in float32, or as asked.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch

from imgtool.arrays import image_array
from imgtool.features import gist
from imgtool.features.exact_torch import batches, by_shape, exact, to_device
from imgtool.features.validation import require_finite
from imgtool.filters.borders import indices
from imgtool.image.alpha import flatten
from imgtool.image.color import MAX_CHANNELS, to_rgb

_BYTES_A_PIXEL = 64  # of the padded square: its spectrum, a product with a filter, responses


def gist_batch(
    images: Sequence[np.ndarray],
    *,
    size: int = 256,
    orientations: Sequence[int] = (8, 8, 8, 8),
    blocks: int = 4,
    prefilter: float = 4.0,
    color: bool = False,
    device: str = "cuda",
    dtype: torch.dtype = torch.float32,
) -> np.ndarray:
    """Return the descriptors, (N, D) float32; parameters and errors are those of `gist`.

    images: (N, height, width[, channels]), or a sequence of images whose shapes may differ; device: as
    `imgtool.device.resolve` returns it; dtype: float32 agrees to 1e-4 of the largest number, float64 to 1e-5.
    """
    gist.require_parameters(size, orientations, blocks, prefilter)
    images = [image_array(image, max_channels=MAX_CHANNELS) for image in images]
    colors = [to_rgb(image) if color else flatten(image) for image in images]
    for image in colors:
        require_finite(image, "GIST")
    length = (3 if color else 1) * sum(orientations) * blocks**2
    result = np.empty((len(colors), length), np.float32)
    with exact():
        for group in by_shape(colors):
            side = size + 2 * gist.MARGIN_PIXELS
            bytes_each = 16 * colors[group[0]].size + _BYTES_A_PIXEL * (3 if color else 1) * side**2
            for part in batches(len(group), bytes_each):
                planes = _stretch(_squares([colors[index] for index in group[part]], size, color, device))
                contrast = _normalize_contrast(planes.to(dtype), prefilter)
                result[group[part]] = _energies(contrast, tuple(orientations), blocks).cpu().numpy()
    return result


def _squares(images: Sequence[np.ndarray], size: int, color: bool, device: str) -> torch.Tensor:
    """Return (N, planes, size, size) float64, as `gist.square`: images of one shape without alpha."""
    pixels = to_device(images, device, torch.float64)
    if pixels.ndim == 4:
        pixels = pixels.movedim(3, 1)
        pixels = pixels if color else pixels.mean(1, keepdim=True)
    else:
        pixels = pixels[:, None]
    down, across = (torch.from_numpy(each).to(device) for each in gist.resampling(images[0].shape[:2], size))
    return down @ pixels @ across.T


def _stretch(planes: torch.Tensor) -> torch.Tensor:
    """Bring the values of each image's planes together to 0..255; constant ones become 0."""
    low, high = planes.amin((1, 2, 3), keepdim=True), planes.amax((1, 2, 3), keepdim=True)
    flat = high - low <= gist.FLAT_SHARE * torch.maximum(low.abs(), high.abs())
    stretch = (planes - low) / torch.where(flat, 1, high - low) * 255
    return stretch.masked_fill_(flat, 0)


def _pad(planes: torch.Tensor, before: int, after: int) -> torch.Tensor:
    """Mirror the last two axes outwards, the edge repeated."""
    places = torch.from_numpy(indices(planes.shape[-1], before, after, "reflect")).to(planes.device)
    return planes[..., places, :][..., places]


def _normalize_contrast(planes: torch.Tensor, cutoff: float) -> torch.Tensor:
    """Return what `gist.normalize_contrast` returns of each image."""
    margin, size = 5, planes.shape[-1]
    factor = torch.from_numpy(gist.low_pass(size + 2 * margin + size % 2, cutoff)).to(planes)

    def smooth(values: torch.Tensor) -> torch.Tensor:
        return factor @ (factor.T @ values @ factor) @ factor.T

    padded = _pad(_pad(torch.log(planes + 1), margin, margin), 0, size % 2)
    high = padded - smooth(padded)
    deviation = smooth(high.mean(1, keepdim=True) ** 2).abs().sqrt()
    return (high / (0.2 + deviation))[..., margin : margin + size, margin : margin + size]


@functools.lru_cache(maxsize=2)
def _bank(side: int, orientations: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return the Gabor filters' transfer functions on the device."""
    return torch.from_numpy(gist.gabor_bank(side, orientations)).to(device, dtype)


def _energies(planes: torch.Tensor, orientations: tuple[int, ...], blocks: int) -> torch.Tensor:
    """Return (N, numbers): the mean magnitude of each filter's response in each window of each plane."""
    size = planes.shape[-1]
    inner = slice(gist.MARGIN_PIXELS, gist.MARGIN_PIXELS + size)
    spectrum = torch.fft.fft2(_pad(planes, gist.MARGIN_PIXELS, gist.MARGIN_PIXELS))
    mean = torch.from_numpy(gist.window_means(size, blocks)).to(planes)
    energies = []
    for transfer in _bank(size + 2 * gist.MARGIN_PIXELS, orientations, planes.device, planes.dtype):
        columns = torch.fft.ifft(spectrum * transfer, dim=-2)[..., inner, :]
        response = torch.fft.ifft(columns, dim=-1)[..., inner].abs()
        energies.append(mean @ response.mT @ mean.T)  # column of the window first
    return torch.stack(energies, dim=2).flatten(1)
