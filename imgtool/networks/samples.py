"""Images in memory to train on, and what their channels have in common."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

LEVELS = 256  # of uint8
HISTOGRAM_PIXELS = 2**22  # counted at once: OpenCV gives counts as float32, exact up to 2**24
MIN_VARIANCE = 1e-6  # of images of one color, so that nothing is divided by zero


@dataclass(frozen=True)
class Samples:
    """Images (n, height, width, channels) uint8, labels (n,) int64; mean and deviation of each channel in 0..1."""

    images: np.ndarray
    labels: np.ndarray
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def digest(self) -> str:
        """Return a hash of images and labels."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels, np.int64).data)
        return digest.hexdigest()


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
    rows = images.reshape(-1, *images.shape[2:])
    counts = np.zeros((images.shape[3], LEVELS), np.int64)
    step = max(1, HISTOGRAM_PIXELS // images.shape[2])
    for begin in range(0, len(rows), step):
        part = np.ascontiguousarray(rows[begin : begin + step])
        for channel, histogram in enumerate(counts):
            histogram += cv2.calcHist([part], [channel], None, [LEVELS], [0, LEVELS]).ravel().astype(np.int64)
    return counts
