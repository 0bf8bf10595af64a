"""What a training begins from, where that are another network's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from imgtool.classifiers.protocol import Trainable
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.folders import same_name
from imgtool.datasets.overlap import images_in_common, kept_prefixes, merged_prefixes
from imgtool.networks.declaration import Sequence as NetworkSequence
from imgtool.networks.low_rank import with_factors


@dataclass(frozen=True, eq=False)
class Start:
    """Weights to begin with, and where they come from.

    classes, identifiers: what the last layer tells apart, empty where it begins anew; origin: as a model's provenance
    has it under `init`; validation: the hash of images that chose these weights and of which none was learned from.
    """

    arrays: Mapping[str, np.ndarray]
    classes: tuple[str, ...]
    identifiers: tuple[str | None, ...]
    origin: Mapping[str, str]
    validation: str

    def tells(self, classes: Sequence[str]) -> bool:
        """Tell whether the last layer was kept, and tells these classes apart."""
        return bool(self.classes) and _are_called(classes, self.classes, self.identifiers)

    @classmethod
    def of(cls, other: Trainable, network: NetworkSequence, classes: Sequence[str], name: str) -> Self:
        """Return what a network with so many classes takes of a trained model; of its last layer only for the same.

        For another rank, matrices are factored anew. The weights are remembered by `name`.
        """
        arrays = with_factors(network, other.arrays())
        labels: tuple[Any, Any] = (other.classes, other.identifiers)
        if not _are_called(classes, other.classes, other.identifiers):
            head, labels = network.last_learned(), ((), ())
            arrays = {key: array for key, array in arrays.items() if not key.startswith(f"{head}.")}
        origin = {"name": name, "sha256": other.weights_hash, "data": data_of(other.provenance)}
        validation, before = other.provenance.get("validation", {}).get("sha256", ""), other.provenance.get("init")
        is_clean = not before or before.get("validation") == validation
        return cls(arrays, *labels, origin, validation if is_clean else "")


def _are_called(classes: Sequence[str], names: Sequence[str], identifiers: Sequence[str | None]) -> bool:
    """Tell whether a data set's classes are those of a model in its order, called by names or identifiers."""
    return tuple(classes) in (tuple(map(same_name, names)), tuple(identifiers))


def seen_at_start(model: Trainable, images: Dataset) -> int:
    """Return how many images the weights had seen which a training began with; an estimate as `is_estimate` tells.

    Images that did nothing but choose those weights may choose again: they do not count.
    """
    start: Start | None = getattr(model, "start", None)
    if not model.seen_before or (start is not None and start.validation == images.digest()):
        return 0
    return images_in_common(model.seen_before, images.hashes)


def chosen_by(model: Trainable, validation: Dataset) -> dict[str, Any]:
    """Return what a provenance says of the images that chose its weights: which they are, and what was seen in all.

    Under `init` they are named, too, where the weights at the start had not learned from them.
    """
    digest = validation.digest()
    seen = merged_prefixes(model.provenance["seen"], kept_prefixes(validation.hashes))
    found = {"validation": {"images": len(validation), "sha256": digest}, "seen": seen}
    if "init" not in model.provenance or seen_at_start(model, validation):
        return found
    return {**found, "init": {**model.provenance["init"], "validation": digest}}


def data_of(provenance: Mapping[str, Any]) -> str:
    """Return the hash of the training part that weights come from; "" for what builds on others itself."""
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
