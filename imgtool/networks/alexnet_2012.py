"""AlexNet as published: two towers that meet in three places, and local response normalization.

Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012, sections 3
and 5. The paper's two GPUs are two groups of channels here: conv2, conv4 and conv5 see their own half only. The images
of 224 x 224 pixels that the paper names give no 55 x 55 outputs; 227 do.
"""

from __future__ import annotations

from imgtool.networks.declaration import (
    Conv,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool,
    ReLU,
    Sequence,
)

SIDE = 227  # pixels
DEVIATION = 0.01  # of all first weights
BIASES_OF_ONE = ("conv2", "conv4", "conv5", "fc6", "fc7")  # which gives ReLUs positive inputs at first; others are 0


def alexnet_2012(classes: int = 1000, *, dropout: float = 0.5) -> Sequence:
    """(3, 227, 227) -> (classes,) logits."""
    # The paper's alpha weighs each square; LocalResponseNorm's is divided by the number of channels, as PyTorch's.
    norm = LocalResponseNorm(size=5, alpha=5 * 1e-4, beta=0.75, k=2.0)
    return Sequence(
        conv1=Conv(3, 96, 11, stride=4), relu1=ReLU(), norm1=norm, pool1=MaxPool(3, 2),
        conv2=Conv(96, 256, 5, padding=2, groups=2), relu2=ReLU(), norm2=norm, pool2=MaxPool(3, 2),
        conv3=Conv(256, 384, 3, padding=1), relu3=ReLU(),
        conv4=Conv(384, 384, 3, padding=1, groups=2), relu4=ReLU(),
        conv5=Conv(384, 256, 3, padding=1, groups=2), relu5=ReLU(), pool5=MaxPool(3, 2),
        flatten=Flatten(),
        fc6=Linear(256 * 6 * 6, 4096), relu6=ReLU(), drop6=Dropout(dropout),
        fc7=Linear(4096, 4096), relu7=ReLU(), drop7=Dropout(dropout),
        fc8=Linear(4096, classes),
    )  # fmt: skip
