"""A network that looks at ten parts of each image, and gives the mean of their probabilities.

Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012, section
4.1: the four corners and the center, and their mirrors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.protocol import Classifier
from imgtool.errors import ParameterError

CROPS = 10


class TenCrops(Classifier):
    """What a network says of ten crops of an image; a crop's features stand behind those of the one before."""

    def __init__(self, model: Classifier) -> None:
        """Raise ParameterError for a model that is no network: it sees whole images."""
        if not isinstance(model, NetworkClassifier):
            raise ParameterError(f"crops: {model.name} is no network, it sees the whole image", parameters=("crops",))
        self.name, self.classes, self.identifiers = model.name, model.classes, model.identifiers
        self.threshold, self.provenance = model.threshold, model.provenance
        self.weights_hash, self.weights_bytes = model.weights_hash, model.weights_bytes
        self.device, self.precision = model.device, model.precision
        self._model = model

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return (10, side, side, channels) uint8."""
        return self._model.preprocessing.ten_crops(image)

    def features(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return (N, 10 D) float32."""
        return self._model.features([crop for crops in batch for crop in crops]).reshape(len(batch), -1)

    def decide(self, features: np.ndarray) -> np.ndarray:
        """Return the mean of the crops' probabilities (N, classes)."""
        scores = self._model.decide(features.reshape(CROPS * len(features), -1))
        return np.asarray(scores.reshape(len(features), CROPS, -1).mean(axis=1))
