"""DenseNet-121: each layer adds 32 channels to all those before it, with torchvision's tensor names.

Huang, Liu, van der Maaten, Weinberger, "Densely connected convolutional networks", CVPR 2017, table 1: bottlenecks of
128 channels, and transitions that halve channels and sides.
"""

from __future__ import annotations

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

GROWTH_CHANNELS = 32
BOTTLENECK_CHANNELS = 4 * GROWTH_CHANNELS


def densenet121(classes: int = 1000) -> Sequence:
    """(3, 224, 224), or any sides of 29 pixels and more -> (classes,) logits."""
    return Sequence(
        features=Sequence(
            conv0=Conv(3, 64, 7, stride=2, padding=3, bias=False), norm0=BatchNorm(64), relu0=ReLU(),
            pool0=MaxPool(3, 2, padding=1),
            denseblock1=dense_block(6, 64), transition1=transition(256),
            denseblock2=dense_block(12, 128), transition2=transition(512),
            denseblock3=dense_block(24, 256), transition3=transition(1024),
            denseblock4=dense_block(16, 512), norm5=BatchNorm(1024),
        ),
        relu=ReLU(),
        avgpool=AdaptiveAvgPool(1),
        flatten=Flatten(),
        classifier=Linear(1024, classes),
    )  # fmt: skip


def dense_block(layers: int, inputs: int) -> Sequence:
    """Layers that each see their input beside what all layers before them added."""
    widths = [inputs + GROWTH_CHANNELS * i for i in range(layers)]
    return Sequence(*(Concat(Identity(), **{f"denselayer{i}": dense_layer(n)}) for i, n in enumerate(widths, start=1)))


def dense_layer(inputs: int) -> Sequence:
    """A bottleneck and a 3x3 convolution."""
    return Sequence(
        norm1=BatchNorm(inputs), relu1=ReLU(), conv1=Conv(inputs, BOTTLENECK_CHANNELS, 1, bias=False),
        norm2=BatchNorm(BOTTLENECK_CHANNELS), relu2=ReLU(),
        conv2=Conv(BOTTLENECK_CHANNELS, GROWTH_CHANNELS, 3, padding=1, bias=False),
    )  # fmt: skip


def transition(inputs: int) -> Sequence:
    """Half of the channels, half of the sides."""
    return Sequence(norm=BatchNorm(inputs), relu=ReLU(), conv=Conv(inputs, inputs // 2, 1, bias=False), pool=AvgPool(2))
