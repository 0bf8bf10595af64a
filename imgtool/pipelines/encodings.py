"""Encodings of dense SIFT as descriptors of many images: by a codebook's name and hash.

A feature file's meta holds both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from imgtool.classifiers.shipped import SHIPPED_CODEBOOK
from imgtool.errors import DataError, ParameterError

if TYPE_CHECKING:
    import numpy as np

SPARSE = "sparse"
ENCODINGS = {"fisher": "1x1", "vlad": "1x1", "bow": "1x1", SPARSE: "1x1,2x2,4x4"}  # each with its usual pyramid


def complete(
    encoding: str,
    codebook: str | os.PathLike[str] = SHIPPED_CODEBOOK,
    pyramid: str | Sequence[str] | None = None,
    solver: str | None = None,
) -> dict[str, Any]:
    """Return all parameters of an encoding, among them the codebook's hash. Raises DataError where there is none."""
    from imgtool.classifiers.codebooks import open_codebook
    from imgtool.features.codebook import hash_of

    if solver and encoding != SPARSE:
        raise ParameterError("solver is for encoding sparse", parameters=("solver", "encoding"))
    levels = pyramid or ENCODINGS[encoding]
    levels = levels.split(",") if isinstance(levels, str) else list(levels)
    name = os.fspath(codebook)
    parameters = {"codebook": name, "sha256": hash_of(open_codebook(name)[0]), "pyramid": levels}
    return {**parameters, "solver": solver or "feature-sign"} if encoding == SPARSE else parameters


def describing(encoding: str, parameters: dict[str, Any], folder: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that encodes an image. folder: that a codebook's path starts from."""
    return _encoder(encoding, folder, **parameters)


def _encoder(
    encoding: str, folder: str, codebook: str, pyramid: Sequence[str], sha256: str = "", solver: str = ""
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that encodes an image by a codebook, of which files from before it was kept have no hash."""
    from imgtool.classifiers.classic.sift_svm import brought_to
    from imgtool.classifiers.codebooks import open_codebook
    from imgtool.features.codebook import Codebook, hash_of
    from imgtool.features.encoding import LocalSettings, encode, encode_sparsely
    from imgtool.features.pyramid import parse_levels

    parse_levels(pyramid)
    book, sizes = open_codebook(codebook, folder)
    color = LocalSettings.of(book).color
    if sha256 and hash_of(book) != sha256:
        raise DataError("is another codebook than the one that described the images").within(codebook)

    def prepare(image: np.ndarray) -> np.ndarray:
        return brought_to(image, sizes["size"], sizes["resolution"], color)

    if isinstance(book, Codebook):
        if encoding == SPARSE:
            text = "is no dictionary, which encoding sparse needs"
            raise DataError(text, parameters=("encoding",), hint="dictionary").within(codebook)
        return lambda image: encode(prepare(image), book, encoding=encoding, levels=pyramid)
    if encoding != SPARSE:
        raise DataError("is a dictionary, which is for encoding sparse", parameters=("encoding",)).within(codebook)
    return lambda image: encode_sparsely(image, book, solver=solver, levels=pyramid)
