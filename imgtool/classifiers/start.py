"""What a training begins from, where that are another network's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from imgtool.classifiers.protocol import Trainable
from imgtool.datasets.folders import same_name
from imgtool.networks.declaration import Sequence as NetworkSequence
from imgtool.networks.low_rank import with_factors


@dataclass(frozen=True, eq=False)
class Start:
    """Weights to begin with, and where they come from.

    classes, identifiers: what the last layer tells apart, empty where it begins anew; origin: as a model's provenance
    has it under `init`; validation: the hash of the images that chose these weights, "" for none.
    """

    arrays: Mapping[str, np.ndarray]
    classes: tuple[str, ...]
    identifiers: tuple[str | None, ...]
    origin: Mapping[str, str]
    validation: str

    @classmethod
    def of(cls, other: Trainable, network: NetworkSequence, classes: Sequence[str], name: str) -> Self:
        """Return what a network with so many classes takes of a trained model; of its last layer only for the same.

        For another rank, matrices are factored anew. The weights are remembered by `name`.
        """
        arrays = with_factors(network, other.arrays())
        labels: tuple[Any, Any] = (other.classes, other.identifiers)
        if tuple(classes) not in (tuple(map(same_name, other.classes)), other.identifiers):
            head, labels = network.last_learned(), ((), ())
            arrays = {key: array for key, array in arrays.items() if not key.startswith(f"{head}.")}
        origin = {"name": name, "sha256": other.weights_hash, "data": data_of(other.provenance)}
        return cls(arrays, *labels, origin, other.provenance.get("validation", {}).get("sha256", ""))


def data_of(provenance: Mapping[str, Any]) -> str:
    """Return the hash of all that weights were trained on or chosen by; "" for what builds on others itself."""
    if builds_on_others(provenance):
        return ""
    return str((provenance.get("drawn_from") or provenance.get("data") or {}).get("sha256", ""))


def builds_on_others(facts: Mapping[str, Any]) -> bool:
    """Tell whether a model builds on weights that were trained on other images than its own.

    facts: its provenance, or what a comparison keeps of that.
    """
    init = facts.get("init") or {}
    own = {(facts.get(key) or {}).get("sha256") for key in ("data", "drawn_from")} - {None}
    return bool(init) and init.get("data", "") not in own
