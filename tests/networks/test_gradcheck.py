"""The check of gradients: right ones pass in every network, and a wrong one is found and named."""

import numpy as np
import pytest

from imgtool.networks import declaration as declared
from imgtool.networks import numpy_layers, numpy_windows
from imgtool.networks.alexnet import alexnet
from imgtool.networks.declaration import BatchNorm, Concat, Conv, Identity, ReLU, Sequence, Sum
from imgtool.networks.densenet import densenet
from imgtool.networks.gradcheck import TOLERANCE, gradient_check
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.lenet import lenet
from imgtool.networks.resnet import resnet
from imgtool.networks.two_layer import two_layer

INVERTED = Sequence(  # a block of inverted bottlenecks: depthwise, no activation at its end
    expand=Conv(2, 8, 1, bias=False), bn1=BatchNorm(8), relu1=declared.ReLU6(),
    depthwise=Conv(8, 8, 3, stride=2, padding="same", groups=8, bias=False), bn2=BatchNorm(8), relu2=declared.ReLU6(),
    project=Conv(8, 2, 1, bias=False), bn3=BatchNorm(2),
)  # fmt: skip
MIXED = Sequence(
    block=INVERTED,
    norm=declared.LocalResponseNorm(3, 0.1, 0.75, 2.0),
    join=Sequence(Concat(Identity(), pool=declared.MaxPool(3, 1, padding=1), conv=Conv(2, 3, 1))),
    drop=declared.Dropout(0.3),
    pool=declared.AdaptiveAvgPool(3),
    flatten=declared.Flatten(),
    fc1=declared.Linear(63, 6, rank=2),
    tanh=declared.Tanh(),
    fc2=declared.Linear(6, 4),
    sigmoid=declared.Sigmoid(),
)


def rows_of(network, shape, seed=0):
    return list(gradient_check(network, draw_arrays(network, 0, shape), shape, seed=seed))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (two_layer(10, 3, 8), (3, 8, 8)),
        (lenet(), (3, 32, 32)),
        (lenet(activation="tanh"), (3, 32, 32)),
        (lenet(batch_norm=True), (3, 32, 32)),
        (MIXED, (2, 9, 8)),
        pytest.param(alexnet(5, rank=4), (3, 63, 63), marks=pytest.mark.slow),
        pytest.param(resnet(18, 10), (3, 33, 33), marks=pytest.mark.slow),
        pytest.param(densenet(121, 10), (3, 33, 33), marks=pytest.mark.slow),
    ],
    ids=["two-layer", "lenet", "lenet-tanh", "lenet-batch-norm", "mixed", "alexnet", "resnet18", "densenet121"],
)
def test_gradients_by_hand_are_numeric_ones(network, shape, seed):
    rows = rows_of(network, shape, seed)
    assert all(row["ok"] for row in rows), [row for row in rows if not row["ok"]]
    assert {row["tensor"] for row in rows[:-1]} >= {"input", "weight", "bias"}
    assert max(row["difference"] for row in rows) < TOLERANCE / 5
    assert (rows[-1]["layer"], rows[-1]["tensor"]) == ("all", "all")
    tensors = [
        (name, tensor)
        for name, layer in network.layers() if not isinstance(layer, Identity)
        for tensor in ("input", *layer.tensors())
    ]  # fmt: skip
    assert sorted((row["layer"], row["tensor"]) for row in rows[:-1]) == sorted(tensors)


def test_only_the_seed_decides():
    assert rows_of(lenet(), (3, 32, 32)) == rows_of(lenet(), (3, 32, 32)) != rows_of(lenet(), (3, 32, 32), seed=1)


SMALL = Sequence(
    block=Sequence(Sum(Sequence(conv=Conv(2, 2, 3, padding=1), bn=BatchNorm(2)), Identity()), relu=ReLU()),
    join=Sequence(Concat(Identity(), pool=declared.MaxPool(3, 1, padding=1))),
    flatten=declared.Flatten(), fc=declared.Linear(100, 3),
)  # fmt: skip


def one_wrong_number(kind, tensor):
    """Return a backward pass in which one number of one gradient is wrong by a tenth of the largest."""
    right = kind.backward

    def backward(self, gradient, tape):
        result = right(self, gradient, tape).copy()
        wrong = result if tensor == "input" else self.gradients[tensor]
        wrong.flat[0] += abs(wrong).max() / 10
        return result

    return backward


@pytest.mark.parametrize(
    ("kind", "tensor", "layer"),
    [
        (numpy_windows.Conv, "input", "block.conv"), (numpy_windows.Conv, "weight", "block.conv"),
        (numpy_layers.BatchNorm, "input", "block.bn"), (numpy_layers.BatchNorm, "weight", "block.bn"),
        (numpy_layers.BatchNorm, "bias", "block.bn"), (numpy_windows.MaxPool, "input", "join.pool"),
        (numpy_layers.Linear, "weight", "fc"), (numpy_layers.Linear, "bias", "fc"),
        (numpy_layers.Elementwise, "input", "block.relu"), (numpy_layers.Sum, None, None),
        (numpy_layers.Concat, None, None), (numpy_layers.Chain, None, None),
    ],
)  # fmt: skip
def test_a_wrong_gradient_is_found_and_named(kind, tensor, layer, monkeypatch):
    assert all(row["ok"] for row in rows_of(SMALL, (2, 5, 5)))
    monkeypatch.setattr(kind, "backward", one_wrong_number(kind, tensor or "input"))
    wrong = [(row["layer"], row["tensor"]) for row in rows_of(SMALL, (2, 5, 5)) if not row["ok"]]
    if kind is numpy_layers.Chain:
        assert ("all", "all") in wrong
    else:
        assert wrong == [(layer, tensor)] * (layer is not None) + [("all", "all")]


def test_a_gradient_that_is_zero_by_mistake_is_found(monkeypatch):
    monkeypatch.setattr(
        numpy_layers.Elementwise, "backward", lambda self, gradient, tape: 0 * gradient * (tape.memory.pop() > 9)
    )
    rows = {(row["layer"], row["tensor"]): row for row in rows_of(SMALL, (2, 5, 5))}
    assert rows["block.relu", "input"]["difference"] == np.inf
    assert not rows["block.relu", "input"]["ok"]
