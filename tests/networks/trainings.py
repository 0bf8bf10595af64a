"""What tests of training train on, and how."""

import numpy as np

from imgtool.networks.recipe import Augmentation, Recipe
from imgtool.networks.samples import Samples


class KilledError(Exception):
    """Ends a training from one of its events."""


def samples(n=48, seed=0):
    """Three classes that differ in which third is bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    images = rng.integers(0, 90, (n, 32, 32, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[label * 10 : label * 10 + 10] += 150
    return Samples(images, labels, (0.4,), (0.3,))


RECIPE = Recipe(epochs=4, batch=16, learning_rate=0.02)
CHANGES = Augmentation(shift=0.05, min_crop_area=0.8, max_aspect_ratio=1.2, color_jitter=0.2)
STILL = Augmentation(horizontal_flip=False)
