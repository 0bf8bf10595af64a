"""Networks as data: sizes, names, shapes."""

import math

import pytest

from imgtool.errors import ParameterError
from imgtool.networks import declaration as declared
from imgtool.networks.alexnet import alexnet
from imgtool.networks.declaration import Network
from imgtool.networks.lenet import lenet
from imgtool.networks.summary import summary
from imgtool.networks.two_layer import two_layer


@pytest.mark.parametrize(
    ("network", "count"), [(alexnet(1000), 61_100_840), (lenet(10), 62_006), (two_layer(10), 3072 * 100 + 100 + 1010)]
)
def test_parameters_are_as_published(network, count):
    assert network.parameters() == count


def test_alexnets_names_are_torchvisions():
    names = list(alexnet(10).tensors())
    convolutions, linear = (0, 3, 6, 8, 10), (1, 4, 6)
    expected = [f"features.{i}.{kind}" for i in convolutions for kind in ("weight", "bias")]
    assert names == expected + [f"classifier.{i}.{kind}" for i in linear for kind in ("weight", "bias")]


@pytest.mark.parametrize(("side", "before_pooling"), [(224, 6), (128, 3), (63, 1)])
def test_alexnets_shapes(side, before_pooling):
    shapes = {name: output for name, _, _, output in alexnet(10).shapes((3, side, side))}
    assert shapes["features.12"] == (256, before_pooling, before_pooling)
    assert shapes["classifier.6"] == (10,)


def test_alexnet_needs_63_pixels():
    with pytest.raises(ParameterError, match="too small"):
        list(alexnet(10).shapes((3, 62, 224)))


def test_thin_form_has_thin_matrices():
    tensors = alexnet(10, rank=32).tensors()
    assert tensors["classifier.1.left"] == (4096, 32)
    assert tensors["classifier.1.right"] == (32, 9216)


def test_modules_have_the_declared_names_and_shapes():
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import build

    for network in (lenet(), two_layer(), alexnet(3, rank=2)):
        assert {name: tuple(t.shape) for name, t in build(network).state_dict().items()} == network.tensors()


def test_multiply_adds_of_lenet():
    total = sum(layer.multiply_adds(shape) for _, layer, shape, _ in lenet().shapes((3, 32, 32)))
    assert total == 28 * 28 * 6 * 75 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(declared.Conv(3, 1, 3), (1, 9, 9)), (declared.Conv(1, 1, 5), (1, 4, 9)), (declared.Linear(4, 2), (5,)),
     (declared.MaxPool(2), (4,))],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_refused(layer, shape):
    with pytest.raises(ParameterError):
        list(Network(layer=layer).shapes(shape))


def test_layers_keep_the_number_of_values_unless_they_say_so():
    for layer in (declared.ReLU(), declared.Flatten(), declared.Dropout()):
        assert math.prod(layer.output_shape((2, 3, 4))) == 24


def test_summary_adds_up():
    rows = summary(lenet(), (3, 32, 32))
    assert rows[0] == {
        "layer": "conv1",
        "kind": "Conv",
        "output": "6x28x28",
        "parameters": 456,
        "multiply-adds": 352_800,
    }
    assert rows[-1]["parameters"] == 62_006
    assert rows[-1]["multiply-adds"] == sum(row["multiply-adds"] for row in rows[:-1]) == 651_720
