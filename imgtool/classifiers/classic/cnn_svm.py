"""A network's features, and a linear support vector machine on top.

Sharif Razavian et al., "CNN features off-the-shelf", CVPR Workshops 2014. The network is one of those that ship and
stays as it is: a stored model names it and the hash of its weights, and holds the machine alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from imgtool.classifiers import fields
from imgtool.classifiers.classic.vector_svm import SvmParameters, VectorSvm
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.settings import Groups
from imgtool.classifiers.shipped import DEFAULT_NETWORK, SHIPPED_FOLDER, shipped_networks
from imgtool.classifiers.start import data_of
from imgtool.classifiers.storage import ModelData, load_description, load_model
from imgtool.datasets.dataset import Dataset
from imgtool.device import resolve
from imgtool.errors import DataError, ParameterError
from imgtool.events import Events
from imgtool.features.fisher import signed_root, unit
from imgtool.parameters import parameter

COSTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # the vectors have length 1, so that the best lies among few


@dataclass(frozen=True)
class CnnSvmParameters(SvmParameters):
    """What cnn-svm can vary. weights: the hash of the network's, which fitting sets."""

    costs: tuple[float, ...] = parameter(COSTS, "Costs of an error that cross-validation tries.", low=1e-9, high=1e9)
    network: str = parameter(DEFAULT_NETWORK, "Included network whose last layer but one describes images.")
    weights: str = parameter("", "")


class CnnSvm(VectorSvm):
    """The input of a network's last layer, its square root scaled to length 1."""

    groups = {"architecture": CnnSvmParameters()}  # noqa: RUF012
    backends = NetworkClassifier.backends
    uses_devices = True
    descriptor = "embed"

    def __init__(self, name: str, groups: Groups | None = None, *, chosen: Iterable[str] = ()) -> None:
        super().__init__(name, groups, chosen=chosen)
        self._network: NetworkClassifier | None = None

    def check_sizes(self) -> None:
        """Refuse what is no included network, such as a path."""
        if self.parameters.network not in (there := shipped_networks()):
            text = f"network must be one that is included, {', '.join(there)}; got {self.parameters.network!r}"
            raise ParameterError(text)

    def fit(
        self,
        dataset: Dataset,
        *,
        seed: int = 0,
        device: str = "cpu",
        resume: Path | None = None,
        events: Events | None = None,
    ) -> Self:
        """Fit the machine, the network running on the device."""
        if dataset.made is None:
            self._open(device=resolve(device))
        return super().fit(dataset, seed=seed, device=device, events=events)

    def settings_in(self, made: dict[str, Any]) -> dict[str, Any]:
        """Return settings given the network and its weights' hash."""
        if not fields.is_hash(made["weights"]):
            raise DataError("does not say which weights its network had")
        return {"network": made.pop("model"), "weights": made.pop("weights")}

    def record_training(self, dataset: Dataset, *, seed: int, history: list[dict[str, Any]], **more: Any) -> None:
        """Say which network the features come from, too."""
        built_on = load_description(SHIPPED_FOLDER / self.parameters.network)["provenance"]
        self.seen_before = built_on.get("seen", "")
        origin = {"name": self.parameters.network, "sha256": self.parameters.weights, "data": data_of(built_on)}
        super().record_training(dataset, seed=seed, history=history, init=origin, **more)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return what the network sees of an image."""
        return self._running().prepare(image)

    def features(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return square roots, with the sign of what they are of, scaled to length 1."""
        return unit(signed_root(self._running().features(batch)))

    def vector_of(self, described: np.ndarray) -> np.ndarray:
        """Return the same of the features of one image."""
        vector: np.ndarray = unit(signed_root(described[None]))[0]
        return vector

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the vector of one prepared image."""
        vector: np.ndarray = self.features([image])[0]
        return vector

    def parameter_count(self) -> int:
        """Return how many numbers network and machine have."""
        return self._running().parameter_count() + (super().parameter_count() or 0)

    def length(self) -> int:
        """Return how many numbers the last layer takes."""
        if self._network is None:
            self._open()
        network = self._running()
        return network.network().trunk().output_shape(network.input_shape)[0]

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Open the network and take the machine. Raises DataError where the network here has other weights."""
        if not fields.is_hash(self.parameters.weights):
            raise DataError("weights in model.json is no hash")
        self._open()
        super().restore(arrays)

    @classmethod
    def from_data(cls, data: ModelData, *, backend: str = "auto", device: str = "cpu") -> Self:
        """Return the model that a folder holds, its network on a backend and device."""
        model = super().from_data(data)
        if (backend, device) != ("auto", "cpu"):
            model._open(backend=backend, device=device)
        return model

    def _open(self, *, backend: str = "auto", device: str = "cpu") -> None:
        """Open the network, and remember its weights' hash."""
        name, wanted = self.parameters.network, self.parameters.weights
        data = load_model(SHIPPED_FOLDER / name)
        if wanted and data.weights_hash != wanted:
            raise DataError(f"was made with {name} {wanted[:12]}, and this imgtool has {data.weights_hash[:12]}")
        self._network = NetworkClassifier.from_data(data, backend=backend, device=device)
        self.change("architecture", replace(self.parameters, weights=data.weights_hash))

    def _running(self) -> NetworkClassifier:
        if self._network is None:
            raise DataError(f"{self.name} is not fitted")
        return self._network
