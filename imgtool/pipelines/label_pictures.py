"""What is drawn of each image that is labeled: where a network's answer comes from, and its feature maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from imgtool.batch.places import lies_in
from imgtool.errors import ParameterError
from imgtool.image.resize import resize
from imgtool.pipelines.drawings import Drawing, writer_of

if TYPE_CHECKING:
    from imgtool.batch.inputs import Input
    from imgtool.classifiers.protocol import Classifier


class Subject(Protocol):
    """What a picture shows of an image and a network. Of a decoded photograph only what it needs is kept."""

    def keep(self, image: np.ndarray) -> Any:
        """Return of an image what `look` needs; several threads call it."""

    def look(self, kept: Any, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what `picture` takes, once the image's probabilities are there. Raises DataError."""

    def picture(self, image: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the picture, RGB uint8."""


class Cam:
    """Grad-CAM of the best label, over the image and beside it."""

    def __init__(self, model: Classifier) -> None:
        """Raise ParameterError for a model without feature maps."""
        from imgtool.classifiers.grad_cam import GradCam

        self._cam = GradCam(model)

    def keep(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the image as it is shown, and as the network sees it."""
        from imgtool.networks.drawing import shown_size

        return resize(image, *shown_size(*image.shape[:2])), self._cam.model.prepare(image)

    def look(self, kept: Any, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the image as it is shown, and the heat over it."""
        shown, square = kept
        heat = self._cam.of_prepared(square, int(scores.argmax()))
        return shown, self._cam.spread(heat, *shown.shape[:2])

    def picture(self, image: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return both beside each other."""
        from imgtool.networks.drawing import heat_picture

        return heat_picture(image, values, self._cam.model.preprocessing.window(*image.shape[:2]))


class Maps:
    """The feature maps of one layer, side by side."""

    def __init__(self, model: Classifier, layer: str) -> None:
        """Raise ParameterError for a model without that layer, and for a layer without maps."""
        from imgtool.classifiers.network import NetworkClassifier
        from imgtool.networks.cut import until

        if not isinstance(model, NetworkClassifier):
            raise ParameterError(f"{model.name} is no network, so it has no feature maps")
        self._model, self._layer, self._network, self._arrays = model, layer, model.network(), model.arrays()
        shape = until(self._network, layer).output_shape(model.input_shape)
        if len(shape) != 3:
            raise ParameterError(f"layer {layer} of {model.name} gives {shape[0]} numbers, no maps", hint="layers")

    def keep(self, image: np.ndarray) -> np.ndarray:
        """Return the image as the network sees it."""
        return self._model.prepare(image)

    def look(self, kept: Any, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the image as the network sees it, and the maps (channels, rows, columns)."""
        from imgtool.networks.grad_cam import feature_maps

        images = self._model.preprocessing.normalize([kept])
        return kept, feature_maps(self._network, self._arrays, self._layer, images)[0]

    def picture(self, image: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the sheet of maps."""
        from imgtool.networks.drawing import maps_picture

        return maps_picture(values)


@dataclass(frozen=True)
class Pictures:
    """All that is drawn of each image: subjects, and what draws and writes each."""

    subjects: Sequence[Subject] = ()
    drawings: Sequence[Drawing] = ()

    def keep(self, image: np.ndarray) -> list[Any]:
        """Return of an image what `draw` needs."""
        return [subject.keep(image) for subject in self.subjects]

    def draw(self, index: int, kept: list[Any], scores: np.ndarray) -> None:
        """Draw and write the pictures of one image. Raises OutputError or DataError."""
        for subject, drawing, own in zip(self.subjects, self.drawings, kept, strict=True):
            drawing(index, *subject.look(own, scores))


def pictures_of(
    model: Classifier,
    cam: str | None,
    maps: tuple[str, str] | None,
    inputs: Sequence[Input],
    *,
    overwrite: bool,
    reads: Sequence[str],
    links: str | None,
) -> Pictures:
    """Return what is drawn.

    cam: a file, folder or template; maps: a layer and a folder; links: a folder that is filled with links to the
    images, in which no picture may lie: it could be written through one. Raises ParameterError and OutputError, before
    any work, for what cannot be drawn or has no place.
    """
    wanted: list[tuple[str, str, Subject]] = []
    if cam is not None:
        wanted.append(("cam", cam, Cam(model)))
    if maps is not None:
        layer, folder = maps
        wanted.append(("maps", f"{folder}/", Maps(model, layer)))
    drawings: list[Drawing] = []
    for name, output, subject in wanted:
        beside = [each for drawing in drawings for each in drawing.files]
        drawing = writer_of(
            subject.picture, output, inputs, what=name, overwrite=overwrite, reads=reads, parameter=name, beside=beside
        )
        _refuse_below(links, (path for _, path in drawing.files), name)
        drawings.append(drawing)
    return Pictures([subject for *_, subject in wanted], drawings)


def _refuse_below(folder: str | None, paths: Iterable[str], parameter: str) -> None:
    """Raise ParameterError for files in a folder that is filled with links."""
    if folder is not None and any(lies_in(path, folder) for path in paths):
        raise ParameterError(f"{parameter} lies in the folder of sort", parameters=(parameter, "sort")).within(folder)
