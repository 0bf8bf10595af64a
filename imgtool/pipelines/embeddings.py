"""Networks as descriptors of many images: by name and the hash of their weights, which a feature file's meta holds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from imgtool.batch.shared import received
from imgtool.errors import DataError, ParameterError

if TYPE_CHECKING:
    import numpy as np

    from imgtool.classifiers.embedding import Embedding
    from imgtool.classifiers.storage import ModelData
    from imgtool.pipelines.device_batches import DeviceBatch

Parameters = dict[str, Any]


def complete(model: str | os.PathLike[str] | None = None, layer: str | None = None) -> Parameters:
    """Return a network's full name, or its folder (always with a slash), and the hash of its weights."""
    from imgtool.classifiers.registry import locate
    from imgtool.classifiers.shipped import DEFAULT_NETWORK, SHIPPED_FOLDER
    from imgtool.classifiers.storage import load_description

    name = os.fspath(model or DEFAULT_NETWORK)
    folder = locate(name)
    if folder.parent == SHIPPED_FOLDER:
        name = folder.name
    elif "/" not in name:
        name = f"./{name}"
    weights = load_description(folder)["weights"]["sha256"]
    return {"model": name, **({"layer": layer} if layer else {}), "weights": weights}


def describing(parameters: Parameters, folder: str) -> Embedding:
    """Return the function that describes an image, on the CPU. folder: that a network's path starts from."""
    return _opened(parameters, folder, "cpu")


def batch(parameters: Parameters, device: str) -> DeviceBatch[np.ndarray]:
    """Return the function that describes many images at once on a device."""
    from imgtool.pipelines.device_batches import DeviceBatch

    embedding = _opened(parameters, "", device)
    return DeviceBatch(device, lambda images: list(embedding.describe(images)), embedding.prepare)


def weights_to_send(parameters: Parameters) -> tuple[str, ModelData]:
    """Return the network that workers on other machines need, and the hash of its weights, by which they find it."""
    from imgtool.classifiers.registry import locate
    from imgtool.classifiers.storage import load_model

    data = load_model(locate(parameters["model"]))
    _require_weights(parameters, data.weights_hash)
    return data.weights_hash, data


def _opened(parameters: Parameters, folder: str, device: str) -> Embedding:
    """Open the network: what was sent to this worker, else what lies here. Raises DataError for other weights."""
    from imgtool.classifiers.embedding import Embedding
    from imgtool.classifiers.network import NetworkClassifier
    from imgtool.classifiers.registry import open_model

    name, sent = parameters["model"], received(parameters["weights"])
    if sent is not None:
        return Embedding(NetworkClassifier.from_data(sent), parameters.get("layer"))
    try:
        model = open_model(os.path.join(folder, name) if "/" in name else name, device=device)
    except ParameterError as error:
        raise DataError(str(error), hint=error.hint) from None
    _require_weights(parameters, model.weights_hash)
    return Embedding(model, parameters.get("layer"))


def _require_weights(parameters: Parameters, weights: str) -> None:
    """Raise DataError for other weights than the parameters name."""
    if weights != parameters["weights"]:
        name, wanted = parameters["model"], parameters["weights"][:12]
        raise DataError(f"{name} has other weights ({weights[:12]}) than those that describe the images ({wanted})")
