"""The two-layer network with which courses begin: linear, ReLU, linear."""

from __future__ import annotations

from imgtool.networks.declaration import Flatten, Linear, ReLU, Sequence


def two_layer(classes: int = 10, channels: int = 3, side: int = 32, hidden: int = 100) -> Sequence:
    """(channels, side, side) -> (classes,) logits."""
    return Sequence(
        flatten=Flatten(),
        fc1=Linear(channels * side * side, hidden), relu1=ReLU(),
        fc2=Linear(hidden, classes),
    )  # fmt: skip
