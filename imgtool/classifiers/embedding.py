"""A network as a descriptor: what one of its layers makes of an image, by default the last layer but one.

Networks that were trained to tell many classes apart describe images of other classes, too (Donahue et al., "DeCAF",
ICML 2014; Sharif Razavian et al., "CNN features off-the-shelf", CVPR Workshops 2014).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.protocol import Classifier
from imgtool.classifiers.registry import open_model
from imgtool.classifiers.shipped import DEFAULT_NETWORK
from imgtool.errors import DataError, ParameterError
from imgtool.image.levels import as_levels
from imgtool.networks.cut import before_deciding


class Embedding:
    """A network up to one of its layers, None for the last but one; several threads may use it."""

    def __init__(self, model: Classifier, layer: str | None = None) -> None:
        """Raise ParameterError for a model that is no network, or has no such layer."""
        if not isinstance(model, NetworkClassifier):
            name = model.name if isinstance(model, Classifier) else repr(model)[:60]
            raise ParameterError(f"{name} is no network, so it has no layers that describe images")
        if not isinstance(layer, str | None):
            raise ParameterError(f"layer must be a name, got {layer!r}"[:100])
        self.model = model
        if layer is None:
            layer = before_deciding(model.network())
        self._runner = None if layer is None else model.runner_up_to(layer)

    @classmethod
    def of(cls, model: str | os.PathLike[str], layer: str | None = None, *, device: str = "cpu") -> Self:
        """Open a trained network by name or folder, to run on a device."""
        return cls(open_model(os.fspath(model), device=device), layer)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return what the network sees of an image of any size, depth and color."""
        return self.model.prepare(as_levels(image))

    def describe(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """Return (N, D) float32 for N prepared images; of a layer with rows and columns, the mean over these.

        Raises DataError when weights too large for their type make it NaN or infinite.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused below, in one line
            if self._runner is None:
                values = self.model.features(prepared)
            else:
                values = self._runner.features(self.model.preprocessing.normalize(prepared))
        if not np.isfinite(values).all():
            raise DataError(f"{self.model.name} gives no numbers: its weights are too large")
        return values

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the vector (D,) of one image.

        On the CPU images are described one by one, since the last bits of a product depend on how many rows it has.
        """
        vector: np.ndarray = self.describe([self.prepare(image)])[0]
        return vector


def embed(
    image: ArrayLike, *, model: str | os.PathLike[str] | Classifier = DEFAULT_NETWORK, layer: str | None = None
) -> np.ndarray:
    """Describe an image by a layer of a network, by default the last layer but one.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, channels)
        Bool, integers, or floats from 0 to 1; of any size, which the network's preprocessing changes to its own.
    model : str, path or network
        An included network, the folder of a trained one, or what `open_model` returns. For many images open it once.
    layer : str, optional
        Another layer, by its name in the network. Where it gives rows and columns, their mean is taken.

    Returns
    -------
    ndarray, (D,), float32
        What the layer gives: of EfficientNet-Lite0 1,280 numbers, not below 0.

    Raises
    ------
    ImageError
        The image is none that models take.
    ParameterError
        The model is unknown or no network, or has no such layer.
    DataError
        The folder is not a complete model.

    Notes
    -----
    Donahue et al., ICML 2014. Agrees with the same network in PyTorch to 1e-4 of the largest number.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> imgtool.embed(np.zeros((64, 64), np.uint8), model="lenet").shape
    (84,)
    """
    opened = open_model(os.fspath(model)) if isinstance(model, str | os.PathLike) else model
    return Embedding(opened, layer)(image_array(image))
