"""Networks as classifiers: a declaration with weights, what it does to an image first, and how it is trained.

Predicting runs in NumPy without PyTorch (backend `numpy`), or in PyTorch (backend `torch`); `auto` takes NumPy on the
CPU. Training runs in PyTorch, or by hand in NumPy: `auto` takes what the catalogue has first, on a GPU PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from imgtool.classifiers.protocol import Trainable, softmax
from imgtool.classifiers.settings import Groups
from imgtool.classifiers.squares import are_gray, prepared, stack_of, without_colors
from imgtool.classifiers.start import Start
from imgtool.classifiers.storage import ModelData
from imgtool.classifiers.threshold import THRESHOLD, validated_threshold
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.labels import are_characters
from imgtool.device import resolve
from imgtool.errors import DataError, MissingExtraError, ParameterError
from imgtool.networks.catalogue import CATALOGUE, Architecture
from imgtool.networks.channels_last import NumpyRunner
from imgtool.networks.cut import up_to
from imgtool.networks.declaration import Sequence as NetworkSequence
from imgtool.networks.declaration import require_arrays
from imgtool.networks.launch import launched
from imgtool.networks.preprocessing import Preprocessing
from imgtool.parameters import Parameters

if TYPE_CHECKING:
    from imgtool.events import Events
    from imgtool.networks.samples import Samples

CHUNK_IMAGES = 32  # that pass a network at once
TIMES = {"seconds", "images_per_second"}  # in the rows of a history
Arrays = Mapping[str, np.ndarray]


class Runner(Protocol):
    """A network with its weights on one backend and device; several threads may predict with it."""

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the input of the last layer (n, D) float32 of images (n, channels, side, side) float32."""

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return (n, classes) float32."""


class NetworkClassifier(Trainable):
    """A network of the catalogue, trained or not.

    groups: architecture, preprocessing, recipe, augmentation. start: what to train from in the place of fresh weights.
    """

    backends = ("auto", "numpy", "torch")
    precisions = ("float32", "bf16")

    def __init__(self, name: str, groups: Groups | None = None, *, chosen: Iterable[str] = ()) -> None:
        own = CATALOGUE[name]
        defaults = {
            "architecture": own.parameters,
            "preprocessing": own.preprocessing,
            "recipe": own.recipe,
            "augmentation": own.augmentation,
        }
        super().__init__(name, defaults if groups is None else groups, chosen=chosen)
        try:
            self.architecture.check(self.preprocessing, self.groups["recipe"])
        except ParameterError as error:
            raise ParameterError(f"{name}: {error}") from None
        self._arrays: Arrays = {}
        self._runner: Runner | None = None
        self._make_runner: Callable[[NetworkSequence, Arrays], Runner] = NumpyRunner
        self.start: Start | None = None
        self.trainer = "auto"
        self.threads: int | None = None
        self.validation: Dataset | None = None

    @property
    def architecture(self) -> Architecture:
        """The catalogue's entry."""
        return CATALOGUE[self.name]

    @property
    def keeps_checkpoints(self) -> bool:  # type: ignore[override]
        """Whether `fit` writes to and goes on from a checkpoint."""
        return self.trainer_on("cpu") == "torch"

    def trainer_on(self, device: str) -> str:
        """Return the backend that trains on a device. Raises ParameterError where it cannot."""
        known = self.architecture.trainers
        found = self.trainer if self.trainer != "auto" else known[0] if device == "cpu" else "torch"
        if found not in known:
            raise ParameterError(f"{self.name} is not trained by backend {found}, but by {' or '.join(known)}")
        if found == "numpy" and device != "cpu":
            raise ParameterError(f"backend numpy runs on the CPU, not on {device}")
        return found

    def require_trainer(self, device: str) -> str:
        """Return what `trainer_on` does. Raises MissingExtraError where it is not installed."""
        found = self.trainer_on(device)
        if found == "torch":
            require_torch(f"training {self.name}", hint="by-hand" if "numpy" in self.architecture.trainers else "")
        return found

    def require_extras(self, device: str = "cpu") -> None:
        """Raise MissingExtraError where what trains it is not installed."""
        self.require_trainer(device)

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to an image first."""
        group = self.groups["preprocessing"]
        assert isinstance(group, Preprocessing)
        return group

    @property
    def recipe(self) -> Any:
        """How it is trained."""
        return self.groups["recipe"]

    @property
    def augmentation(self) -> Any:
        """What is changed at random in training images."""
        return self.groups["augmentation"]

    def network(self, classes: int | None = None) -> NetworkSequence:
        """Return the declaration for these settings and so many classes, by default its own."""
        return self._training_network(len(self.classes) if classes is None else classes).without_auxiliary()

    def _training_network(self, classes: int) -> NetworkSequence:
        """Return the declaration with what only training sees."""
        return self.architecture.declare(classes, self.parameters, self.preprocessing)

    def parameter_count(self) -> int:
        """Return how many numbers it has learned; statistics of batches are none."""
        return self.network().parameters()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, side, side) of what the network sees."""
        side = self.preprocessing.side
        return self.preprocessing.channels, side, side

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return the centered square (side, side, channels) uint8 after the shorter side was resized."""
        return self.preprocessing.prepare(image)

    def features(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return the input of the last layer (N, D) float32."""
        chunks = (batch[begin : begin + CHUNK_IMAGES] for begin in range(0, len(batch), CHUNK_IMAGES))
        runner = self._running()
        return np.concatenate([runner.features(self.preprocessing.normalize(chunk)) for chunk in chunks])

    def decide(self, features: np.ndarray) -> np.ndarray:
        """Return softmax probabilities of the last layer."""
        return softmax(self._running().logits(features))

    def runner_up_to(self, layer: str) -> Runner:
        """Return what computes what a layer gives, as features. Raises ParameterError where there is no such layer."""
        self._running()
        try:
            network = up_to(self.network(), layer, self.input_shape)
        except ParameterError as error:
            raise ParameterError(f"{self.name}: {error}", hint=error.hint) from None
        return self._make_runner(network, {name: self._arrays[name] for name in network.arrays()})

    def _running(self) -> Runner:
        if self._runner is None:
            raise ParameterError(f"{self.name} is not fitted")
        return self._runner

    def fit(
        self,
        dataset: Dataset,
        *,
        seed: int = 0,
        device: str = "cpu",
        resume: Path | None = None,
        events: Events | None = None,
    ) -> Self:
        """Train with stochastic gradient descent, from fresh weights unless `start_from` gave some.

        Raises MissingExtraError without PyTorch, TrainingError where the loss is not finite.
        """
        from imgtool.networks.initialization import draw_arrays  # which predicting does without

        self.require_start(self.start is not None)
        device = launched().own_device(resolve(device))
        trainer = self.require_trainer(device)
        folder = None if resume is None else resume.parent
        samples = self.samples(dataset, events, folder)
        network = self._training_network(len(dataset.classes))
        first = draw_arrays(network, seed, self.input_shape, **self.architecture.first)
        arrays = {**first, **(self.start.arrays if self.start else {})}
        require_arrays(network.arrays(), arrays)
        if trainer == "numpy":
            trained, history = self._fit_by_hand(network, arrays, samples, seed, events)
        else:
            trained, history = self._fit_in_torch(network, arrays, samples, seed, device, resume, events)
        if device != "cpu":  # on which it also predicts
            self._make_runner, self.device = _torch_runner(self.name, device, self.precision), device
        predicting = network.without_auxiliary()
        self._take(predicting, {name: trained[name] for name in predicting.arrays()})
        self.metrics = history
        # Without its times: equal trainings are stored as equal bytes.
        rows = [{key: value for key, value in row.items() if key not in TIMES} for row in history]
        origin = {"init": dict(self.start.origin)} if self.start else {}
        self.record_training(dataset, seed=seed, history=rows, device=device, backend=trainer, **origin)
        if self.start and self.start.tells(dataset.classes):  # by their names, where the data set has identifiers
            self.classes, self.identifiers = self.start.classes, self.start.identifiers
        self.threshold = THRESHOLD if self.validation is None else validated_threshold(self.scores, self.validation)
        return self

    def _fit_by_hand(
        self, network: NetworkSequence, arrays: Arrays, samples: Samples, seed: int, events: Events | None
    ) -> tuple[Arrays, list[dict[str, Any]]]:
        from imgtool.networks.numpy_training import train_by_hand

        return train_by_hand(
            network, arrays, samples, self.recipe, self.augmentation, seed=seed,
            validation=self._validation_like(samples, events), events=events,
        )  # fmt: skip

    def _fit_in_torch(
        self,
        network: NetworkSequence,
        arrays: Arrays,
        samples: Samples,
        seed: int,
        device: str,
        checkpoint: Path | None,
        events: Events | None,
    ) -> tuple[Arrays, list[dict[str, Any]]]:
        from imgtool.networks.distributed import grouped
        from imgtool.networks.torch_backend import arrays_of, module_with
        from imgtool.networks.training import train

        if side := self.recipe.training_side:
            network.output_shape((self.preprocessing.channels, side, side))  # raises what PyTorch would not say so well
        module = module_with(network, arrays)
        if self.recipe.freeze == "all-but-last":
            head = network.last_learned()
            for name, parameter in module.named_parameters():
                parameter.requires_grad_(name.startswith(f"{head}."))
        with grouped(device) as group:
            history = train(
                module, samples, self.recipe, self.augmentation, seed=seed, device=device,
                validation=self._validation_like(samples, events, checkpoint), checkpoint=checkpoint,
                threads=self.threads, multiply_adds=network.multiply_adds(self.input_shape), group=group, events=events,
            )  # fmt: skip
        return arrays_of(module), history

    def _validation_like(
        self, samples: Samples, events: Events | None, checkpoint: Path | None = None
    ) -> Samples | None:
        """Return the validation images, seen as the training images are; None where there are none."""
        if self.validation is None:
            return None
        folder = None if checkpoint is None else checkpoint.parent
        images = prepared(self.validation, self.preprocessing, folder=folder, events=events)
        return replace(samples, images=images, labels=self.validation.labels.astype(np.int64))

    def samples(self, dataset: Dataset, events: Events | None = None, folder: Path | None = None) -> Samples:
        """Return all images, preprocessed, after choosing the settings that depend on the data.

        folder: of the file in which they lie where they are too many for memory, as `prepared` has it.

        Unless chosen otherwise, gray images are trained with one channel, and characters are not mirrored. Mean and
        deviation of each channel are those of the images, unless initial weights came with theirs.
        """
        from imgtool.networks.samples import Samples, channel_statistics

        if "horizontal_flip" not in self.chosen and are_characters(dataset.classes):
            self.change("augmentation", replace(self.augmentation, horizontal_flip=False))
        may_be_gray = (
            self.preprocessing.channels == 3 and 1 in self.architecture.channels and "channels" not in self.chosen
        )
        stack = stack_of(dataset)
        if may_be_gray and stack is not None and stack.ndim == 3:
            self._take_gray()
        squares = prepared(dataset, self.preprocessing, folder=folder, events=events)
        if may_be_gray and squares.shape[3] == 3 and are_gray(squares):
            squares = without_colors(squares)
            self._take_gray()
        seen = self.preprocessing
        if self.start is None:
            still = ((0.0,) * squares.shape[3], (1.0,) * squares.shape[3])
            mean, deviation = still if seen.per_image else channel_statistics(squares)
            seen = replace(seen, mean=mean, deviation=deviation)
        self.change("preprocessing", seen)
        return Samples(squares, dataset.labels.astype(np.int64), seen.mean, seen.deviation, seen.per_image)

    def _take_gray(self) -> None:
        """See one channel."""
        seen = self.preprocessing
        self.change("preprocessing", replace(seen, channels=1, mean=seen.mean[:1], deviation=seen.deviation[:1]))

    def require_start(self, has_start: bool) -> None:
        """Raise ParameterError where layers are to stay as they are that nobody has trained."""
        if getattr(self.recipe, "freeze", "none") != "none" and not has_start:
            text = f"freeze={self.recipe.freeze} needs weights to start from: init names a trained network"
            raise ParameterError(text, parameters=("init",))

    def start_from(self, other: NetworkClassifier, classes: Sequence[str], name: str = "") -> None:
        """Start training from another model's weights and settings; for other classes, with a new last layer.

        What was chosen of architecture and preprocessing stays. The weights are remembered by `name`, or by their
        architecture's. Raises DataError for weights that do not fit.
        """
        if other.name != self.name:
            raise DataError(f"weights of {other.name} do not fit {self.name}")
        for part in ("architecture", "preprocessing"):
            own = self.groups[part]
            kept = {each: getattr(own, each) for each in own.meanings() if each in self.chosen}
            self.change(part, replace(other.groups[part], **kept))
        self.architecture.check(self.preprocessing, self.recipe)
        self.start = Start.of(other, self.network(len(classes)), classes, name or other.name)
        self.seen_before = other.provenance.get("seen", "")
        self.chosen |= {"channels"}  # which the weights have decided

    def _take(self, network: NetworkSequence, arrays: Arrays) -> None:
        """Keep weights. Raises DataError where their names, shapes or types are not the network's."""
        for name, array in arrays.items():
            if array.dtype != np.float32:
                raise DataError(f"weights do not fit: {name} is {array.dtype}, not float32")
        self._runner, self._arrays = self._make_runner(network, arrays), arrays

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights by their tensor names."""
        return dict(self._arrays)

    def restore(self, arrays: Arrays) -> None:
        """Take weights whose names and shapes are the network's."""
        self._take(self.network(), arrays)

    @classmethod
    def from_data(
        cls, data: ModelData, *, backend: str = "auto", device: str = "cpu", precision: str = "float32"
    ) -> Self:
        """Return the network that a folder holds, to run on a backend and device, in a precision."""
        try:
            model = cls(data.name, cls.groups_from(data))
        except ParameterError as error:
            raise DataError(f"preprocessing in model.json: {error}") from None
        if backend == "torch" or (device, precision) != ("cpu", "float32"):
            model._make_runner = _torch_runner(data.name, device, precision)
        model.device, model.precision = device, precision
        model.describe_by(data)
        model.restore(data.arrays)
        return model

    @classmethod
    def groups_from(cls, data: ModelData) -> dict[str, Parameters]:
        """Return a folder's settings; its training recipe only if imgtool trained it."""
        own = CATALOGUE[data.name]
        groups: dict[str, Parameters] = {"recipe": own.recipe, "augmentation": own.augmentation}
        try:
            groups["architecture"] = own.parameters.from_json(data.parameters)
        except DataError as error:
            raise DataError(f"architecture in model.json: {error}") from None
        try:
            groups["preprocessing"] = own.preprocessing.from_json(data.preprocessing)
        except DataError as error:
            raise DataError(f"preprocessing in model.json: {error}") from None
        recipe = data.provenance.get("recipe", {})
        for part in ("recipe", "augmentation"):
            known = {name: value for name, value in recipe.items() if name in groups[part].meanings()}
            try:
                groups[part] = replace(groups[part], **known)
            except ParameterError as error:
                raise DataError(f"provenance in model.json: {error}") from None
        return groups


def require_torch(purpose: str, hint: str = "") -> None:
    """Raise MissingExtraError where PyTorch is not installed."""
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("torch", purpose, hint=hint)


def _torch_runner(name: str, device: str, precision: str) -> Callable[[NetworkSequence, Arrays], Runner]:
    """Return what makes a runner in PyTorch."""
    require_torch(f"running {name} in PyTorch")
    from imgtool.networks.torch_backend import TorchRunner

    return lambda network, arrays: TorchRunner(network, arrays, device=device, precision=precision)
