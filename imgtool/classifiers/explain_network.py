"""A network's answer with its numbers: forward, the loss, backward beside numeric gradients, a step and the loss then.

Everything is computed by hand in NumPy, in float64, as the network predicts: nothing is dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array, real_number
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.protocol import index_of
from imgtool.classifiers.registry import open_model
from imgtool.errors import DataError, ParameterError
from imgtool.image.levels import as_levels
from imgtool.networks.cut import behind, passed_layers, until
from imgtool.networks.declaration import Sequence
from imgtool.networks.numpy_backend import NumpyNetwork
from imgtool.networks.numpy_training import cross_entropy

if TYPE_CHECKING:
    from imgtool.classifiers.protocol import Classifier

Arrays = dict[str, np.ndarray]
LAYERS = 2  # whose gradients are shown: the last with tensors
ENTRIES = 3  # of each tensor: those with the largest gradients
STEP = 1e-5  # of a weight, for its numeric gradient
RATE = 0.01


@dataclass(frozen=True)
class ExplainedNetwork:
    """What a network makes of an image with a label, and one step of gradient descent.

    x: (channels, side, side), the prepared image; features: what the last layer takes; scores, probabilities, slopes:
    (classes,), logits, their softmax y^, and y^ - y, the loss's gradient with respect to the scores; loss: -log of the
    label's probability; gradients: a dictionary for each of some weights: tensor, index, by_hand, numeric, difference;
    length: that of the whole gradient; rate; loss_after, probability_after: after each weight w became w - rate times
    its gradient.
    """

    label: str
    index: int
    classes: tuple[str, ...]
    x: np.ndarray
    last: str
    features: np.ndarray
    scores: np.ndarray
    probabilities: np.ndarray
    slopes: np.ndarray
    loss: float
    gradients: list[dict[str, Any]]
    length: float
    rate: float
    loss_after: float
    probability_after: float


def explain_network(
    image: ArrayLike, *, model: str | os.PathLike[str] | Classifier, label: str, rate: float = RATE
) -> ExplainedNetwork:
    """Explain a network's answer to an image: forward, backward, and one step of gradient descent.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, channels)
        Bool, integers, or floats from 0 to 1, of any size.
    model : str, path or network
        An included network, the folder of a trained one, or what `open_model` returns.
    label : str
        The true label: one of the model's classes, or its identifier.
    rate : float
        Learning rate of the step.

    Returns
    -------
    object
        With `x` (the prepared image), `features` (what the last layer takes), `scores`, `probabilities` (their
        softmax), `slopes` (probabilities less 1 at the label), `loss`, `gradients` (of some weights of the last layers,
        derived by hand and numeric), `length` (of the whole gradient), `loss_after` and `probability_after`.

    Raises
    ------
    ImageError
        The image is none that models take.
    ParameterError
        The model is unknown or no network, does not know the label, or the rate is not positive.
    DataError
        The folder is not a complete model.

    Notes
    -----
    The loss is the cross-entropy of one image, without weight decay. Batch normalization uses its running statistics,
    and dropout drops nothing. A numeric gradient is (loss(w + e) - loss(w - e)) / 2 e with e = 1e-5.

    Examples
    --------
    >>> import imgtool
    >>> image = imgtool.read("sample_images/text.png")
    >>> found = imgtool.explain_network(image, model="lenet@mnist", label="8")
    >>> found.x.shape, found.features.shape, round(float(found.probabilities.sum()), 9)
    ((1, 32, 32), (84,), 1.0)
    >>> found.loss_after < found.loss
    True
    """
    opened = open_model(os.fspath(model)) if isinstance(model, str | os.PathLike) else model
    if not isinstance(opened, NetworkClassifier):
        raise ParameterError(f"{opened.name} is no network, so it has no gradients")
    rate = real_number(rate, "rate")
    if not 0 < rate < np.inf:
        raise ParameterError(f"rate must be positive, got {rate:g}", parameters=("rate",))
    index = index_of(opened, label)
    square = opened.prepare(as_levels(image_array(image)))
    x = opened.preprocessing.normalize([square]).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused below, in one line
        found = _explained(opened, x, index, rate)
    if not (np.isfinite(found.scores).all() and np.isfinite(found.length)):
        raise DataError(f"{opened.name} gives no numbers: its weights are too large")
    return found


def _explained(model: NetworkClassifier, x: np.ndarray, index: int, rate: float) -> ExplainedNetwork:
    network = model.network().without_auxiliary()
    arrays = {name: model.arrays()[name].astype(np.float64) for name in network.arrays()}
    whole, labels = NumpyNetwork(network, arrays), np.array([index])
    scores = whole.forward(x)
    loss, slopes = cross_entropy(scores, labels)
    whole.backward(slopes)
    gradients = whole.gradients()
    shown = list(_beside_numeric(network, arrays, gradients, x, labels))
    length = float(np.sqrt(sum((each**2).sum() for each in gradients.values())))
    features = NumpyNetwork(network.trunk(), {name: arrays[name] for name in network.trunk().arrays()}).predict(x)
    for name, gradient in gradients.items():
        arrays[name] -= rate * gradient
    after, _ = cross_entropy(whole.predict(x), labels)
    return ExplainedNetwork(
        model.classes[index], index, model.classes, x[0], network.head()[0], features[0], scores[0],
        slopes[0] + (np.arange(scores.shape[1]) == index), slopes[0], loss, shown, length, rate, after,
        float(np.exp(-after)),
    )  # fmt: skip


def _beside_numeric(
    network: Sequence, arrays: Arrays, gradients: Mapping[str, np.ndarray], x: np.ndarray, labels: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield the largest gradients of the last layers' tensors, by hand and numeric."""
    passed = [name for name in passed_layers(network) if name in dict(network.layers())]
    learned = [name for name, layer in network.layers() if layer.tensors()][-LAYERS:]
    inspected = [name for name in learned if name in passed]
    tail, values = _tail(network, arrays, passed, passed.index(inspected[0]), x)
    for layer in reversed(inspected):
        for tensor in (name for name in gradients if name.rpartition(".")[0] == layer):
            yield from _of_tensor(tail, values, labels, tensor, arrays[tensor], gradients[tensor])


def _tail(
    network: Sequence, arrays: Arrays, passed: list[str], first: int, x: np.ndarray
) -> tuple[NumpyNetwork, np.ndarray]:
    """Return the network from a layer on, which shares the arrays, and what it takes: all else stays as it is."""
    if first == 0:
        return NumpyNetwork(network, arrays), x
    before, after = until(network, passed[first - 1]), behind(network, passed[first - 1])
    head = NumpyNetwork(before, {name: arrays[name] for name in before.arrays()})
    return NumpyNetwork(after, {name: arrays[name] for name in after.arrays()}), head.predict(x)


def _of_tensor(
    tail: NumpyNetwork, values: np.ndarray, labels: np.ndarray, name: str, weights: np.ndarray, gradient: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield a row for each of a tensor's largest gradients."""
    largest = np.argsort(-np.abs(gradient), axis=None, kind="stable")[:ENTRIES]
    for place in zip(*np.unravel_index(largest, gradient.shape), strict=True):
        before, losses = weights[place], []
        for sign in (1, -1):
            weights[place] = before + sign * STEP
            losses.append(cross_entropy(tail.predict(values), labels)[0])
        weights[place] = before
        by_hand, numeric = float(gradient[place]), (losses[0] - losses[1]) / (2 * STEP)
        yield {"tensor": name, "index": [int(each) for each in place], "by_hand": by_hand, "numeric": numeric,
               "difference": abs(by_hand - numeric)}  # fmt: skip
