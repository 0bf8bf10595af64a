"""ResNet: residual blocks, with torchvision's tensor names.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, table 1; a shortcut is a 1x1
convolution where a stage changes channels and size (the paper's option B). In a bottleneck the 3x3 convolution has the
stride, as in torchvision and Facebook's networks of 2016; in the paper the first 1x1 has it.
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

CHANNELS = (64, 128, 256, 512)  # of the four stages
EXPANSION = 4  # of a bottleneck's channels
# How many blocks each stage has, and whether they are bottlenecks.
BLOCKS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}


def resnet(depth: int, classes: int = 1000) -> Sequence:
    """(3, 224, 224), or any other sides -> (classes,) logits; depth: 18, 34, 50, 101 or 152 layers with weights."""
    counts, is_deep = BLOCKS[depth]
    expansion = EXPANSION if is_deep else 1
    stages, inputs = {}, CHANNELS[0]
    for index, (channels, count) in enumerate(zip(CHANNELS, counts, strict=True)):
        stages[f"layer{index + 1}"] = stage(inputs, channels, count, 2 if index else 1, bottlenecks=is_deep)
        inputs = channels * expansion
    return Sequence(
        conv1=Conv(3, 64, 7, stride=2, padding=3, bias=False), bn1=BatchNorm(64), relu=ReLU(),
        maxpool=MaxPool(3, 2, padding=1),
        **stages,
        avgpool=AdaptiveAvgPool(1),
        flatten=Flatten(),
        fc=Linear(inputs, classes),
    )  # fmt: skip


def stage(inputs: int, channels: int, count: int, stride: int, *, bottlenecks: bool) -> Sequence:
    """Blocks of these channels, of which the first has the stride."""
    block = bottleneck if bottlenecks else basic_block
    outputs = channels * (EXPANSION if bottlenecks else 1)
    return Sequence(block(inputs, channels, stride), *(block(outputs, channels, 1) for _ in range(count - 1)))


def basic_block(inputs: int, channels: int, stride: int) -> Sequence:
    """Two 3x3 convolutions and a shortcut around them."""
    body = Sequence(
        conv1=Conv(inputs, channels, 3, stride, padding=1, bias=False), bn1=BatchNorm(channels), relu=ReLU(),
        conv2=Conv(channels, channels, 3, padding=1, bias=False), bn2=BatchNorm(channels),
    )  # fmt: skip
    return Sequence(sum=Sum(body, downsample=shortcut(inputs, channels, stride)), relu=ReLU())


def bottleneck(inputs: int, channels: int, stride: int) -> Sequence:
    """A 1x1 convolution that narrows, a 3x3, a 1x1 that widens, and a shortcut around them."""
    outputs = channels * EXPANSION
    body = Sequence(
        conv1=Conv(inputs, channels, 1, bias=False), bn1=BatchNorm(channels), relu1=ReLU(),
        conv2=Conv(channels, channels, 3, stride, padding=1, bias=False), bn2=BatchNorm(channels), relu2=ReLU(),
        conv3=Conv(channels, outputs, 1, bias=False), bn3=BatchNorm(outputs),
    )  # fmt: skip
    return Sequence(sum=Sum(body, downsample=shortcut(inputs, outputs, stride)), relu=ReLU())


def shortcut(inputs: int, outputs: int, stride: int) -> Layer:
    """Return the input itself, or where its shape is not that of the output, a projection."""
    if inputs == outputs and stride == 1:
        return Identity()
    return Sequence(Conv(inputs, outputs, 1, stride, bias=False), BatchNorm(outputs))
