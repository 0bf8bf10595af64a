"""How many images a second pass a network in PyTorch, on any device. Imported late.

Images stay on the device, so that the network alone is timed.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from imgtool.networks.optimizers_torch import Nesterov
from imgtool.networks.recipe import Recipe
from imgtool.networks.speed import RATE, Load, processor_name
from imgtool.networks.torch_backend import module_with, without_tf32


def device_name(device: str) -> str:
    """Return what a device is called by its maker."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else processor_name()


def inference_rate(load: Load, device: str = "cpu", *, bf16: bool = False) -> float:
    """Return images a second in inference; bf16: in bfloat16 and with channels last."""
    module = module_with(load.network, load.arrays).eval().to(device)
    images = torch.from_numpy(load.images()).to(device)
    if bf16:
        module = module.to(dtype=torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = images.to(dtype=torch.bfloat16, memory_format=torch.channels_last)

    def step() -> None:
        module(images)
        _wait(images.device)

    with torch.inference_mode(), without_tf32(images.device):
        return load.rate(step)


def training_rate(load: Load, device: str = "cpu", *, bf16: bool = False) -> float:
    """Return images a second of forward and backward passes and steps of gradient descent, with channels last."""
    module = module_with(load.network, load.arrays).train()
    module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.from_numpy(load.images()).to(device, memory_format=torch.channels_last)
    labels, optimizer = torch.from_numpy(load.labels()).to(device), Nesterov(module, Recipe())

    def step() -> None:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            logits = module(images)
        loss = functional.cross_entropy(logits.float(), labels)
        optimizer.forget_gradients()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(RATE)
        _wait(images.device)

    return load.rate(step)


def _wait(device: torch.device) -> None:
    """Wait until a device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
