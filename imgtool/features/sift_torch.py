"""Dense SIFT of many images at once on a device, the same numbers as `dense_sift` and `phow` of each within 1e-4.

As there, small banded matrices take runs of pixels to the bins of a run of frames, here in all images at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from imgtool.features import phow, sift
from imgtool.features.exact_torch import batches, by_shape, exact, to_device

_ORIENTATIONS = 8
_FRAMES_AT_ONCE = 8  # frames along each axis that one matrix serves


def dense_sift_batch(
    images: Sequence[np.ndarray],
    *,
    step: int = 4,
    bin_size: int = 4,
    window: str = "gaussian",
    window_size: float = 2.0,
    bounds: tuple[int, int, int, int] | None = None,
    device: str = "cuda",
) -> list[sift.Descriptors]:
    """Return the descriptors of each image at one scale; parameters and errors are those of `dense_sift`.

    images: (N, height, width[, channels]), or a sequence of images whose shapes may differ, which are worked on shape
    by shape; device: as `imgtool.device.resolve` returns it.
    """
    sift.require_parameters(step, bin_size, window, window_size)

    def describe(grays: Sequence[np.ndarray]) -> list[sift.Descriptors]:
        left, top = sift.corners(grays[0].shape, step, bin_size, bounds)
        weights = sift.bin_weights(bin_size, window, window_size)
        values, norms = descriptors(to_device(grays, device, torch.float32), left, top, weights, step)
        frames = sift.frames_of(left, top, bin_size)
        return [sift.Descriptors(frames, *each) for each in zip(values.cpu().numpy(), norms.cpu().numpy(), strict=True)]

    return _each_shape([sift.gray_of(image) for image in images], describe, step)


def phow_batch(
    images: Sequence[np.ndarray],
    *,
    sizes: Sequence[int] = (4, 6, 8, 10),
    step: int = 2,
    window: str = "flat",
    window_size: float = 1.5,
    contrast: float = 0.005,
    color: str = "gray",
    bounds: tuple[int, int, int, int] | None = None,
    device: str = "cuda",
) -> list[sift.Descriptors]:
    """Return the descriptors of each image at several scales; parameters and errors are those of `phow`.

    images, device: as in `dense_sift_batch`.
    """
    sift.require_parameters(step, min(sizes), window, window_size)

    def describe(grays: Sequence[np.ndarray]) -> list[sift.Descriptors]:
        pixels = to_device(grays, device, torch.float32)
        frames, values, norms = [], [], []
        for size, region in phow.scales(grays[0].shape, sizes, bounds):
            left, top = sift.corners(grays[0].shape, step, size, region)
            weights = sift.bin_weights(size, window, window_size)
            value, norm = descriptors(_smooth(pixels, size / 6), left, top, weights, step)
            frames.append(sift.frames_of(left, top, size))
            values.append(value)
            norms.append(norm)
        every, of_all = torch.cat(values, 1).cpu().numpy(), torch.cat(norms, 1).cpu().numpy()
        return [sift.Descriptors(np.concatenate(frames), *each) for each in zip(every, of_all, strict=True)]

    channels = phow.COLORS.get(color, 1)
    planes = [plane for image in images for plane in phow.color_planes(image, color)]
    found = _each_shape(planes, describe, step, len(sizes))
    each_image = (found[first : first + channels] for first in range(0, len(found), channels))
    return [phow.join_channels(each, color, contrast) for each in each_image]


def _each_shape(
    grays: Sequence[np.ndarray],
    describe: Callable[[Sequence[np.ndarray]], list[sift.Descriptors]],
    step: int,
    scales: int = 1,
) -> list[sift.Descriptors]:
    """Describe images shape by shape, as many at once as fit into memory; return them in their order."""
    found: dict[int, sift.Descriptors] = {}
    with exact():
        for group in by_shape(grays):
            bytes_each = grays[group[0]].size * int(4 * _ORIENTATIONS * 6 + scales * 2000 / step**2)
            for part in batches(len(group), bytes_each):
                found.update(zip(group[part], describe([grays[index] for index in group[part]]), strict=True))
    return [found[index] for index in range(len(grays))]


def descriptors(
    gray: torch.Tensor, left: np.ndarray, top: np.ndarray, weights: np.ndarray, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values (N, frames, 128) and norms (N, frames), on the device, of (N, height, width) float32.

    left, top: columns and rows of the first bins' centers; weights: as `sift.bin_weights` returns them.
    """
    across = _bin(_orientation_maps(gray), left, weights, step)  # (N, 8, height, columns, 4)
    both = _bin(across.movedim(2, -1), top, weights, step)  # (N, 8, columns, 4, rows, 4)
    histograms = both.permute(0, 4, 2, 5, 3, 1).reshape(len(gray), len(top) * len(left), -1)
    side = 3 * ((weights.shape[1] + 1) // 2) + 1  # pixels from the first bin's center to the last one's
    norms = histograms.sum(2) / side**2
    return _normalize(histograms), norms


def _orientation_maps(gray: torch.Tensor) -> torch.Tensor:
    """Return (N, 8, height, width): the gradient's magnitude, divided between the two nearest orientations."""
    gx, gy = _half_differences(gray), _half_differences(gray.mT).mT
    turn = torch.atan2(gy, gx) * (_ORIENTATIONS / (2 * math.pi))
    angles = torch.arange(_ORIENTATIONS, device=gray.device, dtype=gray.dtype)[:, None, None]
    distance = (turn[:, None] - angles).abs_()  # up to 11: the turn begins at -4
    distance = torch.minimum(distance, (_ORIENTATIONS - distance).abs_())
    return (1 - distance).clamp_(min=0).mul_(torch.sqrt(gx * gx + gy * gy)[:, None])


def _half_differences(values: torch.Tensor) -> torch.Tensor:
    """Return half the central differences along the last axis, at its ends the whole one-sided difference."""
    result = torch.zeros_like(values)
    if values.shape[-1] > 1:
        result[..., 1:-1] = (values[..., 2:] - values[..., :-2]) * 0.5
        result[..., 0] = values[..., 1] - values[..., 0]
        result[..., -1] = values[..., -1] - values[..., -2]
    return result


def _bin(maps: torch.Tensor, first: np.ndarray, weights: np.ndarray, step: int) -> torch.Tensor:
    """Take the last axis, pixels, to (frames, bins), whose first bins are centered at `first`."""
    band = torch.from_numpy(sift.band_of(weights, step, _FRAMES_AT_ONCE)).to(maps)
    span, stride = band.shape[1], _FRAMES_AT_ONCE * step
    runs = -(-len(first) // _FRAMES_AT_ONCE)
    places = sift.clamp_indices(first[0] - weights.shape[1] // 2, (runs - 1) * stride + span, maps.shape[-1])
    windows = maps[..., torch.from_numpy(places).to(maps.device)].unfold(-1, span, stride)
    bins = (windows @ band.T).reshape(*maps.shape[:-1], runs * _FRAMES_AT_ONCE, -1)
    return bins[..., : len(first), :]


def _normalize(histograms: torch.Tensor) -> torch.Tensor:
    """Scale to unit length, clip at 0.2, scale again, in place; what is flat stays zero."""
    histograms /= torch.linalg.vector_norm(histograms, dim=2, keepdim=True) + sift.EPSILON
    histograms.clamp_(max=0.2)
    histograms /= torch.linalg.vector_norm(histograms, dim=2, keepdim=True) + sift.EPSILON
    return histograms


def _smooth(pixels: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return what `phow.smooth` returns of each image."""
    taps = phow.smoothing_taps(sigma).tolist()
    radius = len(taps) // 2
    for _ in range(2):
        length = pixels.shape[-1]
        places = sift.clamp_indices(-radius, length + 2 * radius, length)
        padded = pixels[..., torch.from_numpy(places).to(pixels.device)]
        pixels = sum(tap * padded[..., k : k + length] for k, tap in enumerate(taps)).mT
    return pixels
