"""ResNet-18: residual blocks of two 3x3 convolutions, with torchvision's tensor names.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, table 1; a shortcut is a 1x1
convolution where a stage changes channels and size (the paper's option B).
"""

from __future__ import annotations

from imgtool.networks.declaration import (
    AdaptiveAvgPool,
    BatchNorm,
    Conv,
    Flatten,
    Identity,
    Layer,
    Linear,
    MaxPool,
    ReLU,
    Sequence,
    Sum,
)


def resnet18(classes: int = 1000) -> Sequence:
    """(3, 224, 224), or any other sides -> (classes,) logits."""
    return Sequence(
        conv1=Conv(3, 64, 7, stride=2, padding=3, bias=False), bn1=BatchNorm(64), relu=ReLU(),
        maxpool=MaxPool(3, 2, padding=1),
        layer1=Sequence(basic_block(64, 64, 1), basic_block(64, 64, 1)),
        layer2=Sequence(basic_block(64, 128, 2), basic_block(128, 128, 1)),
        layer3=Sequence(basic_block(128, 256, 2), basic_block(256, 256, 1)),
        layer4=Sequence(basic_block(256, 512, 2), basic_block(512, 512, 1)),
        avgpool=AdaptiveAvgPool(1),
        flatten=Flatten(),
        fc=Linear(512, classes),
    )  # fmt: skip


def basic_block(inputs: int, outputs: int, stride: int) -> Sequence:
    """Two convolutions and a shortcut around them."""
    body = Sequence(
        conv1=Conv(inputs, outputs, 3, stride, padding=1, bias=False), bn1=BatchNorm(outputs), relu=ReLU(),
        conv2=Conv(outputs, outputs, 3, padding=1, bias=False), bn2=BatchNorm(outputs),
    )  # fmt: skip
    return Sequence(sum=Sum(body, downsample=shortcut(inputs, outputs, stride)), relu=ReLU())


def shortcut(inputs: int, outputs: int, stride: int) -> Layer:
    """Return the input itself, or where its shape is not that of the output, a projection."""
    if inputs == outputs and stride == 1:
        return Identity()
    return Sequence(Conv(inputs, outputs, 1, stride, bias=False), BatchNorm(outputs))
