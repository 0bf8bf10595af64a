"""`sift-bow-svm`: bags of visual words (Sivic and Zisserman, ICCV 2003; Lazebnik et al., CVPR 2006) and an SVM."""

from __future__ import annotations

from dataclasses import dataclass

from imgtool.classifiers.classic.sift_svm import MixtureParameters, MixtureSvm
from imgtool.parameters import parameter


@dataclass(frozen=True)
class SiftBowParameters(MixtureParameters):
    """What sift-bow-svm can vary."""

    pyramid: tuple[str, ...] = parameter(("1x1", "2x2"), "Levels of the spatial pyramid, such as 1x1,3x1.")
    k: int = parameter(1024, "Words.", low=1, high=65536)
    samples: int = parameter(64_000, "Descriptors that the words are fitted to.", low=1, high=100_000_000)


class SiftBowSvm(MixtureSvm):
    """How often each word occurs in each cell of a spatial pyramid, as square roots."""

    groups = {"architecture": SiftBowParameters()}  # noqa: RUF012
    encoding = descriptor = "bow"
