"""Matrices of weights as products of two low-rank factors, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from imgtool.errors import ParameterError
from imgtool.networks.declaration import Sequence

Arrays = Mapping[str, np.ndarray]


def with_factors(network: Sequence, arrays: Arrays) -> dict[str, np.ndarray]:
    """Return arrays with full matrices, or factors of another rank, as the network has them: factors or full.

    Each is the best product of two matrices of that rank (Eckart and Young, 1936), the singular values shared.
    """
    result, wanted = dict(arrays), network.tensors()
    for name, array in arrays.items():
        base, _, kind = name.rpartition(".")
        if kind == "left" and wanted.get(name) != array.shape:
            result[f"{base}.weight"] = result.pop(name) @ result.pop(f"{base}.right")
    for name in list(result):
        base, _, kind = name.rpartition(".")
        if kind == "weight" and f"{base}.left" in wanted:
            left, right = factors(result.pop(name), wanted[f"{base}.left"][1])
            result |= {f"{base}.left": left, f"{base}.right": right}
    return result


def factors(weight: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return left (outputs, rank) and right (rank, inputs) float32 whose product is nearest to the weight."""
    if rank >= min(weight.shape):
        raise ParameterError(f"rank must be below {min(weight.shape)} for a matrix of {weight.shape}, got {rank}")
    from scipy.sparse.linalg import svds

    u, s, v = svds(weight.astype(np.float32), k=rank, v0=np.ones(min(weight.shape), np.float32))
    root = np.sqrt(s)
    return np.ascontiguousarray(u * root, np.float32), np.ascontiguousarray(root[:, None] * v, np.float32)
