"""The models that ship with imgtool."""

from __future__ import annotations

from pathlib import Path

DEFAULT_NETWORK = "efficientnet-lite0@imagenet"  # which labels and describes images, unless another is named
SHIPPED_CODEBOOK = "sift-fv-svm"  # the model whose codebook describes images, unless another is named
SHIPPED_FOLDER = Path(__file__).parent / "models"
CODEBOOK_FOLDER = SHIPPED_FOLDER / f"{SHIPPED_CODEBOOK}@imagenette"


def shipped() -> list[str]:
    """Return the names of the included models."""
    return sorted(folder.name for folder in SHIPPED_FOLDER.iterdir() if folder.is_dir())


def shipped_networks() -> list[str]:
    """Return the names of the included models that are networks."""
    from imgtool.networks.catalogue import CATALOGUE

    return [name for name in shipped() if name.partition("@")[0] in CATALOGUE]
