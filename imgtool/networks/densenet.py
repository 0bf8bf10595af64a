"""DenseNet: each layer adds its channels to all those before it, with torchvision's tensor names.

Huang, Liu, van der Maaten, Weinberger, "Densely connected convolutional networks", CVPR 2017, table 1 (DenseNet-BC):
bottlenecks of four times the growth, and transitions that halve channels and sides. DenseNet-161 grows by 48.
"""

from __future__ import annotations

from typing import NamedTuple

from imgtool.networks.declaration import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    Identity,
    Linear,
    MaxPool,
    ReLU,
    Sequence,
)


class Size(NamedTuple):
    """What tells the family's members apart. layers: of each dense block; growth: channels that a layer adds."""

    layers: tuple[int, int, int, int]
    growth: int = 32


SIZES = {
    121: Size((6, 12, 24, 16)),
    161: Size((6, 12, 36, 24), growth=48),
    169: Size((6, 12, 32, 32)),
    201: Size((6, 12, 48, 32)),
}


def densenet(depth: int, classes: int = 1000) -> Sequence:
    """(3, 224, 224), or any sides of 29 pixels and more -> (classes,) logits; depth: 121, 161, 169 or 201."""
    layers, growth = SIZES[depth]
    channels = 2 * growth
    first, blocks = channels, {}
    for index, count in enumerate(layers, start=1):
        blocks[f"denseblock{index}"] = dense_block(count, channels, growth)
        channels += count * growth
        if index < len(layers):
            blocks[f"transition{index}"] = transition(channels)
            channels //= 2
    return Sequence(
        features=Sequence(
            conv0=Conv(3, first, 7, stride=2, padding=3, bias=False), norm0=BatchNorm(first), relu0=ReLU(),
            pool0=MaxPool(3, 2, padding=1),
            **blocks,
            norm5=BatchNorm(channels),
        ),
        relu=ReLU(),
        avgpool=AdaptiveAvgPool(1),
        flatten=Flatten(),
        classifier=Linear(channels, classes),
    )  # fmt: skip


def dense_block(layers: int, inputs: int, growth: int) -> Sequence:
    """Layers that each see their input beside what all layers before them added."""
    widths = [inputs + growth * i for i in range(layers)]
    return Sequence(
        *(Concat(Identity(), **{f"denselayer{i}": dense_layer(n, growth)}) for i, n in enumerate(widths, start=1))
    )


def dense_layer(inputs: int, growth: int) -> Sequence:
    """A bottleneck and a 3x3 convolution."""
    narrow = 4 * growth
    return Sequence(
        norm1=BatchNorm(inputs), relu1=ReLU(), conv1=Conv(inputs, narrow, 1, bias=False),
        norm2=BatchNorm(narrow), relu2=ReLU(), conv2=Conv(narrow, growth, 3, padding=1, bias=False),
    )  # fmt: skip


def transition(inputs: int) -> Sequence:
    """Half of the channels, half of the sides."""
    return Sequence(norm=BatchNorm(inputs), relu=ReLU(), conv=Conv(inputs, inputs // 2, 1, bias=False), pool=AvgPool(2))
