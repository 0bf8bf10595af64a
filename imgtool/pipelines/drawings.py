"""Pictures of descriptors, one for each image."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.batch.conflicts import refuse_same
from imgtool.batch.destinations import Destination
from imgtool.batch.inputs import Input
from imgtool.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from imgtool.features.sift import Descriptors

Picture = Callable[["np.ndarray", Any], "np.ndarray"]


def drawing_of(
    name: str,
    parameters: dict[str, Any],
    output: str,
    inputs: Sequence[Input],
    *,
    overwrite: bool,
    reads: Iterable[str] = (),
    beside: Iterable[str] = (),
) -> Drawing:
    """Return the function that draws one image's descriptor and writes it: (index, image, descriptor) -> None.

    output: a file, folder or template; reads: files that are read beside the inputs; beside: the feature file that is
    written too, and its companions. Raises ParameterError or OutputError if the pictures cannot be written or the
    descriptor cannot be drawn.
    """
    if name not in _PICTURES or (name == "sift" and "keypoints" not in parameters):
        raise ParameterError(f"nothing draws {name}", parameters=("visualize",))
    picture = functools.partial(_PICTURES[name], parameters)
    others = [("output", path) for path in beside]
    return writer_of(picture, output, inputs, what=name, overwrite=overwrite, reads=reads, beside=others)


def writer_of(
    picture: Picture,
    output: str,
    inputs: Sequence[Input],
    *,
    what: str,
    overwrite: bool,
    reads: Iterable[str] = (),
    parameter: str = "visualize",
    beside: Iterable[tuple[str, str]] = (),
) -> Drawing:
    """Return what draws and writes a picture of (index, image, what was found in it).

    what: for names that are made up; parameter: that says where pictures go; beside: other files that are written,
    each with the parameter that names it. Refuses pictures that have no place.
    """
    destination = Destination(
        output, inputs, what=what, suffix=".png", force=overwrite, reads=reads, parameter=parameter
    )
    indexes = range(0 if destination.is_stream else len(inputs))
    drawing = Drawing(picture, destination, [(parameter, destination.path(each)) for each in indexes])
    refuse_same([*beside, *drawing.files])
    for index in indexes:
        format_name(destination, index)
        destination.check(index)
    return drawing


@dataclass(frozen=True)
class Drawing:
    """Draws and writes the pictures of images. files: that are written, each with the parameter that names it."""

    picture: Picture
    destination: Destination
    files: Sequence[tuple[str, str]]

    def __call__(self, index: int, image: np.ndarray, values: Any) -> None:
        """Draw one image's picture and write it."""
        from imgtool.image.write import encode

        pixels = self.picture(image, values)
        self.destination.write(index, encode(pixels, format_name(self.destination, index)))


def format_name(destination: Destination, index: int) -> str:
    """Return the format of a picture: its suffix, PNG where it has none. Raises ParameterError for an unknown one."""
    from imgtool.image.write import format_of

    return "png" if destination.has_no_suffix(index) else format_of(destination.path(index))


def _hog_picture(parameters: dict[str, Any], image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Draw the strokes that a descriptor stands for beside the image."""
    from imgtool.features.dalal_triggs import cells_of
    from imgtool.features.drawing import hog_picture
    from imgtool.features.hog import cell_histograms

    variant, count, cell = (parameters[name] for name in ("variant", "orientations", "cell"))
    if variant == "skimage":
        chosen = {name: parameters[name] for name in ("orientations", "cell", "sqrt") if name in parameters}
        return hog_picture(cell_histograms(image, **chosen), cell, image)
    if variant == "dalal-triggs":
        turn = 2 * math.pi if parameters.get("signed") else math.pi
        return hog_picture(cells_of(values), (cell, cell), image, [turn * (k + 0.5) / count for k in range(count)])
    undirected = values[..., 2 * count : 3 * count] if variant == "uoctti" else _mean_of_blocks(values, count)
    return hog_picture(undirected, (cell, cell), image, [math.pi * k / count for k in range(count)])


def _mean_of_blocks(values: np.ndarray, orientations: int) -> np.ndarray:
    """Return the mean of a cell's votes over the four blocks that normalize it."""
    mean: np.ndarray = values.reshape(*values.shape[:2], 4, orientations).mean(axis=2)
    return mean


def _gist_picture(parameters: dict[str, Any], image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Draw each window's energies as a wheel beside the square that is described."""
    from imgtool.features.drawing import gist_picture
    from imgtool.features.gist import contrast_square, window_energies

    orientations, blocks = parameters["orientations"], parameters["blocks"]
    square = contrast_square(image, parameters["size"])
    return gist_picture(window_energies(values, orientations, blocks), orientations, square)


def _sift_picture(_: dict[str, Any], image: np.ndarray, found: Descriptors) -> np.ndarray:
    """Draw keypoints on the image."""
    from imgtool.features.drawing import keypoints_picture

    return keypoints_picture(image, found.frames)


_PICTURES: dict[str, Callable[[dict[str, Any], np.ndarray, Any], np.ndarray]] = {
    "hog": _hog_picture,
    "gist": _gist_picture,
    "sift": _sift_picture,
}
