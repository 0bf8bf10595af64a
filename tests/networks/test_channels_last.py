"""Prediction with channels last equals the layers by hand, which other tests hold to PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

from imgtool.errors import DataError
from imgtool.networks.channels_last import CHUNK_VALUES, NumpyRunner
from imgtool.networks.declaration import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Identity,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool,
    ReLU,
    ReLU6,
    Sequence,
    Sigmoid,
    Sum,
    Tanh,
)
from imgtool.networks.folding import fold_batch_norm
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.numpy_backend import NumpyNetwork

SIDES = (19, 12)
LAYERS: dict[str, list[Layer]] = {
    "pointwise": [Conv(4, 6, 1), ReLU()],
    "pointwise-stride": [Conv(4, 6, 1, stride=2)],
    "pointwise-padded": [Conv(4, 6, 1, padding=1)],
    "pointwise-groups": [Conv(4, 6, 1, groups=2)],
    "windows": [Conv(4, 6, 3, stride=2, padding=1), ReLU6()],
    "windows-large": [Conv(4, 6, 7, stride=3, bias=False)],
    "windows-same": [Conv(4, 6, 4, stride=2, padding="same")],
    "groups": [Conv(4, 6, 3, padding=1, groups=2)],
    "depthwise": [Conv(4, 4, 3, padding="same", groups=4), ReLU6()],
    "depthwise-stride": [Conv(4, 4, 5, stride=2, padding="same", groups=4)],
    "multiplier": [Conv(4, 8, 3, groups=4)],
    "folded": [Conv(4, 6, 3, bias=False), BatchNorm(6), ReLU()],
    "folded-bias": [Conv(4, 6, 3), BatchNorm(6, 1e-3)],
    "normalized": [ReLU(), BatchNorm(4), ReLU(), Conv(4, 6, 1)],
    "max": [MaxPool(3, 2, 1)],
    "max-ceil": [MaxPool(3, 2, ceil=True)],
    "mean": [AvgPool(3, 2, 1)],
    "mean-inside": [AvgPool(3, 2, 1, ceil=True, count_padding=False)],
    "mean-ceil": [AvgPool(2, 3, 1, ceil=True)],
    "adaptive": [AdaptiveAvgPool(5)],
    "adaptive-one": [AdaptiveAvgPool(1)],
    "adaptive-larger": [AdaptiveAvgPool(24)],
    "neighbors": [LocalResponseNorm(5, 0.3, 0.75, 2.0)],
    "neighbors-even": [LocalResponseNorm(4, 0.3)],
    "activations": [Sigmoid(), Tanh(), Dropout(), ReLU()],
    "sum": [Sum(Sequence(a=Conv(4, 4, 3, padding=1), b=BatchNorm(4)), Identity()), ReLU()],
    "concat": [Concat(Sequence(a=Conv(4, 2, 1)), Identity(), side=Conv(4, 3, 3, padding=1))],
    "shared": [Sum(Sequence(ReLU()), Sequence(Tanh()), Identity())],
}


def network_of(layers: list[Layer], *, rank: int | None = None) -> Sequence:
    """Return the layers between a convolution and two linear ones."""
    front = Sequence(first=Conv(3, 4, 1), **{f"l{i}": layer for i, layer in enumerate(layers)}, flatten=Flatten())
    values = front.output_shape((3, *SIDES))[0]
    return Sequence(**dict(front.parts), fc1=Linear(values, 9, rank), relu=ReLU(), fc2=Linear(9, 5))


def moved(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays whose statistics and biases are none that could be left out unnoticed."""
    rng = np.random.default_rng(1)
    return {name: (each if each.ndim > 1 else rng.uniform(0.5, 1.5, each.shape)) for name, each in arrays.items()}


@pytest.mark.parametrize("name", LAYERS)
def test_predicts_what_the_layers_by_hand_give(name):
    network = network_of(LAYERS[name])
    arrays = {key: each.astype(np.float64) for key, each in moved(draw_arrays(network, 0)).items()}
    images = np.random.default_rng(2).standard_normal((3, 3, *SIDES))
    given = images.copy()
    runner = NumpyRunner(network, arrays)
    expected = NumpyNetwork(network, arrays).predict(images)
    np.testing.assert_allclose(runner.logits(runner.features(images)), expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(images, given)


def test_low_rank_layers_and_images_that_pass_one_by_one():
    network = network_of([MaxPool(2)], rank=3)
    arrays = draw_arrays(network, 0)
    count = CHUNK_VALUES // (3 * SIDES[0] * SIDES[1]) + 2  # more than pass together
    images = np.random.default_rng(2).standard_normal((count, 3, *SIDES), np.float32)
    runner, by_hand = NumpyRunner(network, arrays), NumpyNetwork(network, arrays)
    found = runner.logits(runner.features(images))
    assert found.dtype == np.float32
    assert found.shape == (count, 5)
    np.testing.assert_allclose(found, by_hand.predict(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["folded", "folded-bias", "normalized", "sum"])
def test_folding_keeps_the_function_and_leaves_no_normalization_behind_a_convolution(name):
    network = network_of(LAYERS[name])
    arrays = {key: each.astype(np.float64) for key, each in moved(draw_arrays(network, 0)).items()}
    before = {key: each.copy() for key, each in arrays.items()}
    folded, held = fold_batch_norm(network, arrays)
    kept = sum(isinstance(layer, BatchNorm) for _, layer in folded.layers())
    assert kept == (1 if name == "normalized" else 0)
    images = np.random.default_rng(3).standard_normal((2, 3, *SIDES))
    expected = NumpyNetwork(network, arrays).predict(images)
    np.testing.assert_allclose(NumpyNetwork(folded, held).predict(images), expected, rtol=1e-11, atol=1e-11)
    assert all(np.array_equal(arrays[key], before[key]) for key in before)


def test_arrays_of_another_network_are_refused():
    network = network_of(LAYERS["windows"])
    arrays = draw_arrays(network, 0)
    with pytest.raises(DataError, match=r"first\.bias is missing"):
        NumpyRunner(network, {key: each for key, each in arrays.items() if key != "first.bias"})
