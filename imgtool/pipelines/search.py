"""Find the images of a feature file that are most similar to a query image."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.batch.inputs import STANDARD_INPUT, Input
from imgtool.errors import DataError, ImgtoolError, ParameterError
from imgtool.pipelines.descriptors import descriptor_of
from imgtool.pipelines.lengths import require_length
from imgtool.pipelines.sizes import parse_size, sides_in
from imgtool.pipelines.source import Reading
from imgtool.remarks import Remark

if TYPE_CHECKING:
    import numpy as np

    from imgtool.datasets.feature_file import FeatureTable

METRICS = ("cosine", "euclidean", "intersection")  # features.search's; here too, so that help imports no NumPy


@dataclass(frozen=True)
class Match:
    """One of the nearest images: its row in the file, counted from 0, path, label (None for none), and how near.

    score: cosine or intersection (larger is nearer), or Euclidean distance (smaller is nearer).
    """

    index: int
    path: str
    label: str | None
    score: float


def search(features: Any, query: Any, *, top: int = 10, metric: str = "cosine") -> list[Match]:
    """Find the images of a feature file that are most similar to one image.

    Parameters
    ----------
    features : path or FeatureTable
        A feature file with one vector per image, as written by `describe_images`, or its table.
    query : path, array_like of an image (height, width[, channels]), or vector (D)
        If the feature file contains the path, its row is the query; any other image is described with the file's
        settings.
    top : int
        Number of nearest images.
    metric : str
        "cosine", "euclidean" or "intersection" (histogram intersection).

    Returns
    -------
    list of Match
        With index, path, label and score; best first, ties in the file's order.

    Raises
    ------
    DataError
        The file is not a feature file, contains local descriptors, or does not state how its images were described.
    ImageError
        The query cannot be read or described.
    ParameterError
        The metric is unknown.

    Examples
    --------
    >>> import tempfile
    >>> import imgtool
    >>> folder = tempfile.mkdtemp()
    >>> _ = imgtool.describe_images("sample_images/textures/brick", "gist", output=f"{folder}/brick.npz", size=64)
    >>> found = imgtool.search(f"{folder}/brick.npz", "sample_images/textures/brick/brick_00.png", top=3)
    >>> [match.index for match in found][0]
    0
    """
    table, name = open_table(features)
    try:
        return nearest_rows(table, query_vector(table, query), top=top, metric=metric)
    except DataError as error:
        raise error.within(name) if name else error from None


def open_table(features: Any) -> tuple[FeatureTable, str]:
    """Return a table of one vector an image, and the file's name. Raises DataError."""
    from imgtool.datasets import feature_file

    is_file = isinstance(features, str | os.PathLike)
    table = feature_file.load(features) if is_file else features
    if not isinstance(table, feature_file.FeatureTable):
        raise ParameterError(f"features must be a feature file or its table, not {type(features)}")
    name = os.fspath(features) if is_file else ""
    if table.offsets is not None:
        error = DataError("holds local descriptors; search takes one vector an image (hog, gist, fisher)")
        raise error.within(name) if name else error
    return table, name


def nearest_rows(table: FeatureTable, vector: np.ndarray, *, top: int, metric: str) -> list[Match]:
    """Return the rows of a table that are most similar to a vector. Raises DataError."""
    from imgtool.features.search import nearest

    found, scores = nearest(table.features, vector, top=top, metric=metric)
    rows = zip(found.tolist(), scores.tolist(), strict=True)
    return [Match(index, table.paths[index], table.labels[index] or None, score) for index, score in rows]


def query_vector(table: FeatureTable, query: Any, read: Callable[[str], np.ndarray] | None = None) -> np.ndarray:
    """Return the query's vector: its row in the file, the given vector, or the file's descriptor of the image.

    read: from a path to an image. Raises DataError, without the file's name, and errors of the image.
    """
    import numpy as np

    if not isinstance(query, str | os.PathLike):
        image = np.asarray(query)
        return image if image.ndim == 1 else _describe(table, image)
    path = os.fspath(query)
    if path in table.paths:
        row: np.ndarray = table.features[list(table.paths).index(path)]
        return row
    describe = _descriptor_of(table)
    try:
        return _apply(table, describe, read(path) if read else read_image(path, reading_of(table)))
    except DataError:
        raise
    except ImgtoolError as error:
        raise error.within("standard input" if path == STANDARD_INPUT else path) from None


def read_image(path: str, reading: Reading | None = None, remarks: list[Remark] | None = None) -> np.ndarray:
    """Return the image at a path, `-` for standard input; remarks takes what it lacks of the file."""
    from imgtool.image import read

    return (reading or Reading()).decode(Input(path).read_bytes(), read, [] if remarks is None else remarks)


def reading_of(table: FeatureTable) -> Reading:
    """Return how the table's images were read; as by default where that is not said."""
    try:
        return Reading.of_meta(table.meta["parameters"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return Reading()


def _describe(table: FeatureTable, image: np.ndarray) -> np.ndarray:
    """Return an image's vector."""
    return _apply(table, _descriptor_of(table), image)


def _descriptor_of(table: FeatureTable) -> Callable[[np.ndarray], Any]:
    """Return the function that described the table's images."""
    try:
        return descriptor_of(table.meta)
    except (KeyError, TypeError, ValueError, ParameterError):
        raise DataError("does not say how its images were described, so a query cannot be") from None


def _apply(table: FeatureTable, describe: Callable[[np.ndarray], Any], image: np.ndarray) -> np.ndarray:
    """Apply the file's descriptor to an image. Raises DataError if its meta does not fit."""
    try:
        _require_length(table, image.shape)
        vector: np.ndarray = describe(image).reshape(-1)
        return vector
    except ImgtoolError:
        raise
    except (TypeError, AttributeError, LookupError, ArithmeticError, ValueError):
        raise DataError("holds settings that its descriptor does not take") from None


def _require_length(table: FeatureTable, shape: tuple[int, ...]) -> None:
    """Raise DataError where the file's settings give an image of this shape another vector than its rows are."""
    parameters = table.meta["parameters"]
    if size := parameters.get("resize"):
        shape = sides_in(parse_size("resize", str(size)), shape)
    require_length(table.meta["descriptor"], parameters, shape, table.features.shape[1])
