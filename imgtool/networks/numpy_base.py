"""What every layer in NumPy is, and the tape of a pass.

A layer maps a batch (n, *shape) to a batch. `forward` pushes what `backward` needs onto the tape of the pass.
`backward` takes the gradient of a loss with respect to the output, pops from the tape (last in, first out), stores the
gradients of the layer's tensors in `gradients`, and returns the gradient with respect to the input. Without a tape
nothing is kept, so that threads may share a network to predict and memory does not grow with depth; only one thread may
train. Everything is computed in the type of the weights, float32 or float64.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass
class Tape:
    """What one forward pass keeps for its backward pass, and how it is done.

    training: batch normalization takes the batch's statistics and moves the running ones towards them by `momentum`;
    dropout drops, where there is a generator. blank: keep nothing, for passes that only measure statistics.
    """

    training: bool = False
    generator: np.random.Generator | None = None
    momentum: float = 0.1
    blank: bool = False
    memory: list[Any] = field(default_factory=list)

    def keep(self, value: Any) -> None:
        """Put a value on the tape, from which `memory.pop` takes it."""
        if not self.blank:
            self.memory.append(value)


class Layer:
    """A layer without tensors; `declared` says its sizes."""

    def __init__(self, layer: Any, arrays: Arrays) -> None:
        self.declared = layer
        self.arrays = arrays
        self.gradients: Arrays = {}

    def forward(self, x: np.ndarray, tape: Tape | None = None) -> np.ndarray:
        """Return the output for a batch."""
        return x

    def backward(self, gradient: np.ndarray, tape: Tape) -> np.ndarray:
        """Return the loss's gradient with respect to the input of the pass on the tape."""
        return gradient
