"""How many numbers describe an image: known from a feature file's settings before anything is computed by them.

Settings that come from a file may ask for any number; the rows of the same file say how many it has to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from imgtool.errors import DataError
from imgtool.pipelines.encodings import ENCODINGS, SPARSE

Shape = tuple[int, ...]


def require_length(name: str, parameters: Mapping[str, Any], shape: Shape, numbers: int) -> None:
    """Raise DataError where a descriptor of an image of this shape has another number of numbers.

    An image that cannot be described, and a descriptor whose length follows from something else, are not looked at.
    Raises TypeError, KeyError or ArithmeticError for settings that are none.
    """
    length = LENGTHS[name](parameters, shape) if name in LENGTHS else 0
    if length > 0 and length != numbers:
        raise DataError(f"the query has {length} numbers, the file's vectors have {numbers}")


def _hog(parameters: Mapping[str, Any], shape: Shape) -> int:
    variant, cell, block = parameters.get("variant", "skimage"), parameters.get("cell", 8), parameters.get("block", 2)
    bins: int = parameters.get("orientations", 9)
    if variant in ("uoctti", "vlfeat-dalal-triggs"):
        rows, columns = ((side + cell // 2) // cell for side in shape[:2])
        return int(rows * columns * (3 * bins + 4 if variant == "uoctti" else 4 * bins))
    (high, wide), (tall, broad) = (each if isinstance(each, list | tuple) else (each, each) for each in (cell, block))
    rows, columns = shape[0] // high - tall + 1, shape[1] // wide - broad + 1
    return int(max(rows, 0) * max(columns, 0) * tall * broad * bins)


def _gist(parameters: Mapping[str, Any], shape: Shape) -> int:
    from imgtool.features.gist import PRESETS

    own = {**PRESETS["lmgist"], **parameters}
    return int((3 if own["color"] else 1) * sum(own["orientations"]) * own["blocks"] ** 2)


def _encoded(encoding: str) -> Callable[[Mapping[str, Any], Shape], int]:
    """Return the length of an encoding: in each cell of the pyramid, numbers for each component or atom."""

    def length(parameters: Mapping[str, Any], shape: Shape) -> int:
        from imgtool.classifiers.codebooks import open_codebook
        from imgtool.features.encoding import length as length_of
        from imgtool.features.pyramid import count_cells

        book, _ = open_codebook(parameters["codebook"])
        if encoding == SPARSE:
            return len(book.atoms) * count_cells(parameters["pyramid"])  # type: ignore[union-attr]
        return length_of(book, parameters["pyramid"], encoding=encoding)  # type: ignore[arg-type]

    return length


LENGTHS: dict[str, Callable[[Mapping[str, Any], Shape], int]] = {
    "hog": _hog,
    "gist": _gist,
    **{encoding: _encoded(encoding) for encoding in ENCODINGS},
}
