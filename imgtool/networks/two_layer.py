"""The two-layer network with which courses begin: linear, ReLU, linear."""

from __future__ import annotations

from imgtool.networks.declaration import Flatten, Linear, Network, ReLU


def two_layer(classes: int = 10, channels: int = 3, side: int = 32, hidden: int = 100) -> Network:
    """(channels, side, side) -> (classes,) logits."""
    return Network(
        flatten=Flatten(),
        fc1=Linear(channels * side * side, hidden), relu1=ReLU(),
        fc2=Linear(hidden, classes),
    )  # fmt: skip
