"""Grad-CAM: which places of a feature map speak for a class.

Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra, "Grad-CAM: visual explanations from deep networks via gradient-based
localization", ICCV 2017: the maps are added up, each weighted by the mean gradient of the class's logit with respect to
its values (equation 1), and what is below zero, which speaks against the class, is left out (equation 2).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from imgtool.networks.cut import behind, until
from imgtool.networks.declaration import Sequence
from imgtool.networks.numpy_backend import NumpyNetwork

Arrays = Mapping[str, np.ndarray]


def feature_maps(network: Sequence, arrays: Arrays, layer: str, images: np.ndarray) -> np.ndarray:
    """Return what a layer gives for images (n, channels, rows, columns), in that form if it has rows and columns."""
    return _part(until(network, layer), arrays).predict(images)


def grad_cam(network: Sequence, arrays: Arrays, layer: str, maps: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return (n, rows, columns), not below 0.

    maps: what the layer gives for n images, (n, channels, rows, columns); classes: (n), whose logits are asked for.
    Only what is behind the layer is computed, forwards and backwards.
    """
    tail = _part(behind(network, layer), arrays)
    gradient = np.zeros_like(tail.forward(maps))
    gradient[np.arange(len(maps)), classes] = 1
    weights = tail.backward(gradient).mean(axis=(2, 3))
    return np.asarray(np.maximum((weights[:, :, None, None] * maps).sum(axis=1), 0))


def _part(network: Sequence, arrays: Arrays) -> NumpyNetwork:
    """Return a part of a network with its own of all arrays."""
    return NumpyNetwork(network, {name: arrays[name] for name in network.arrays()})
