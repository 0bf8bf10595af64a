"""Several processes that train one network together, as `torchrun` starts them: what the environment says of them."""

from __future__ import annotations

import os
from dataclasses import dataclass

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launch:
    """rank: of this process among `count`, from 0; local_rank: among those of its machine."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def own_device(self, device: str) -> str:
        """Return this process's device, where another process of its machine may have another GPU."""
        return f"cuda:{self.local_rank}" if self.count > 1 and device == "cuda" else device

    @property
    def speaks(self) -> bool:
        """Whether this is the process of its machine that says what is wrong."""
        return self.local_rank == 0


def launched() -> Launch:
    """Return this process's place; one process alone where nothing says otherwise."""
    values = [os.environ.get(name, "") for name in _VARIABLES]
    if not all(values) or not all(value.isdecimal() for value in values[:3]):
        return Launch()
    rank, count, local_rank = map(int, values[:3])
    return Launch(rank, count, local_rank) if count > 1 and rank < count else Launch()
