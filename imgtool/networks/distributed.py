"""Processes that train one network together: each has its share of every batch, and gradients are added up.

Imported late: importing this module imports PyTorch. Gloo carries numbers between CPUs, NCCL between GPUs. All
processes have the same weights at every step, since all begin with the same and take the same steps; the first one
writes. Batch normalization in training sees a process's own share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed

from imgtool.errors import TrainingError
from imgtool.networks.launch import Launch, launched

ALONE = Launch()
LOST = "another process of the training has ended"


@dataclass(frozen=True)
class Group:
    """The processes; of one alone nothing is exchanged."""

    launch: Launch = ALONE

    @property
    def is_first(self) -> bool:
        """Whether this process writes."""
        return self.launch.is_first

    @property
    def count(self) -> int:
        """How many processes there are."""
        return self.launch.count

    def share(self, indices: np.ndarray) -> np.ndarray:
        """Return this process's part of a batch; every image is in one part, and a small batch's parts may be empty."""
        return np.array_split(indices, self.count)[self.launch.rank]

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors, in place, by their sums over all processes. Raises TrainingError where one has ended."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1).to(torch.float32) for tensor in tensors])
        with _losing_none():
            distributed.all_reduce(flat)
        begin = 0
        for tensor in tensors:
            tensor.copy_(flat[begin : begin + tensor.numel()].view_as(tensor))
            begin += tensor.numel()

    def take_firsts(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors, in place, by those of the first process."""
        if self.count > 1:
            with _losing_none():
                for tensor in tensors:
                    distributed.broadcast(tensor, 0)

    def require_same(self, number: int, what: str, device: str) -> None:
        """Raise TrainingError unless all processes have the same number of something."""
        found = torch.zeros(self.count, device=device)
        found[self.launch.rank] = number
        self.add_up([found])
        if (found != number).any():
            raise TrainingError(f"processes have different {what}: {found.int().tolist()}; they must share one folder")


@contextmanager
def grouped(device: str) -> Iterator[Group]:
    """Join the processes that were launched with this one, where there are any, for as long as the block takes."""
    launch = launched()
    if launch.count == 1:
        yield Group()
        return
    is_gpu = device.startswith("cuda")
    if is_gpu:
        torch.cuda.set_device(device)  # which NCCL takes, and which is the first GPU for every process otherwise
    try:
        distributed.init_process_group("nccl" if is_gpu else "gloo")
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise TrainingError(f"the {launch.count} processes that were launched do not find each other: {text}") from None
    with _losing_none():
        distributed.barrier()
    try:
        yield Group(launch)
    finally:
        with suppress(Exception):
            distributed.destroy_process_group()


@contextmanager
def _losing_none() -> Iterator[None]:
    """Turn what the connections to other processes say into a TrainingError."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if isinstance(error, TrainingError):
            raise
        raise TrainingError(LOST, hint="resume") from None
