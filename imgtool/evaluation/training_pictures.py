"""Pictures of a training in files: its first batch as the network sees it, its curves."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np

from imgtool.batch.image_files import write
from imgtool.batch.outputs import check_writable
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.protocol import Trainable
from imgtool.classifiers.training import create_to_train, train
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import Parts, open_parts
from imgtool.errors import OutputError, ParameterError, TrainingError
from imgtool.evaluation.curves import require_matplotlib, training_curves
from imgtool.events import Epoch, Event, Events, FirstBatch
from imgtool.image.sheet import captioned_sheet
from imgtool.image.write import format_of

PREVIEW_IMAGES = 32
REDRAW_SECONDS = 30.0  # between drawings of curves, each of which takes half a second


def training_preview(
    dataset: str | Path | Dataset | Parts,
    model: str = "lenet",
    *,
    validation_share: float | None = None,
    init: str | Path | None = None,
    augment: bool = True,
    seed: int = 0,
    device: str = "auto",
    skip_bad: bool = False,
    events: Events | None = None,
    **settings: Any,
) -> np.ndarray:
    """Show the images of a training's first step as the network would see them: cut out and changed at random.

    Parameters
    ----------
    dataset, model, validation_share, init, augment, seed, device, skip_bad, events, **settings : as for `train`
        With the same ones, `train` begins with these images.

    Returns
    -------
    ndarray, (height, width, 3), uint8
        Up to 32 images with their labels, small ones with each pixel as a square of several.

    Raises
    ------
    ParameterError
        The model is no network, or as for `train`.
    DataError, ImageError
        The data set cannot be used.

    Examples
    --------
    >>> import imgtool
    >>> imgtool.training_preview("sample_images/textures", "two-layer").shape
    (368, 840, 3)
    """
    require_network("preview", create_to_train(model, augment=augment, init=init, **settings))
    parts = open_parts(dataset, skip_bad=skip_bad)
    found: list[np.ndarray] = []

    def take(event: Event) -> None:
        if events:
            events(event)
        if isinstance(event, FirstBatch):
            found.append(preview_sheet(event, parts.train.classes))
            raise _EnoughError

    with contextlib.suppress(_EnoughError):
        train(
            parts, model, validation_share=validation_share, init=init, augment=augment, seed=seed, device=device,
            skip_bad=skip_bad, events=take, **settings,
        )  # fmt: skip
    return found[0]


class _EnoughError(Exception):
    """The first batch is there, and no step is to be taken."""


def preview_sheet(batch: FirstBatch, classes: Sequence[str]) -> np.ndarray:
    """Return the first images of a batch with their labels."""
    images = [image[..., 0] if image.shape[2] == 1 else image for image in batch.images[:PREVIEW_IMAGES]]
    return captioned_sheet(images, [classes[label] for label in batch.labels[:PREVIEW_IMAGES]])


class PictureFile:
    """A listener that draws into a file. Where training fails a new file goes: it would stand in the next one's way."""

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path, self.overwrite = path, overwrite
        self._is_new = not os.path.lexists(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, TrainingError) and self._is_new:
            with contextlib.suppress(OSError):
                os.unlink(self.path)

    def write(self, picture: np.ndarray) -> None:
        """Write the picture, over the last one of this training."""
        write(self.path, picture, overwrite=self.overwrite)
        self.overwrite = True


class PreviewFile(PictureFile):
    """Writes the first batch of a training as a sheet."""

    def __init__(self, path: Path, classes: Sequence[str], *, overwrite: bool = False) -> None:
        super().__init__(path, overwrite=overwrite)
        self.classes = classes

    def __call__(self, event: Event) -> None:
        """Write the first batch when it comes."""
        if isinstance(event, FirstBatch):
            self.write(preview_sheet(event, self.classes))


class CurvesFile(PictureFile):
    """Draws the curves of a training: while it goes on, and when its context is left."""

    def __init__(self, path: Path, *, title: str = "", overwrite: bool = False) -> None:
        super().__init__(path, overwrite=overwrite)
        self.title = title
        self._rows: list[dict[str, Any]] = []
        self._drawn_at = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._rows:
            self._draw()
        super().__exit__(kind)

    def __call__(self, event: Event) -> None:
        """Take an epoch; draw where the last drawing was long ago. No picture is worth a training: it may fail."""
        if isinstance(event, Epoch):
            self._rows.append(asdict(event))
            if not event.resumed and time.monotonic() - self._drawn_at > REDRAW_SECONDS:
                with contextlib.suppress(OutputError):
                    self._draw()
                self._drawn_at = time.monotonic()

    def _draw(self) -> None:
        """Draw the epochs so far."""
        self.write(training_curves(self._rows, title=self.title))


def check_pictures(
    model: Trainable, output: Path | None, *, curves: Path | None, preview: Path | None, overwrite: bool
) -> None:
    """Raise, before any work, for a picture that could not be drawn or written, or would lie in the model's folder."""
    for name, path in (("curves", curves), ("preview", preview)):
        if path is None:
            continue
        require_network(name, model)
        format_of(str(path))
        if output is not None and _is_below(path, output):
            raise ParameterError(
                f"{name} {path}: lies in the model's folder, which holds nothing else", parameters=(name,)
            )
        check_writable(path, overwrite=overwrite)
    if curves is not None:
        require_matplotlib()


def require_network(name: str, model: Trainable) -> None:
    """Raise ParameterError for a model that is not trained in epochs and batches. name: of the parameter."""
    if not isinstance(model, NetworkClassifier):
        raise ParameterError(f"{name}: {model.name} is no network: it has no epochs and batches", parameters=(name,))


def _is_below(path: Path, folder: Path) -> bool:
    """Tell whether a file lies, or would lie, in a folder or below it."""
    above = os.path.join(os.path.realpath(folder), "")
    return os.path.join(os.path.realpath(os.path.dirname(path) or "."), "").startswith(above)
