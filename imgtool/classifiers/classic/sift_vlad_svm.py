"""`sift-vlad-svm`: vectors of locally aggregated descriptors (Jegou et al., CVPR 2010) of dense SIFT, and an SVM."""

from __future__ import annotations

from dataclasses import dataclass

from imgtool.classifiers.classic.sift_svm import MixtureParameters, MixtureSvm
from imgtool.parameters import parameter


@dataclass(frozen=True)
class SiftVladParameters(MixtureParameters):
    """What sift-vlad-svm can vary."""

    k: int = parameter(64, "Words.", low=1, high=65536)


class SiftVladSvm(MixtureSvm):
    """VLAD of dense RootSIFT: sums of differences from the nearest word, square roots with their sign."""

    groups = {"architecture": SiftVladParameters()}  # noqa: RUF012
    encoding = descriptor = "vlad"
