"""The images of a data set as a network takes them: in memory, or in a file where they are larger than a budget."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgtool.batch.outputs import output_errors
from imgtool.batch.pool import ordered_map, processors
from imgtool.datasets.cache import default_budget
from imgtool.datasets.dataset import Dataset
from imgtool.networks.preprocessing import Preprocessing

if TYPE_CHECKING:
    from imgtool.events import Events

STACK_IMAGES = 4096  # that are prepared or compared at once, where they lie in one array
STACK_BYTES = 1 << 26  # of prepared images at once


def prepared(
    dataset: Dataset, seen: Preprocessing, *, folder: Path | None = None, events: Events | None = None
) -> np.ndarray:
    """Return all images prepared, (n, side, side, channels) uint8, not to be written to.

    Where they are larger than `default_budget`, they lie in a file without a name in the folder (by default, that of
    temporary files), of which the system keeps in memory what it has room for, and which is gone with the array.
    Raises OutputError where the file cannot be written.
    """
    shape = (len(dataset), seen.side, seen.side, seen.channels)
    parts = _parts(dataset, seen, events)
    if math.prod(shape) > default_budget():
        return in_file(parts, shape, folder)
    squares, begin = np.empty(shape, np.uint8), 0
    for part in parts:
        squares[begin : begin + len(part)] = part
        begin += len(part)
    return squares


def without_colors(squares: np.ndarray) -> np.ndarray:
    """Return one channel of gray images; of those in a file without reading them."""
    channel = squares[..., :1]
    return channel if isinstance(squares, np.memmap) else np.ascontiguousarray(channel)


def stack_of(dataset: Dataset) -> np.ndarray | None:
    """Return the images of a data set as one uint8 array (n, height, width[, 3]), None where they are none."""
    items = dataset.items
    is_stack = isinstance(items, np.ndarray) and items.dtype == np.uint8 and items.shape[3:] in ((), (3,))
    return items if is_stack and items.ndim > 2 else None  # type: ignore[union-attr,return-value]


def are_gray(squares: np.ndarray) -> bool:
    """Tell whether all images (n, rows, columns, 3) are gray."""
    parts = (squares[begin : begin + STACK_IMAGES] for begin in range(0, len(squares), STACK_IMAGES))
    return all((part[..., :1] == part[..., 1:]).all() for part in parts)


def _parts(dataset: Dataset, seen: Preprocessing, events: Events | None) -> Iterator[np.ndarray]:
    """Yield some prepared images after others, (n, side, side, channels)."""
    if (stack := stack_of(dataset)) is not None:
        step = max(1, min(STACK_IMAGES, STACK_BYTES // (seen.side**2 * seen.channels)))
        yield from (seen.prepare_stack(stack[begin : begin + step]) for begin in range(0, len(stack), step))
        return
    from imgtool.events import Progress

    squares = ordered_map(lambda index: seen.prepare(dataset.image(index)), range(len(dataset)), processors())
    for index, square in enumerate(squares):
        yield square[None]
        if events:
            events(Progress(index + 1, len(dataset), "reading images"))


def in_file(
    parts: Iterable[np.ndarray], shape: tuple[int, ...], folder: Path | None = None, *, dtype: type = np.uint8
) -> np.ndarray:
    """Return arrays, one after the other, as one in a file that has no name."""
    place = Path(tempfile.gettempdir()) if folder is None else folder.absolute()
    while not place.is_dir():  # a folder yet to be made
        place = place.parent
    with output_errors(str(place)), tempfile.TemporaryFile(dir=place) as file:
        for part in parts:  # written, not mapped: a disk that is full is an error, not a crash
            file.write(np.ascontiguousarray(part).data)
        file.flush()
        return np.memmap(file, dtype, "r", shape=shape)
