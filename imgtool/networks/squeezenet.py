"""SqueezeNet: fire modules, which narrow by 1x1 convolutions and widen by 1x1 and 3x3, with torchvision's tensor names.

Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", arXiv:1602.07360,
table 1. Version 1.1, of the authors' repository, pools earlier and begins with 64 kernels of 3x3: 2.4 times fewer
multiply-adds. Its last learned layer is a convolution; what is classified is the mean of each class's map.
"""

from __future__ import annotations

from imgtool.networks.declaration import (
    AdaptiveAvgPool,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Identity,
    Layer,
    MaxPool,
    ReLU,
    Sequence,
)

# (squeezed, widened by each half) of the eight fire modules; both versions have the same.
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
# Before which modules the maps are halved, and the first convolution's kernels and their size.
VERSIONS = {"1.0": ((0, 3, 7), 96, 7), "1.1": ((0, 2, 4), 64, 3)}


def squeezenet(version: str, classes: int = 1000, *, dropout: float = 0.5) -> Sequence:
    """(3, 224, 224), or any other sides -> (classes,) logits; version: "1.0" or "1.1"."""
    halved, channels, size = VERSIONS[version]
    layers: list[Layer] = [Conv(3, channels, size, stride=2), ReLU()]
    for index, (narrow, wide) in enumerate(FIRES):
        layers += [MaxPool(3, 2, ceil=True)] if index in halved else []
        layers += [fire(channels, narrow, wide)]
        channels = 2 * wide
    return Sequence(
        features=Sequence(*layers),
        classifier=Sequence(Dropout(dropout), Conv(channels, classes, 1), ReLU(), AdaptiveAvgPool(1)),
        flatten=Flatten(),
        logits=Identity(),
    )


def fire(inputs: int, narrow: int, wide: int) -> Sequence:
    """A 1x1 convolution, and behind it a 1x1 and a 3x3 side by side."""
    return Sequence(
        squeeze=Conv(inputs, narrow, 1), squeeze_activation=ReLU(),
        expand=Concat(
            Sequence(expand1x1=Conv(narrow, wide, 1), expand1x1_activation=ReLU()),
            Sequence(expand3x3=Conv(narrow, wide, 3, padding=1), expand3x3_activation=ReLU()),
        ),
    )  # fmt: skip
