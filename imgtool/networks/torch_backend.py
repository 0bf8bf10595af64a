"""A declared network as a PyTorch module, with the declaration's tensor names: torchvision's, where it has the network.

Imported late: importing this module imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from imgtool.networks import declaration as declared
from imgtool.networks.declaration import Sequence, Shape, require_arrays
from imgtool.networks.initialization import draw_arrays

Step = Callable[[torch.Tensor], torch.Tensor]


class Chain(nn.Module):
    """Steps one after the other; the modules among them are registered where the declaration's names say."""

    def __init__(self, network: Sequence) -> None:
        super().__init__()
        self._run = _run_of(network, self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Hand each output to the next step."""
        return self._run(x)


class AuxiliaryHead(Chain):
    """A classifier in the middle of a network. logits: of the last batch that it saw in training."""

    logits: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the input."""
        self.logits = super().forward(x) if self.training else None
        return x


class Run:
    """Steps one after the other, which are registered elsewhere."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Hand each output to the next step."""
        for step in self.steps:
            x = step(x)
        return x


class SumOf(Run):
    """The sum of what the steps make of one input."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Hand the input to each step, add the outputs."""
        return reduce(torch.add, [step(x) for step in self.steps])


class ConcatOf(Run):
    """What the steps make of one input, side by side along the channels."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Hand the input to each step, join the outputs."""
        return torch.cat([step(x) for step in self.steps], 1)


def _run_of(network: Sequence, space: nn.Module) -> Run:
    """Return the steps of a sequence, its modules registered in `space`."""
    steps, before = [], None
    for name, part in network.parts:
        # What convolutions and their kin give is nobody else's: ReLU may write over it. A branch's input is shared.
        in_place = isinstance(before, (declared.Conv, declared.Linear, declared.BatchNorm))
        steps.append(_step_of(part, name, space, in_place=in_place))
        before = part
    return Run(steps)


def _step_of(part: declared.Layer, name: str, space: nn.Module, *, in_place: bool = False) -> Step:
    """Return what computes a part, its modules registered in `space` under the name."""
    if isinstance(part, (declared.Sum, declared.Concat)):
        branches = [_step_of(b, key, space) if key else _positional_step(b, name, space) for key, b in part.branches]
        return SumOf(branches) if isinstance(part, declared.Sum) else ConcatOf(branches)
    if isinstance(part, Sequence):
        module: nn.Module = Chain(part)
    elif isinstance(part, declared.Auxiliary):
        module = AuxiliaryHead(part.body)
    elif in_place and isinstance(part, (declared.ReLU, declared.ReLU6)):
        module = (nn.ReLU if isinstance(part, declared.ReLU) else nn.ReLU6)(inplace=True)
    else:
        module = _MODULES[type(part)](part)
    while name in dict(
        space.named_children()
    ):  # a layer without arrays may have the name of another: body and block both have `relu`
        name += "_"
    space.add_module(name, module)
    return module


def _positional_step(branch: declared.Layer, name: str, space: nn.Module) -> Step:
    """Return what computes a positional branch, which adds no name."""
    return _run_of(branch, space) if isinstance(branch, Sequence) else _step_of(branch, name, space)


class BatchNorm(nn.Module):
    """Batch normalization without PyTorch's count of batches, which nothing uses."""

    weight: torch.Tensor
    bias: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, layer: declared.BatchNorm) -> None:
        super().__init__()
        self.eps = layer.eps
        for name, shape in layer.tensors().items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        for name, shape in layer.buffers().items():
            self.register_buffer(name, torch.empty(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape."""
        statistics, affine = (self.running_mean, self.running_var), (self.weight, self.bias)
        return functional.batch_norm(x, *statistics, *affine, self.training, momentum=0.1, eps=self.eps)


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding, which depends on the sides of its input."""

    def __init__(self, layer: declared.Conv) -> None:
        super().__init__(*_sizes(layer), 0, bias=layer.bias, groups=layer.groups)
        self.declared = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pad and correlate."""
        rows, columns = (self.declared.margins(side) for side in x.shape[2:])
        return super().forward(functional.pad(x, (*columns, *rows)))


class LowRankLinear(nn.Module):
    """x -> left @ (right @ x) + bias: a linear layer whose weight is a product of two low-rank factors."""

    left: torch.Tensor
    right: torch.Tensor
    bias: torch.Tensor

    def __init__(self, layer: declared.Linear) -> None:
        super().__init__()
        for name, shape in layer.tensors().items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, inputs) to (n, outputs)."""
        return functional.linear(functional.linear(x, self.right), self.left, self.bias)


def _sizes(layer: declared.Conv) -> tuple[int, int, int, int]:
    return layer.inputs, layer.outputs, layer.size, layer.stride


def _conv(layer: declared.Conv) -> nn.Module:
    """Return the convolution for the layer's padding."""
    if layer.padding == "same":
        return SameConv(layer)
    return nn.Conv2d(*_sizes(layer), layer.padding, bias=layer.bias, groups=layer.groups)


def _linear(layer: declared.Linear) -> nn.Module:
    """Return the full or the low-rank form."""
    return LowRankLinear(layer) if layer.rank else nn.Linear(layer.inputs, layer.outputs)


_MODULES: dict[type, Callable[..., nn.Module]] = {
    declared.Identity: lambda layer: nn.Identity(),
    declared.ReLU: lambda layer: nn.ReLU(),
    declared.ReLU6: lambda layer: nn.ReLU6(),
    declared.Sigmoid: lambda layer: nn.Sigmoid(),
    declared.Tanh: lambda layer: nn.Tanh(),
    declared.Dropout: lambda layer: nn.Dropout(layer.probability),
    declared.Flatten: lambda layer: nn.Flatten(),
    declared.LocalResponseNorm: lambda layer: nn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k),
    declared.BatchNorm: BatchNorm,
    declared.Conv: _conv,
    declared.MaxPool: lambda layer: nn.MaxPool2d(layer.size, layer.step, layer.padding, ceil_mode=layer.ceil),
    declared.AvgPool: lambda layer: nn.AvgPool2d(
        layer.size, layer.step, layer.padding, layer.ceil, layer.count_padding
    ),
    declared.AdaptiveAvgPool: lambda layer: nn.AdaptiveAvgPool2d(layer.size),
    declared.Linear: _linear,
}


def build(network: Sequence, *, seed: int = 0, shape: Shape | None = None) -> nn.Module:
    """Return the network as a module with fresh arrays; seed and shape as in `draw_arrays`.

    The module maps (n, *input shape) float32 to (n, classes) logits.
    """
    return module_with(network, draw_arrays(network, seed, shape))


def module_with(network: Sequence, arrays: Mapping[str, np.ndarray], *, copy: bool = True) -> nn.Module:
    """Return the network as a module with copies of these arrays, or with copy=False, where that can be, over them.

    Raises DataError when names or shapes are not the network's. It is built without memory first, since PyTorch would
    draw weights that nobody needs.
    """
    require_arrays(network.arrays(), arrays)
    with torch.device("meta"):
        module = Chain(network)
    module.load_state_dict(_tensors(arrays, copy=copy), assign=True)
    return module


def arrays_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Return the module's tensors and buffers by name, as float32 arrays of their own."""
    return {name: tensor.detach().float().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


class TorchRunner:
    """A network that predicts in PyTorch; threads may share it."""

    def __init__(
        self, network: Sequence, arrays: Mapping[str, np.ndarray], device: str = "cpu", precision: str = "float32"
    ) -> None:
        """Build trunk and head on the device; with bf16 the trunk computes in bfloat16, with channels last.

        Raises DataError when names or shapes are not the network's.
        """
        require_arrays(network.arrays(), arrays)
        trunk, (name, head) = network.trunk(), network.head()
        own = {f"0.{key}": arrays[f"{name}.{key}"] for key in head.arrays()}
        self._computing = Lock()
        self._form: dict[str, Any] = {"device": device}
        self._head = module_with(Sequence(head), own, copy=False).eval().to(**self._form)
        if precision == "bf16":
            self._form |= {"dtype": torch.bfloat16, "memory_format": torch.channels_last}
        own = {key: arrays[key] for key in trunk.arrays()}
        self._trunk = module_with(trunk, own, copy=False).eval().to(**self._form)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Map images (n, channels, rows, columns) float32 to what the last layer sees, (n, D) float32."""
        return self._run(self._trunk, torch.from_numpy(images).to(**self._form))

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Map (n, D) to logits (n, classes) float32."""
        return self._run(self._head, torch.from_numpy(features).to(self._form["device"]))

    def _run(self, module: nn.Module, batch: torch.Tensor) -> np.ndarray:
        with self._computing, torch.inference_mode(), without_tf32(batch.device):  # one batch takes all cores
            result: np.ndarray = module(batch).float().cpu().numpy()
        return result


@contextmanager
def without_tf32(device: torch.device) -> Iterator[None]:
    """Have a GPU compute products of float32 numbers in float32, whatever else the process computes."""
    places: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul) if device.type == "cuda" else ()
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = False
        yield
    finally:
        for place, allowed in zip(places, before, strict=True):
            place.allow_tf32 = allowed


def _tensors(arrays: Mapping[str, np.ndarray], *, copy: bool) -> dict[str, torch.Tensor]:
    """Return arrays as tensors: copies, or views of those that may be written to, which PyTorch asks of all."""
    return {
        name: torch.from_numpy(np.array(array) if copy or not array.flags.writeable else array)
        for name, array in arrays.items()
    }
