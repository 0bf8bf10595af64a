"""Train a model on a data set: what `imgtool train` does, for Python."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from imgtool.arrays import real_number, whole_number
from imgtool.batch.conflicts import refuse_inputs, refuse_same
from imgtool.batch.inputs import path_text
from imgtool.batch.places import folder_to_be
from imgtool.batch.pool import at_once, job_count
from imgtool.classifiers.learning import doubt_of
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.protocol import Trainable
from imgtool.classifiers.registry import create, is_trained, locate, model_files, names, open_model, uses_devices
from imgtool.classifiers.start import chosen_by
from imgtool.classifiers.storage import check_place
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.files import files_of
from imgtool.datasets.formats import Parts, open_parts
from imgtool.datasets.split import split
from imgtool.datasets.survey import checked
from imgtool.device import resolve
from imgtool.errors import DataError, OutputError, ParameterError
from imgtool.events import Events
from imgtool.image.alpha import Color
from imgtool.names import unknown_name
from imgtool.networks.catalogue import CATALOGUE
from imgtool.networks.checkpoint import MAX_THREADS, is_checkpoint
from imgtool.networks.launch import launched
from imgtool.networks.numpy_training import require_known

VALIDATION_SHARE = 0.1
MAX_SEED = 2**32 - 1  # that PyTorch and scikit-learn both take


def train(
    dataset: str | Path | Dataset | Parts,
    model: str = "lenet",
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    validation_share: float | None = None,
    init: str | Path | None = None,
    augment: bool = True,
    seed: int = 0,
    device: str = "auto",
    backend: str = "auto",
    threads: int | None = None,
    jobs: int | None = None,
    resume: bool = False,
    skip_bad: bool = False,
    background: Color | None = None,
    events: Events | None = None,
    **settings: Any,
) -> Trainable:
    """Train a model on the training part of a data set.

    Parameters
    ----------
    dataset : str, Path, Dataset or Parts
        What `load_dataset` takes or returns. The held-out part is not used.
    model : str
        An architecture: two-layer, lenet, alexnet, hog-svm, sift-fv-svm, cnn-svm ... as `imgtool models list` has them.
    output : str or Path, optional
        Folder to write the model to. While a network trains, its checkpoint is beside this folder.
    overwrite : bool
        Replace an existing model.
    validation_share : float, optional
        Share of a network's training images to use for validation; the epoch with the fewest validation errors is kept.
        Default: a tenth, or the data set's own validation part if it has one; 0 for none. Classic models use
        cross-validation instead.
    init : str or Path, optional
        A trained network of the same architecture to start from. If the classes differ, the last layer is initialized
        at random. With ``freeze="all-but-last"`` only the last layer learns.
    augment : bool
        Change the training images of a network at random, as its settings say; False: never.
    seed : int
        Random seed.
    device : str
        "auto", "cpu", "cuda" or "cuda:N"; of classic models, "gist-svm" and "cnn-svm" describe images there.
    backend : str
        "torch", "numpy" (by hand: two-layer and lenet), or "auto": on the CPU two-layer by hand, all else in PyTorch.
    threads : int, optional
        CPU threads; the default depends only on the network's size.
    jobs : int, optional
        Images that are read and described at once; default: as many as there are processors. Changes no result.
    resume : bool
        Continue an interrupted training with the same settings from its checkpoint.
    skip_bad : bool
        Train without the images that cannot be used.
    background : str or (int, int, int), optional
        The color that transparent images are shown on, as for `flatten`. Default: white. The model does not remember
        it: what it is measured on and classifies is shown on a color of its own.
    events : callable, optional
        Called during training with what `imgtool.events` defines: `Step`, `Epoch`, `SmallerBatch` and others.
    **settings
        Settings of the model, such as ``epochs=5``; `open_model(...).settings` and `imgtool train` list them.

    Returns
    -------
    Classifier
        The trained model.

    Raises
    ------
    ParameterError
        The model is unknown, or a setting is unknown or out of range.
    DataError, ImageError
        The data set cannot be used.
    TrainingError
        The loss is not finite, or memory ran out.
    OutputError
        The model cannot be written, or exists already.

    Examples
    --------
    >>> import imgtool
    >>> model = imgtool.train("sample_images/textures", "two-layer", epochs=3)
    >>> model.classes
    ('brick', 'grass', 'gravel')
    """
    seed = whole_number(seed, "seed", low=0, high=MAX_SEED)
    threads = threads if threads is None else whole_number(threads, "threads", high=MAX_THREADS)
    jobs = job_count(jobs)
    device = training_device(device, backend, model)
    trainable = create_to_train(model, augment=augment, init=init, backend=backend, device=device, **settings)
    place = Path(path_text(output, "output")) if output is not None else None
    parts = open_parts(dataset, skip_bad=skip_bad, background=background)
    training_parts(parts, trainable, validation_share, seed)  # wrong usage, and a model that is there, are told before
    is_first = require_trained_together(trainable, device)
    if place is not None and is_first:
        require_other_places(place, parts, init)
        check_place(place, overwrite=overwrite)
    with at_once(jobs):
        parts = checked(parts, skip_bad=skip_bad, events=events)
    training, validation = training_parts(parts, trainable, validation_share, seed)
    if isinstance(trainable, NetworkClassifier):
        trainable.validation, trainable.threads = validation, threads
        if init is not None:
            trainable.start_from(_network(init), training.classes, _name_of(init))
    elif init is not None or threads is not None:
        raise ParameterError(f"{model} is no network: it has no weights to start from and no threads to set")
    checkpoint = prepare_output(place, trainable, overwrite=overwrite, resume=resume, is_first=is_first)
    with at_once(jobs):
        trainable.fit(training, seed=seed, device=device, resume=checkpoint, events=events)
    trainable.doubt = doubt_of(trainable, training.labels, None if validation is None else validation.labels)
    if validation is not None:
        trainable.provenance = {**trainable.provenance, **chosen_by(trainable, validation)}
    if training is not parts.train:
        whole = {"images": len(parts.train), "sha256": parts.train.digest()}
        trainable.provenance = {**trainable.provenance, "drawn_from": whole}
    if place is not None and is_first:
        trainable.save(place, overwrite=overwrite)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
    return trainable


def training_device(device: str, backend: str, model: str) -> str:
    """Return the device on which a model is trained; by hand that is the CPU, unless another is asked for.

    Raises ParameterError where another is asked for and the model runs on the CPU alone.
    """
    on_cpu = not uses_devices(model)
    if on_cpu and device not in ("auto", "cpu"):
        raise ParameterError(f"{model} is trained on the CPU, not on device {device}", parameters=("device",))
    return "cpu" if on_cpu or (backend == "numpy" and device == "auto") else resolve(device)


def create_to_train(
    model: str,
    *,
    augment: bool = True,
    init: str | Path | None = None,
    backend: str = "auto",
    device: str = "cpu",
    **settings: Any,
) -> Trainable:
    """Return an unfitted model by its architecture. Raises ParameterError, with the way out, for trained weights."""
    if not isinstance(model, str) or not is_trained(model):
        trainable = create(model, **settings)
        choose_trainer(trainable, backend, device)
        if not augment:
            turn_changes_off(trainable)
        if isinstance(trainable, NetworkClassifier):
            trainable.require_start(init is not None)
        return trainable
    if "@" in model:
        locate(model)  # weights that are nowhere are an unknown name, not a trained model
    architecture = model.partition("@")[0]
    text = f"{model} is trained already, and training takes an architecture: "
    if architecture in CATALOGUE:
        raise ParameterError(f"{text}{architecture}; init {model} starts from its weights", parameters=("init",))
    raise ParameterError(text + (architecture if architecture in names() else ", ".join(names())))


def choose_trainer(model: Trainable, backend: str, device: str) -> None:
    """Have a backend train a network on a device. Raises ParameterError for one that does not."""
    if backend not in NetworkClassifier.backends:
        raise unknown_name("backend", backend, NetworkClassifier.backends)
    if isinstance(model, NetworkClassifier):
        model.trainer = backend
        model.trainer = model.require_trainer(device)
        if model.trainer == "numpy":
            require_known(model.recipe, model.augmentation)
    elif backend != "auto":
        raise ParameterError(f"backend: {model.name} is no network, and has none to choose", parameters=("backend",))


def turn_changes_off(model: Trainable) -> None:
    """Have a network see its training images as they are. Raises ParameterError where its settings say otherwise."""
    if not isinstance(model, NetworkClassifier):
        raise ParameterError(f"augment: {model.name} changes no images at random", parameters=("augment",))
    still = type(model.augmentation)(horizontal_flip=False)  # beside the mirror, changes are off unless they are set
    own = model.augmentation.to_json()
    for name, value in still.to_json().items():
        if name in model.chosen and own[name] != value:
            raise ParameterError(f"augment: is off, and {name}={own[name]} is set", parameters=("augment",))
    model.change("augmentation", still)


def training_parts(parts: Parts, model: Trainable, share: float | None, seed: int) -> tuple[Dataset, Dataset | None]:
    """Return the training images, and the validation images of a network (None for none)."""
    parts.require_training()
    if not isinstance(model, NetworkClassifier):
        if share:
            raise ParameterError(f"{model.name} is not watched while it is fitted: it takes no validation images")
        return parts.train, None
    if share is None and parts.validation is not None:
        return parts.train, parts.validation
    share = VALIDATION_SHARE if share is None else real_number(share, "the share of validation images")
    if not 0 <= share < 1:
        raise ParameterError(f"the share of validation images must be from 0 to below 1, got {share}")
    try:
        return split(parts.train, share, seed) if share else (parts.train, None)
    except DataError as error:
        raise DataError(str(error), hint="no-validation") from None


def require_other_places(
    output: Path | None, parts: Parts, init: str | Path | None, *, pictures: Mapping[str, Path | None] | None = None
) -> None:
    """Raise ParameterError where an output would replace what is read, the data set or first weights, or another one.

    Outputs are the model, its checkpoint, and pictures, by the names of their parameters.
    """
    named = [(name, str(path)) for name, path in (pictures or {}).items() if path is not None]
    if output is not None:
        refuse_same([("output", str(output)), ("output", str(checkpoint_of(output))), *named])
        named.append(("output", str(checkpoint_of(output))))
    refuse_same(named)
    inputs, folder = chain(files_of(parts), model_files(init)), None if output is None else str(output)
    refuse_inputs([path for _, path in named], inputs, folder=folder)


def require_trained_together(model: Trainable, device: str) -> bool:
    """Tell whether this process is the first of those that train together, or the only one.

    Raises ParameterError for a model that several processes cannot train.
    """
    launch = launched()
    if launch.count > 1 and not (isinstance(model, NetworkClassifier) and model.trainer_on(device) == "torch"):
        raise ParameterError(f"{model.name} is trained by one process, and {launch.count} were launched")
    return launch.is_first


def prepare_output(
    output: Path | None, model: Trainable, *, overwrite: bool, resume: bool, is_first: bool = True
) -> Path | None:
    """Return the checkpoint's path, None for a model without one. Raises OutputError for an unusable output.

    is_first: whether this process writes; others leave everything as it is.
    """
    if resume and not model.keeps_checkpoints:
        by_hand = " by backend numpy" if isinstance(model, NetworkClassifier) else ""
        text = f"resume: {model.name} keeps no checkpoint to go on from; it is trained in one go{by_hand}"
        raise ParameterError(text, parameters=("resume",))
    if output is None:
        return None
    if not is_first:
        return checkpoint_of(output)
    check_place(output, overwrite=overwrite)
    checkpoint = checkpoint_of(output)
    if not model.keeps_checkpoints:
        return None
    if checkpoint.exists() and not is_checkpoint(checkpoint):
        raise OutputError(f"{checkpoint}: is no checkpoint, which would lie there; imgtool does not replace it")
    if checkpoint.exists() and not resume:
        if not overwrite:
            raise OutputError(f"{checkpoint}: is left from an interrupted training", hint="unfinished")
        with contextlib.suppress(OSError):
            checkpoint.unlink()
    return checkpoint


def checkpoint_of(output: Path) -> Path:
    """Return the path of a model's checkpoint."""
    output = folder_to_be(output)
    if not output.name:  # such as ".", which has no name of its own
        output = Path(os.path.abspath(output))
    return output.with_name(output.name + ".checkpoint")


def _network(name: str | Path) -> NetworkClassifier:
    """Open a network to start from."""
    model = open_model(name)
    if not isinstance(model, NetworkClassifier):
        raise ParameterError(f"{name} is no network, so nothing can start from its weights")
    return model


def _name_of(name: str | Path) -> str:
    """Return the whole name of an included model, `lenet@cifar10` for `lenet`, or a folder's own name."""
    return locate(str(name)).resolve().name
