"""`sift-fv-svm`: improved Fisher vectors of dense SIFT (Perronnin, Sanchez and Mensink, ECCV 2010) and a linear SVM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from imgtool.classifiers.classic.sift_svm import MixtureParameters, MixtureSvm
from imgtool.features.encoding import PER_COMPONENT
from imgtool.parameters import parameter

BEFORE = {"color": "gray", "mirror": False}  # of models that were stored before there was a choice


@dataclass(frozen=True)
class SiftFisherParameters(MixtureParameters):
    """What sift-fv-svm can vary."""

    k: int = parameter(256, "Gaussians of the mixture.", low=1, high=65536)
    samples: int = parameter(256_000, "Descriptors that the mixture is fitted to.", low=1, high=100_000_000)

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """Return the value that `to_json` gave; models from before `k` was called so have `components`."""
        if isinstance(stored, Mapping) and "components" in stored and "k" not in stored:
            stored = BEFORE | {"k" if name == "components" else name: value for name, value in stored.items()}
        return super().from_json(stored)


class SiftFisherSvm(MixtureSvm):
    """Fisher vectors of dense RootSIFT."""

    groups = {"architecture": SiftFisherParameters()}  # noqa: RUF012
    encoding = descriptor = "fisher"
    iterations = 30
    per_component = PER_COMPONENT
