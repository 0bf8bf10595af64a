"""How fast a network is on the devices of this machine, in inference and in training."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from imgtool.classifiers.inspection import UNTRAINED_CLASSES, open_network
from imgtool.device import resolve
from imgtool.networks import speed
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.speed import Load


def bench(
    name: str | Path, devices: Sequence[str] = ("cpu",), *, batch: int = 32, seconds: float = 1.0
) -> Iterator[dict[str, Any]]:
    """Yield a row for each device and backend: images a second in inference and in training, each over some seconds.

    Rows hold model, input, batch, device, processor, backend, inference and training, None where that backend does not
    train the network. Raises DeviceError, before anything is measured, for a device that is not there.
    """
    found = [resolve(device) for device in devices]
    model = open_network(name)
    network = model.network(len(model.classes) or UNTRAINED_CLASSES)
    arrays = model.arrays() if model.classes else draw_arrays(network, 0, model.input_shape)
    load = Load(network, arrays, model.input_shape, batch, seconds)
    backends = ("numpy", "torch") if importlib.util.find_spec("torch") else ("numpy",)
    same = {"model": str(name), "input": "x".join(map(str, model.input_shape)), "batch": batch}
    return (
        {**same, "device": device, **_row(load, device, backend, trains=backend in model.architecture.trainers)}
        for device in found
        for backend in backends
        if device == "cpu" or backend == "torch"
    )


def _row(load: Load, device: str, backend: str, *, trains: bool) -> dict[str, Any]:
    """Return what was measured."""
    if backend == "numpy":
        processor, inference = speed.processor_name(), speed.inference_rate(load)
        training = speed.training_rate(load) if trains else None
    else:
        from imgtool.networks import speed_torch

        processor, inference = speed_torch.device_name(device), speed_torch.inference_rate(load, device)
        training = speed_torch.training_rate(load, device)
    rates = {"inference": round(inference, 1), "training": None if training is None else round(training, 1)}
    return {"processor": processor, "backend": backend, **rates}
