"""Codebooks by their names: a file, or the included model whose codebook describes images unless another is named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from imgtool.classifiers.shipped import CODEBOOK_FOLDER, SHIPPED_CODEBOOK
from imgtool.classifiers.storage import load_model
from imgtool.errors import DataError
from imgtool.features.codebook import KINDS, Codebook, Dictionary, load_codebook
from imgtool.features.encoding import LocalSettings

CLASSES: Mapping[str, type[Codebook | Dictionary]] = {"codebook": Codebook, "dictionary": Dictionary}
LOCAL = ("step", "window", "root")  # of gray images
AS_THEY_ARE = {"size": 0, "resolution": 0}


def open_codebook(name: str, folder: str = "") -> tuple[Codebook | Dictionary, dict[str, Any]]:
    """Return a codebook, and the settings by which images are brought to a size for it.

    folder: that a path starts from. Images stay as they are for the codebook of a file. Raises DataError for what is no
    codebook.
    """
    if name != SHIPPED_CODEBOOK:
        return load_codebook(os.path.join(folder, name)), AS_THEY_ARE
    model = load_model(CODEBOOK_FOLDER)
    local = LocalSettings(
        **{each: model.parameters[each] for each in LOCAL} | {"bins": tuple(model.parameters["bins"])}
    )
    sizes = {each: model.parameters[each] for each in ("size", "resolution", "samples")}
    return book_in(model.arrays, "codebook", local), sizes


def book_in(arrays: Mapping[str, np.ndarray], kind: str, local: LocalSettings) -> Codebook | Dictionary:
    """Return the codebook among a model's arrays, of a kind in KINDS. Raises DataError where parts are missing."""
    names = KINDS[kind]
    missing = [name for name in names if f"codebook.{name}" not in arrays]
    if missing:
        raise DataError(f"the codebook's {missing[0]} are missing")
    return CLASSES[kind](**{name: arrays[f"codebook.{name}"] for name in names}, meta={"sift": local.to_meta()})
