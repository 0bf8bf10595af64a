"""What a comparison says of a model beside its errors: settings, weights, what it was trained on, size on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from imgtool.classifiers.protocol import Classifier

# NumPy's types as safetensors names them, in the order in which its files have them.
KINDS = {
    "uint64": "U64", "int64": "I64", "float64": "F64", "float32": "F32", "uint32": "U32", "int32": "I32",
    "float16": "F16", "uint16": "U16", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


def facts_of(model: Classifier) -> dict[str, Any]:
    """Return settings, number of classes, and for a trained model the hashes of its weights and training images."""
    facts: dict[str, Any] = {"classes": len(model.classes), "settings": dict(model.settings)}
    if digest := weights_hash(model):
        facts |= {"weights": digest, "data": _provenance(model).get("data")}
    return facts


def weights_hash(model: Classifier) -> str:
    """Return the SHA-256 of a trained model's stored weights; empty where none are stored."""
    return str(getattr(model, "weights_hash", "") or _provenance(model).get("sha256") or "")


def weights_bytes(model: Classifier) -> int | None:
    """Return the bytes that a model's weights take on disk, or would take; None where it does not say."""
    known = getattr(model, "weights_bytes", 0)
    if known:
        return int(known)
    arrays: Callable[[], Mapping[str, np.ndarray]] | None = getattr(model, "arrays", None)
    return stored_bytes(arrays()) if arrays else None


def stored_bytes(arrays: Mapping[str, np.ndarray]) -> int:
    """Return the size of a safetensors file of these arrays without making it: 8 bytes, header, numbers.

    The file has the arrays by type, widest first, then by name, and the header filled up to a multiple of 8.
    """
    order = list(KINDS)
    header, offset = {}, 0
    for name, array in sorted(arrays.items(), key=lambda item: (order.index(item[1].dtype.name), item[0])):
        end = offset + array.nbytes
        header[name] = {"dtype": KINDS[array.dtype.name], "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return 8 + -(-len(text) // 8) * 8 + offset


def training_digest(model: Classifier) -> str | None:
    """Return the hash of the images that a model was trained on; None where it does not say."""
    data = _provenance(model).get("data")
    return data.get("sha256") if isinstance(data, Mapping) else None


def _provenance(model: Classifier) -> Mapping[str, Any]:
    """Return what a model tells of its weights' origin."""
    return getattr(model, "provenance", None) or getattr(model, "description", None) or {}
