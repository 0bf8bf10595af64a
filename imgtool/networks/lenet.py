"""LeNet: two convolutions, three linear layers.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998,
with ReLU, max pooling and full connections between feature maps, as it is taught today: 62,006 parameters for ten
classes of colour images.
"""

from __future__ import annotations

from imgtool.networks.declaration import Conv, Flatten, Linear, MaxPool, Network, ReLU


def lenet(classes: int = 10, channels: int = 3) -> Network:
    """(channels, 32, 32) -> (classes,) logits."""
    return Network(
        conv1=Conv(channels, 6, 5), relu1=ReLU(), pool1=MaxPool(2),
        conv2=Conv(6, 16, 5), relu2=ReLU(), pool2=MaxPool(2),
        flatten=Flatten(),
        fc1=Linear(400, 120), relu3=ReLU(),
        fc2=Linear(120, 84), relu4=ReLU(),
        fc3=Linear(84, classes),
    )  # fmt: skip
