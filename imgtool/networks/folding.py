"""Batch normalization folded into the convolutions before it: the same function in fewer steps, to predict with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from imgtool.networks.declaration import BatchNorm, Combinator, Conv, Layer, Sequence

Arrays = dict[str, np.ndarray]


def fold_batch_norm(network: Sequence, arrays: Mapping[str, np.ndarray]) -> tuple[Sequence, Arrays]:
    """Return the network without batch normalization that follows a convolution, and its arrays.

    Each kernel is multiplied by weight / sqrt(variance + eps), and the convolution has a bias that does the rest; both
    are computed in float64 and rounded once. Batch normalization elsewhere stays.
    """
    result = dict(arrays)
    folded = _folded(network, "", result)
    assert isinstance(folded, Sequence)
    return folded, result


def _folded(layer: Layer, prefix: str, arrays: Arrays) -> Layer:
    """Return the layer with what is in it folded, its arrays changed in place."""
    if not isinstance(layer, Combinator):
        return layer
    if not isinstance(layer, Sequence):
        branches = [(inner, _folded(branch, prefix + inner, arrays)) for inner, branch in layer.children()]
        unnamed = [branch for inner, branch in branches if not inner]
        return type(layer)(*unnamed, **{inner.removesuffix("."): branch for inner, branch in branches if inner})
    parts: list[tuple[str, Layer]] = []
    for (name, _), (inner, part) in zip(layer.parts, layer.children(), strict=True):
        before = parts[-1][1] if parts else None
        if isinstance(part, BatchNorm) and isinstance(before, Conv):
            conv = parts[-1][0]
            _fold(arrays, f"{prefix}{conv}.", f"{prefix}{name}.", part.eps)
            parts[-1] = conv, replace(before, bias=True)
        else:
            parts.append((name, _folded(part, prefix + inner, arrays)))
    return Sequence(**dict(parts))


def _fold(arrays: Arrays, conv: str, norm: str, eps: float) -> None:
    """Fold one batch normalization into its convolution, in place; both are prefixes of arrays' names."""
    weight, bias, mean, variance = (
        arrays.pop(norm + key).astype(np.float64) for key in ("weight", "bias", "running_mean", "running_var")
    )
    scale, kernels = weight / np.sqrt(variance + eps), arrays[f"{conv}weight"]
    before = arrays.get(f"{conv}bias", np.zeros(len(scale), kernels.dtype))
    arrays[f"{conv}weight"] = (kernels * scale[:, None, None, None]).astype(kernels.dtype)
    arrays[f"{conv}bias"] = (bias + (before - mean) * scale).astype(kernels.dtype)
