"""A network by name, trained or not, to look at: its layers, its first kernels, whether its gradients are right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.registry import DEFAULT_WEIGHTS, create, is_trained, open_model
from imgtool.errors import ParameterError
from imgtool.networks.gradcheck import gradient_check
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.layers import Conv, Linear
from imgtool.networks.summary import summary

UNTRAINED_CLASSES = 10  # of an architecture, unless told otherwise
SMALL_SIDE = 8  # of images for a network without weights, unless it needs larger ones


def open_network(name: str | Path, *, bare: bool = False) -> NetworkClassifier:
    """Return a network: a trained one by its name or folder, or an architecture without weights of its own.

    bare: an architecture's name means no weights that ship either.
    """
    text = str(name)
    trained = is_trained(text) or (text in DEFAULT_WEIGHTS and not bare)
    model = open_model(text) if trained else create(text)
    if not isinstance(model, NetworkClassifier):
        raise ParameterError(f"{name} is no network")
    return model


def layers(
    name: str | Path, shape: tuple[int, int, int] | None = None, classes: int | None = None
) -> list[dict[str, Any]]:
    """Return the table of a network's layers, see `summary`.

    shape: of the image, (channels, rows, columns); by default what the model was trained on, or would be. classes: by
    default the model's, for an architecture ten. With either an architecture's name is the network as it is published,
    not that of the weights that ship.
    """
    model = open_network(name, bare=shape is not None or classes is not None)
    if shape is not None:
        channels, *sides = shape
        for side in sides:  # a network may take the one and not the other
            seen = replace(model.preprocessing, side=side, resize=0, channels=channels, mean=(0.5,), deviation=(0.5,))
            model.architecture.check(seen, model.recipe)
        model.change("preprocessing", seen)
    network = model.network(classes or len(model.classes) or UNTRAINED_CLASSES)
    return summary(network, shape or model.input_shape)


def first_kernels(name: str | Path) -> np.ndarray:
    """Return what the first layer of a trained network looks for: (n, 1 or 3 channels, rows, columns).

    Of a convolution these are its kernels; of a layer that takes the whole image at once, the weights of its pixels.
    Raises ParameterError for a network without weights.
    """
    model = open_network(name)
    if not model.classes:
        raise ParameterError(f"{name} is an architecture without weights, so it has no kernels yet", hint="train")
    layers = model.network().shapes(model.input_shape)
    first, layer, _, _ = next(each for each in layers if isinstance(each[1], Conv | Linear))
    weights = model.arrays()[f"{first}.weight"]
    return weights if isinstance(layer, Conv) else weights.reshape(-1, *model.input_shape)


def gradients(name: str | Path, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the rows of `gradient_check` for a network: with its own weights, or random ones and a small image."""
    model = open_network(name)
    if model.classes:
        network, shape, arrays = model.network(), model.input_shape, model.arrays()
    else:
        side = max(model.architecture.sides[0], SMALL_SIDE)
        model.change("preprocessing", replace(model.preprocessing, side=side, resize=0))
        network, shape = model.network(UNTRAINED_CLASSES), model.input_shape
        arrays = draw_arrays(network, seed, shape)
    return gradient_check(network, arrays, shape, seed=seed)
