"""A declared network as a PyTorch module, with the declaration's tensor names (torchvision's for AlexNet).

Imported late: importing this module imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from imgtool.errors import DataError
from imgtool.networks import declaration as declared
from imgtool.networks.declaration import Network


class ThinLinear(nn.Module):
    """x -> left @ (right @ x) + bias: a linear layer whose weight is a product of two thin matrices."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.empty(outputs, rank))
        self.right = nn.Parameter(torch.empty(rank, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, inputs) to (n, outputs)."""
        return nn.functional.linear(nn.functional.linear(x, self.right), self.left, self.bias)


def _linear(layer: declared.Linear) -> nn.Module:
    """Return the full or the thin form."""
    if layer.rank is None:
        return nn.Linear(layer.inputs, layer.outputs)
    return ThinLinear(layer.inputs, layer.outputs, layer.rank)


_MODULES = {
    declared.ReLU: lambda layer: nn.ReLU(inplace=True),
    declared.Sigmoid: lambda layer: nn.Sigmoid(),
    declared.Tanh: lambda layer: nn.Tanh(),
    declared.Dropout: lambda layer: nn.Dropout(layer.probability),
    declared.Flatten: lambda layer: nn.Flatten(),
    declared.LocalResponseNorm: lambda layer: nn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k),
    declared.Conv: lambda layer: nn.Conv2d(layer.inputs, layer.outputs, layer.size, layer.stride, layer.padding),
    declared.MaxPool: lambda layer: nn.MaxPool2d(layer.size, layer.step),
    declared.AdaptiveAvgPool: lambda layer: nn.AdaptiveAvgPool2d(layer.size),
    declared.Linear: _linear,
}


def build(network: Network, *, seed: int = 0) -> nn.Sequential:
    """Return the network as a module with freshly drawn weights.

    Weights are normal with variance 2 / inputs (He et al., ICCV 2015), those of the last layer 1 / inputs; biases
    are zero. The module maps (n, *input shape) float32 to (n, classes) logits.
    """
    module = nn.Sequential()
    for name, part in network.parts.items():
        if isinstance(part, tuple):
            module.add_module(name, nn.Sequential(*(_MODULES[type(layer)](layer) for layer in part)))
        else:
            module.add_module(name, _MODULES[type(part)](part))
    _initialise(module, torch.Generator().manual_seed(seed))
    return module


@torch.no_grad()
def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw weights, set biases to zero."""
    weights = [(name, tensor) for name, tensor in module.named_parameters() if not name.endswith("bias")]
    for name, tensor in module.named_parameters():
        if name.endswith("bias"):
            tensor.zero_()
    for index, (_, tensor) in enumerate(weights):
        gain = 1.0 if index == len(weights) - 1 else 2.0
        tensor.normal_(0.0, (gain / tensor[0].numel()) ** 0.5, generator=generator)


def load_weights(module: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Copy named arrays into the module. Raises DataError when names or shapes are not the network's."""
    own = module.state_dict()
    if own.keys() != weights.keys():
        strange = min(own.keys() ^ weights.keys())
        raise DataError(f"weights do not fit the network: {strange} is {'missing' if strange in own else 'unknown'}")
    for name, tensor in own.items():
        if tuple(tensor.shape) != weights[name].shape:
            raise DataError(f"weights do not fit: {name} is {weights[name].shape}, not {tuple(tensor.shape)}")
    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})


def weights_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Return the module's tensors by name, as float32 arrays of their own."""
    return {name: tensor.detach().float().cpu().numpy().copy() for name, tensor in module.state_dict().items()}
