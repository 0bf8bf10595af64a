"""Which part of an image speaks for a label: Grad-CAM of any network here, in NumPy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.protocol import index_of
from imgtool.classifiers.registry import open_model
from imgtool.classifiers.shipped import DEFAULT_NETWORK
from imgtool.errors import DataError, ParameterError
from imgtool.image.levels import as_levels
from imgtool.image.resize import resize
from imgtool.networks.cut import last_map
from imgtool.networks.grad_cam import feature_maps
from imgtool.networks.grad_cam import grad_cam as weighted_maps

if TYPE_CHECKING:
    from imgtool.classifiers.protocol import Classifier


class GradCam:
    """A network, and the layer whose maps are weighted."""

    def __init__(self, model: Classifier) -> None:
        """Raise ParameterError for a model that is no network, or has no feature maps."""
        if not isinstance(model, NetworkClassifier):
            raise ParameterError(f"{model.name} is no network, so it has no feature maps")
        self.model, self._network = model, model.network()
        try:
            self.layer = last_map(self._network, model.input_shape)
        except ParameterError as error:
            raise ParameterError(f"{model.name} {error}") from None
        self._arrays = model.arrays()

    def of_prepared(self, square: np.ndarray, index: int) -> np.ndarray:
        """Return (rows, columns) of the layer for a prepared image and a class, not below 0. Raises DataError."""
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused below, in one line
            network = self._network, self._arrays, self.layer
            maps = feature_maps(*network, self.model.preprocessing.normalize([square]))
            heat: np.ndarray = weighted_maps(*network, maps, np.array([index]))[0]
        if not np.isfinite(heat).all():
            raise DataError(f"{self.model.name} gives no numbers: its weights are too large")
        return heat

    def spread(self, heat: np.ndarray, rows: int, columns: int) -> np.ndarray:
        """Return heat over an image of this size, (rows, columns) float32, 1 at the most; 0 where it is not seen."""
        down, across = self.model.preprocessing.window(rows, columns)
        result = np.zeros((rows, columns), np.float32)
        heat = resize(heat.astype(np.float32), down.stop - down.start, across.stop - across.start)
        result[down, across] = heat / max(float(heat.max()), np.finfo(np.float32).tiny)
        return result


def grad_cam(
    image: ArrayLike, *, model: str | os.PathLike[str] | Classifier = DEFAULT_NETWORK, label: str | None = None
) -> np.ndarray:
    """Find the part of an image that speaks for a label, by Grad-CAM.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, channels)
        Bool, integers, or floats from 0 to 1, of any size.
    model : str, path or network
        An included network, the folder of a trained one, or what `open_model` returns.
    label : str, optional
        One of the model's classes, or its identifier. Default: the best label.

    Returns
    -------
    ndarray, (height, width), float32
        1 where most speaks for the label, 0 where nothing does, and outside the square that the network sees.

    Raises
    ------
    ImageError
        The image is none that models take.
    ParameterError
        The model is unknown or no network, has no feature maps, or does not know the label.
    DataError
        The folder is not a complete model.

    Notes
    -----
    Selvaraju et al., ICCV 2017, of the last layer with rows and columns that is no pool (of AlexNet, the fifth
    convolution after its ReLU). Before they are enlarged, by bilinear interpolation, the weighted maps agree with those
    of PyTorch's gradients to 1e-4 of the largest number.

    Examples
    --------
    >>> import imgtool
    >>> heat = imgtool.grad_cam(imgtool.read("sample_images/coffee.png"), model="alexnet", label="cassette player")
    >>> heat.shape, float(heat.min()), float(heat.max())
    ((200, 300), 0.0, 1.0)
    """
    opened = open_model(os.fspath(model)) if isinstance(model, str | os.PathLike) else model
    cam, array = GradCam(opened), as_levels(image_array(image))
    square = cam.model.prepare(array)
    index = int(opened.decide(opened.features([square]))[0].argmax()) if label is None else index_of(opened, label)
    return cam.spread(cam.of_prepared(square, index), *array.shape[:2])
