"""VGG: stacks of 3x3 convolutions between pools, with torchvision's tensor names.

Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015, table 1. Batch
normalization is younger than the paper; networks with it are torchvision's `vgg11_bn` and so on.
"""

from __future__ import annotations

from imgtool.networks.declaration import (
    AdaptiveAvgPool,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    ReLU,
    Sequence,
)

CHANNELS = (64, 128, 256, 512, 512)  # of the five stacks, each of which ends in a pool
# How many convolutions each stack has: columns A, B, D and E of the table.
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg(depth: int, classes: int = 1000, *, batch_norm: bool = False, dropout: float = 0.5) -> Sequence:
    """(3, 224, 224), or any sides of 32 pixels and more -> (classes,) logits.

    depth: layers with weights, 11, 13, 16 or 19. batch_norm: after each convolution.
    """
    stacks: list[Layer] = []
    for inputs, outputs, count in zip((3, *CHANNELS), CHANNELS, CONVOLUTIONS[depth], strict=False):
        for index in range(count):
            stacks += [Conv(outputs if index else inputs, outputs, 3, padding=1)]
            stacks += [BatchNorm(outputs), ReLU()] if batch_norm else [ReLU()]
        stacks += [MaxPool(2)]
    return Sequence(
        features=Sequence(*stacks),
        avgpool=AdaptiveAvgPool(7),
        flatten=Flatten(),
        classifier=Sequence(
            Linear(512 * 7 * 7, 4096), ReLU(), Dropout(dropout),
            Linear(4096, 4096), ReLU(), Dropout(dropout),
            Linear(4096, classes),
        ),
    )  # fmt: skip
