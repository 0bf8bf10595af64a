"""Images in memory to train on, and what their channels have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from imgtool.batch.pool import map_in_threads

HASHED_IMAGES = 1024  # at once
READING_THREADS = 2  # each with a batch under way and one that waits to be taken
LEVELS = 256  # of uint8
COLOR_PIXELS = 2**18  # whose products are added up at once, in float64, which holds them exactly
HISTOGRAM_PIXELS = 2**22  # counted at once: OpenCV gives counts as float32, exact up to 2**24
MIN_VARIANCE = 1e-6  # of images of one color, so that nothing is divided by zero


@dataclass(frozen=True)
class Samples:
    """Images (n, height, width, channels) uint8, labels (n,) int64; mean and deviation of each channel in 0..1.

    per_image: a network sees each image less its own mean, over its own deviation (`preprocessing.standardized`).
    Images that are too many for memory lie in a file (`numpy.memmap`) and are read when they are needed.
    """

    images: np.ndarray
    labels: np.ndarray
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    per_image: bool = False

    def digest(self) -> str:
        """Return a hash of images and labels."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        for begin in range(0, len(self.images), HASHED_IMAGES):
            digest.update(np.ascontiguousarray(self.images[begin : begin + HASHED_IMAGES]).data)
        digest.update(np.ascontiguousarray(self.labels, np.int64).data)
        if self.per_image:
            digest.update(b"per image")
        return digest.hexdigest()

    def batches(self, parts: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the images of each part, which holds indices; those in a file are read ahead of their use."""

        def read(indices: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(self.images[indices])

        is_file = isinstance(self.images, np.memmap)
        return map_in_threads(read, parts, READING_THREADS) if is_file else map(read, parts)

    @cached_property
    def color_axes(self) -> np.ndarray:
        """The principal axes of the pixels' colors; see `color_axes`."""
        return color_axes(self.images)


def color_axes(images: np.ndarray) -> np.ndarray:
    """Return the principal axes of the colors of (n, h, w, channels) uint8, in 0..1: a row for each, longest first.

    Each is an eigenvector of the pixels' covariance times the deviation of the pixels along it, its largest number
    being positive.
    """
    channels = images.shape[3]
    count, total, products = 0, np.zeros(channels), np.zeros((channels, channels))
    for part in _parts(images, COLOR_PIXELS):
        pixels = part.reshape(-1, channels).astype(np.float64)
        count, total, products = count + len(pixels), total + pixels.sum(0), products + pixels.T @ pixels
    center = total / count
    covariance = (products / count - np.outer(center, center)) / 255**2
    variances, vectors = np.linalg.eigh(covariance)
    axes = (vectors * np.sqrt(variances.clip(0))).T[::-1]
    return np.asarray(axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)] + 1e-300)[:, None])


def _parts(images: np.ndarray, pixels: int) -> Iterator[np.ndarray]:
    """Yield rows of all images, (rows, width, channels), of about so many pixels at once."""
    rows = images.reshape(-1, *images.shape[2:])
    step = max(1, pixels // images.shape[2])
    for begin in range(0, len(rows), step):
        yield np.ascontiguousarray(rows[begin : begin + step])


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel of (n, h, w, channels) uint8, in 0..1, to 4 decimals.

    Of the channels' histograms, whose sums are whole numbers: exact, and no image is converted to floating point.
    """
    mean, deviation = [], []
    for histogram in _histograms(images):
        count, total, squares = (int(histogram @ np.arange(LEVELS) ** power) for power in (0, 1, 2))
        center = total / count
        variance = max((squares / count - center**2) / 255**2, MIN_VARIANCE)
        mean.append(round(center / 255, 4))
        deviation.append(round(variance**0.5, 4))
    return tuple(mean), tuple(deviation)


def _histograms(images: np.ndarray) -> np.ndarray:
    """Return how often each level occurs in each channel, (channels, LEVELS)."""
    counts = np.zeros((images.shape[3], LEVELS), np.int64)
    for part in _parts(images, HISTOGRAM_PIXELS):
        for channel, histogram in enumerate(counts):
            histogram += cv2.calcHist([part], [channel], None, [LEVELS], [0, LEVELS]).ravel().astype(np.int64)
    return counts
