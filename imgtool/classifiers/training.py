"""Train a model on a data set: what `imgtool train` does, for Python."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.protocol import Trainable
from imgtool.classifiers.registry import create, open_model
from imgtool.classifiers.storage import check_place
from imgtool.datasets.cache import ImageCache
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import Parts, open_parts
from imgtool.datasets.split import split
from imgtool.device import resolve
from imgtool.errors import OutputError, ParameterError
from imgtool.events import Events

VALIDATION_SHARE = 0.1


def train(
    dataset: str | Path | Dataset | Parts,
    model: str = "lenet",
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    validation_share: float | None = None,
    init: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    events: Events | None = None,
    **settings: Any,
) -> Trainable:
    """Train a model on the training part of a data set.

    Parameters
    ----------
    dataset : str, Path, Dataset or Parts
        What `load_dataset` reads or returns. The held-out part is not looked at.
    model : str
        An architecture: two-layer, lenet, alexnet, hog-svm, gist-svm, sift-fv-svm.
    output : str or Path, optional
        The folder to write the model to. While a network trains, a checkpoint lies beside it.
    overwrite : bool
        Replace a model that is there.
    validation_share : float, optional
        Of a network's training images, the share that is left out to watch the training; the epoch with the fewest
        errors on it is kept. By default a tenth, or the data set's own validation part where it has three; 0 for none.
        Classic models choose by cross-validation instead.
    init : str or Path, optional
        A trained network of the same architecture to start from; for other classes its last layer is drawn anew.
    seed : int
        Of everything random.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    threads : int, optional
        Of the CPU; by default a fixed function of the network's size.
    resume : bool
        Go on from the checkpoint of an interrupted training with the same settings.
    events : callable, optional
        Called with `imgtool.events.Step`, `Epoch` and `Progress` while it goes on.
    **settings
        Of the model, such as ``epochs=5``; `imgtool train` lists them.

    Returns
    -------
    Classifier
        The trained model.

    Raises
    ------
    ParameterError
        An unknown model, or a setting out of range.
    DataError, ImageError
        The data set cannot be used.
    TrainingError
        The loss is not finite, or memory is exhausted.
    OutputError
        The model cannot be written, or is there already.

    Examples
    --------
    >>> model = train("sample_images/textures", "two-layer", epochs=3)
    >>> model.classes
    ('brick', 'grass', 'gravel')
    """
    trainable = create(model, **settings)
    training, validation = training_parts(open_parts(dataset), trainable, validation_share, seed)
    if isinstance(trainable, NetworkClassifier):
        trainable.validation, trainable.threads = validation, threads
        if init is not None:
            trainable.start_from(_network(init), training.classes)
    elif init is not None or threads is not None:
        raise ParameterError(f"{model} is no network: it has no weights to start from and no threads to set")
    place = Path(output) if output is not None else None
    checkpoint = prepare_output(place, trainable, overwrite=overwrite, resume=resume)
    trainable.fit(
        training.with_cache(ImageCache()), seed=seed, device=resolve(device), resume=checkpoint, events=events
    )
    if place is not None:
        trainable.save(place, overwrite=overwrite)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
    return trainable


def training_parts(parts: Parts, model: Trainable, share: float | None, seed: int) -> tuple[Dataset, Dataset | None]:
    """Return the images to learn from, and those to watch the training of a network by."""
    if not isinstance(model, NetworkClassifier) or model.architecture.by_hand:
        if share:
            raise ParameterError(f"{model.name} is not watched while it is fitted: it takes no validation images")
        return parts.train, None
    if share is None and parts.validation is not None:
        return parts.train, parts.validation
    share = VALIDATION_SHARE if share is None else share
    if not 0 <= share < 1:
        raise ParameterError(f"the share of validation images must be from 0 to below 1, got {share}")
    return split(parts.train, share, seed) if share else (parts.train, None)


def prepare_output(output: Path | None, model: Trainable, *, overwrite: bool, resume: bool) -> Path | None:
    """Return where the checkpoint lies, None where there is none; refuse what could not be written, before the work."""
    if output is None:
        return None
    check_place(output, overwrite=overwrite)
    checkpoint = checkpoint_of(output)
    if not model.keeps_checkpoints:
        return None
    if checkpoint.exists() and not resume:
        if not overwrite:
            raise OutputError(f"{checkpoint}: is left from an interrupted training", hint="unfinished")
        with contextlib.suppress(OSError):
            checkpoint.unlink()
    return checkpoint


def checkpoint_of(output: Path) -> Path:
    """Return where the checkpoint of a model lies while it is trained."""
    return output.with_name(output.name + ".checkpoint")


def _network(name: str | Path) -> NetworkClassifier:
    """Open a network to start from."""
    model = open_model(name)
    if not isinstance(model, NetworkClassifier):
        raise ParameterError(f"{name} is no network, so nothing can start from its weights")
    return model
