"""LeNet: two convolutions, three linear layers.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998,
with ReLU, max pooling and full connections between feature maps, as it is taught today: 62,006 parameters for ten
classes of color images.
"""

from __future__ import annotations

from imgtool.networks.declaration import Sequence
from imgtool.networks.layers import BatchNorm, Conv, Dropout, Flatten, Layer, Linear, MaxPool, activation_named


def lenet(
    classes: int = 10,
    channels: int = 3,
    *,
    activation: str = "relu",
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Sequence:
    """(channels, 32, 32) -> (classes,) logits. activation: relu, or as in 1998 tanh or sigmoid.

    dropout: the probability before fc1 and fc2. batch_norm: after each convolution (Ioffe and Szegedy, ICML 2015).
    """
    act = activation_named(activation)
    return Sequence(
        conv1=Conv(channels, 6, 5), **_normed("bn1", 6, batch_norm), act1=act, pool1=MaxPool(2),
        conv2=Conv(6, 16, 5), **_normed("bn2", 16, batch_norm), act2=act, pool2=MaxPool(2),
        flatten=Flatten(),
        **_dropout("drop1", dropout), fc1=Linear(400, 120), act3=act,
        **_dropout("drop2", dropout), fc2=Linear(120, 84), act4=act,
        fc3=Linear(84, classes),
    )  # fmt: skip


def _dropout(name: str, probability: float) -> dict[str, Layer]:
    """Return a layer that drops values, none where none are dropped."""
    return {name: Dropout(probability)} if probability else {}


def _normed(name: str, channels: int, batch_norm: bool) -> dict[str, Layer]:
    """Return a batch normalization by its name, none where none is wanted."""
    return {name: BatchNorm(channels)} if batch_norm else {}
