"""The function of an image that a feature file's meta speaks of: for queries, and for workers elsewhere."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from imgtool.cli.sizes import parse_size, resized

if TYPE_CHECKING:
    import numpy as np


def describer(meta: Mapping[str, Any], folder: str = "") -> Callable[[np.ndarray], Any]:
    """Return the function that describes images as `meta` says: by a vector, or local descriptors (sift).

    folder: that paths in it start from. Raises KeyError, TypeError or ValueError for a meta that does not say.
    """
    parameters = dict(meta["parameters"])
    size = parameters.pop("resize", None)
    describe = _DESCRIBERS[meta["descriptor"]](parameters, folder)
    if size is None:
        return describe
    width_height = parse_size("resize", str(size))
    return lambda image: describe(resized(image, width_height))


def _gist(parameters: dict[str, Any], _: str) -> Callable[[np.ndarray], Any]:
    from imgtool.features.gist import gist

    return functools.partial(gist, **parameters)


def _hog(parameters: dict[str, Any], _: str) -> Callable[[np.ndarray], Any]:
    from imgtool.cli.commands.hog import function_of

    return functools.partial(function_of(parameters.pop("variant", "skimage")), **parameters)


def _encoded(encoding: str, parameters: dict[str, Any], folder: str) -> Callable[[np.ndarray], Any]:
    from imgtool.cli.commands.fisher import SHIPPED, encoder

    codebook = parameters.pop("codebook")
    return encoder(encoding, codebook if codebook == SHIPPED else os.path.join(folder, codebook), **parameters)


def _sift(parameters: dict[str, Any], _: str) -> Callable[[np.ndarray], Any]:
    from imgtool.cli.commands.sift import at_keypoints, on_grid

    return at_keypoints(parameters["root"]) if "keypoints" in parameters else on_grid(**parameters)


_DESCRIBERS: dict[str, Callable[[dict[str, Any], str], Callable[[np.ndarray], Any]]] = {
    "gist": _gist,
    "hog": _hog,
    "sift": _sift,
    **{encoding: functools.partial(_encoded, encoding) for encoding in ("fisher", "vlad", "bow", "sparse")},
}
