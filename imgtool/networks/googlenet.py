"""GoogLeNet: inception modules, four branches side by side, with torchvision's tensor names.

Szegedy et al., "Going deeper with convolutions", CVPR 2015, table 1. Where torchvision's network, whose weights are
published, departs from the paper, so does this one: batch normalization behind every convolution, 3x3 convolutions in
the branch whose 5x5 the paper has, and neither local response normalization nor dropout of 40 % (it is 20 %).
"""

from __future__ import annotations

from imgtool.networks.declaration import (
    AdaptiveAvgPool,
    Auxiliary,
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Linear,
    MaxPool,
    ReLU,
    Sequence,
)

EPS = 1e-3  # of batch normalization


def googlenet(
    classes: int = 1000, *, dropout: float = 0.2, auxiliary_dropout: float = 0.7, auxiliary: bool = False
) -> Sequence:
    """(3, 224, 224), or any other sides -> (classes,) logits.

    auxiliary: with two more classifiers in the middle, which only training sees.
    """
    network = Sequence(
        conv1=conv(3, 64, 7, stride=2, padding=3), maxpool1=MaxPool(3, 2, ceil=True),
        conv2=conv(64, 64, 1), conv3=conv(64, 192, 3, padding=1), maxpool2=MaxPool(3, 2, ceil=True),
        inception3a=inception(192, 64, (96, 128), (16, 32), 32),
        inception3b=inception(256, 128, (128, 192), (32, 96), 64),
        maxpool3=MaxPool(3, 2, ceil=True),
        inception4a=inception(480, 192, (96, 208), (16, 48), 64),
        aux1=auxiliary_head(512, classes, auxiliary_dropout),
        inception4b=inception(512, 160, (112, 224), (24, 64), 64),
        inception4c=inception(512, 128, (128, 256), (24, 64), 64),
        inception4d=inception(512, 112, (144, 288), (32, 64), 64),
        aux2=auxiliary_head(528, classes, auxiliary_dropout),
        inception4e=inception(528, 256, (160, 320), (32, 128), 128),
        maxpool4=MaxPool(2, 2, ceil=True),
        inception5a=inception(832, 256, (160, 320), (32, 128), 128),
        inception5b=inception(832, 384, (192, 384), (48, 128), 128),
        avgpool=AdaptiveAvgPool(1),
        flatten=Flatten(),
        dropout=Dropout(dropout),
        fc=Linear(1024, classes),
    )  # fmt: skip
    return network if auxiliary else network.without_auxiliary()


def inception(inputs: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> Sequence:
    """Four branches side by side, as the table's columns: 1x1; 3x3 and 5x5, each reduced first; pool and projection."""
    return Sequence(
        Concat(
            branch1=conv(inputs, one, 1),
            branch2=Sequence(conv(inputs, three[0], 1), conv(three[0], three[1], 3, padding=1)),
            branch3=Sequence(conv(inputs, five[0], 1), conv(five[0], five[1], 3, padding=1)),
            branch4=Sequence(MaxPool(3, 1, padding=1, ceil=True), conv(inputs, pooled, 1)),
        )
    )


def auxiliary_head(inputs: int, classes: int, dropout: float) -> Auxiliary:
    """A classifier of its own on a map of 4 x 4."""
    return Auxiliary(
        Sequence(
            pool=AdaptiveAvgPool(4), conv=conv(inputs, 128, 1), flatten=Flatten(),
            fc1=Linear(2048, 1024), relu=ReLU(), dropout=Dropout(dropout), fc2=Linear(1024, classes),
        )
    )  # fmt: skip


def conv(inputs: int, outputs: int, size: int, stride: int = 1, padding: int = 0) -> Sequence:
    """A convolution, batch normalization and ReLU."""
    return Sequence(
        conv=Conv(inputs, outputs, size, stride, padding, bias=False), bn=BatchNorm(outputs, EPS), relu=ReLU()
    )
