"""Networks in NumPy: a declared network with its arrays, to train by hand or to predict."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from imgtool.errors import ParameterError
from imgtool.networks import declaration as declared
from imgtool.networks.declaration import require_arrays
from imgtool.networks.numpy_base import Arrays, Layer, Tape
from imgtool.networks.numpy_layers import COMBINATORS, LAYERS


class NumpyNetwork:
    """A network with its arrays, which it keeps and, in training, changes in place."""

    def __init__(self, network: declared.Sequence, arrays: Mapping[str, np.ndarray]) -> None:
        """Build the layers.

        Raises DataError when names or shapes of the arrays are not the network's, ParameterError when a layer has no
        NumPy form.
        """
        require_arrays(network.arrays(), arrays)
        self._arrays = {name: arrays[name] for name in network.arrays()}
        self._leaves: list[tuple[str, Layer]] = []
        self._root = self._build(network, "")
        self._tape: Tape | None = None

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the output for a batch; nothing is kept, and threads may share the network."""
        return self._root.forward(x)

    def forward(
        self, x: np.ndarray, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> np.ndarray:
        """Return the output for a batch and keep what `backward` needs; `Tape` says what training changes."""
        tape = Tape(training, generator)
        y = self._root.forward(x, tape)
        self._tape = tape
        return y

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Return the gradient with respect to the input of the last `forward`, once for each."""
        if self._tape is None:
            raise RuntimeError("backward needs a forward pass before it")
        tape, self._tape = self._tape, None
        return self._root.backward(gradient, tape)

    def set_statistics(self, x: np.ndarray) -> None:
        """Set the running statistics of batch normalization, in place, to those of a batch."""
        self._root.forward(x, Tape(training=True, momentum=1.0, blank=True))

    def arrays(self) -> Arrays:
        """Return every tensor and buffer by its full name."""
        return dict(self._arrays)

    def gradients(self) -> Arrays:
        """Return the gradients of the last backward pass, named as the tensors."""
        return {prefix + key: array for prefix, leaf in self._leaves for key, array in leaf.gradients.items()}

    def _build(self, layer: declared.Layer, prefix: str) -> Layer:
        """Return a layer's NumPy form, its arrays being those whose names begin with the prefix."""
        if isinstance(layer, declared.Combinator):
            return COMBINATORS[type(layer)]([self._build(part, prefix + inner) for inner, part in layer.children()])
        if type(layer) not in LAYERS:
            raise ParameterError(f"{type(layer).__name__} has no NumPy form: the network needs PyTorch")
        leaf = LAYERS[type(layer)](layer, {key: self._arrays[prefix + key] for key in layer.arrays()})
        self._leaves.append((prefix, leaf))
        return leaf
