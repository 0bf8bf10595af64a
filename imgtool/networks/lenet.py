"""LeNet: two convolutions, three linear layers.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998,
with ReLU, max pooling and full connections between feature maps, as it is taught today: 62,006 parameters for ten
classes of color images.
"""

from __future__ import annotations

from imgtool.errors import ParameterError
from imgtool.networks.declaration import Conv, Flatten, Layer, Linear, MaxPool, ReLU, Sequence, Sigmoid, Tanh

ACTIVATIONS: dict[str, Layer] = {"relu": ReLU(), "sigmoid": Sigmoid(), "tanh": Tanh()}


def lenet(classes: int = 10, channels: int = 3, *, activation: str = "relu") -> Sequence:
    """(channels, 32, 32) -> (classes,) logits. activation: relu, or as in 1998 tanh or sigmoid."""
    if activation not in ACTIVATIONS:
        raise ParameterError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation}")
    act = ACTIVATIONS[activation]
    return Sequence(
        conv1=Conv(channels, 6, 5), act1=act, pool1=MaxPool(2),
        conv2=Conv(6, 16, 5), act2=act, pool2=MaxPool(2),
        flatten=Flatten(),
        fc1=Linear(400, 120), act3=act,
        fc2=Linear(120, 84), act4=act,
        fc3=Linear(84, classes),
    )  # fmt: skip
