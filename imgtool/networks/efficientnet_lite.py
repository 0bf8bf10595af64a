"""EfficientNet-Lite: inverted residuals of depthwise convolutions, without what small devices lack.

Tan, Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019, table 1; Lite, published
by Google in 2020, leaves out squeeze and excitation, has ReLU6 for swish, and keeps stem, head and the first and last
stage's length at every scale. A block widens (Sandler et al., "MobileNetV2", CVPR 2018), filters each channel by
itself, and narrows again without a nonlinearity; where shapes agree its input is added. Tensor names are timm's.
"""

from __future__ import annotations

import math

from imgtool.networks.declaration import (
    AdaptiveAvgPool,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Identity,
    Layer,
    Linear,
    ReLU6,
    Sequence,
    Sum,
)

STEM, HEAD = 32, 1280  # channels
# Of each stage: how much a block widens, its channels, how many blocks, the first one's stride, the kernel's size.
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
EPS = 1e-3  # of batch normalization


def efficientnet_lite(
    classes: int = 1000, *, width: float = 1.0, depth: float = 1.0, dropout: float = 0.2, batch_norm: bool = True
) -> Sequence:
    """(3, 224, 224), or any other sides -> (classes,) logits.

    width, depth: what the stages' channels and lengths are multiplied by. batch_norm: after each convolution; without
    it, as when it is folded into them, convolutions have a bias.
    """
    stages, channels = [], STEM
    for index, (expansion, outputs, count, stride, size) in enumerate(STAGES):
        outputs = _channels(outputs * width)
        if 0 < index < len(STAGES) - 1:
            count = math.ceil(count * depth)
        blocks = [_block(channels, outputs, expansion, size, stride, batch_norm)]
        blocks += [_block(outputs, outputs, expansion, size, 1, batch_norm) for _ in range(count - 1)]
        stages.append(Sequence(*blocks))
        channels = outputs
    return Sequence(
        conv_stem=_conv(3, STEM, 3, 2, batch_norm), **_normed("bn1", STEM, batch_norm), act1=ReLU6(),
        blocks=Sequence(*stages),
        conv_head=_conv(channels, HEAD, 1, 1, batch_norm), **_normed("bn2", HEAD, batch_norm), act2=ReLU6(),
        pool=AdaptiveAvgPool(1),
        flatten=Flatten(),
        dropout=Dropout(dropout),
        classifier=Linear(HEAD, classes),
    )  # fmt: skip


def _block(inputs: int, outputs: int, expansion: int, size: int, stride: int, batch_norm: bool) -> Sequence:
    """Return a block, with its input added where shapes agree."""
    wide, layers = inputs * expansion, dict[str, Layer]()
    if expansion > 1:
        layers |= {
            "conv_pw": _conv(inputs, wide, 1, 1, batch_norm),
            **_normed("bn1", wide, batch_norm),
            "act1": ReLU6(),
        }
    filtered, narrowed, narrow = ("bn2", "bn3", "conv_pwl") if expansion > 1 else ("bn1", "bn2", "conv_pw")
    layers |= {"conv_dw": _conv(wide, wide, size, stride, batch_norm, groups=wide)}
    layers |= {**_normed(filtered, wide, batch_norm), "act2": ReLU6()}
    layers |= {narrow: _conv(wide, outputs, 1, 1, batch_norm), **_normed(narrowed, outputs, batch_norm)}
    body = Sequence(**layers)
    return Sequence(sum=Sum(body, Identity())) if stride == 1 and inputs == outputs else body


def _conv(inputs: int, outputs: int, size: int, stride: int, batch_norm: bool, groups: int = 1) -> Conv:
    """Return a convolution with TensorFlow's padding."""
    return Conv(inputs, outputs, size, stride, padding="same", bias=not batch_norm, groups=groups)


def _normed(name: str, channels: int, batch_norm: bool) -> dict[str, Layer]:
    """Return the batch normalization of this name, or nothing."""
    return {name: BatchNorm(channels, EPS)} if batch_norm else {}


def _channels(wanted: float) -> int:
    """Return the multiple of 8 nearest to it, which is not more than a tenth below."""
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest
