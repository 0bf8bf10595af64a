"""`sift-fv-svm`: improved Fisher vectors of dense SIFT (Perronnin, Sanchez and Mensink, ECCV 2010) and a linear SVM."""

from __future__ import annotations

from dataclasses import dataclass

from imgtool.classifiers.classic.sift_svm import MixtureParameters, MixtureSvm
from imgtool.parameters import parameter


@dataclass(frozen=True)
class SiftFisherParameters(MixtureParameters):
    """What sift-fv-svm can vary."""

    k: int = parameter(64, "Gaussians of the mixture.", low=1, high=65536)


class SiftFisherSvm(MixtureSvm):
    """Fisher vectors of dense RootSIFT."""

    groups = {"architecture": SiftFisherParameters()}  # noqa: RUF012
    encoding = "fisher"
