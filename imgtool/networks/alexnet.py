"""AlexNet in the layout of torchvision: one tower, no local response normalization.

Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012; the
single tower is Krizhevsky's "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997.
"""

from __future__ import annotations

from imgtool.networks.declaration import Sequence
from imgtool.networks.layers import (
    AdaptiveAvgPool,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    activation_named,
)


def alexnet(
    classes: int = 1000,
    *,
    rank: int | None = None,
    dropout: float = 0.5,
    activation: str = "relu",
    batch_norm: bool = False,
) -> Sequence:
    """(3, 224, 224), or any sides of 63 pixels and more -> (classes,) logits.

    rank: write the first two linear layers, 54 of the 61 million weights, as products of low-rank factors.
    dropout: the probability before both of them. activation: relu, or for comparison tanh or sigmoid. batch_norm: after
    each convolution, which is younger than the paper (Ioffe and Szegedy, ICML 2015).
    """
    act = activation_named(activation)

    def after(channels: int) -> tuple[Layer, ...]:
        return (BatchNorm(channels), act) if batch_norm else (act,)

    return Sequence(
        features=Sequence(
            Conv(3, 64, 11, stride=4, padding=2), *after(64), MaxPool(3, 2),
            Conv(64, 192, 5, padding=2), *after(192), MaxPool(3, 2),
            Conv(192, 384, 3, padding=1), *after(384),
            Conv(384, 256, 3, padding=1), *after(256),
            Conv(256, 256, 3, padding=1), *after(256), MaxPool(3, 2),
        ),
        avgpool=AdaptiveAvgPool(6),
        flatten=Flatten(),
        classifier=Sequence(
            Dropout(dropout), Linear(256 * 6 * 6, 4096, rank), act,
            Dropout(dropout), Linear(4096, 4096, rank), act,
            Linear(4096, classes),
        ),
    )  # fmt: skip
