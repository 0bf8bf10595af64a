"""Networks as data: sizes, names, shapes."""

import math

import numpy as np
import pytest

from imgtool.errors import DataError, ParameterError
from imgtool.networks import declaration as declared
from imgtool.networks.alexnet import alexnet
from imgtool.networks.declaration import BatchNorm, Concat, Conv, Identity, Linear, ReLU, Sequence, Sum, require_arrays
from imgtool.networks.lenet import lenet
from imgtool.networks.two_layer import two_layer


def block():
    """A residual block with a shortcut that has tensors."""
    body = Sequence(conv1=Conv(4, 6, 3, padding=1, bias=False), bn1=BatchNorm(6), relu=ReLU())
    return Sequence(sum=Sum(body, downsample=Sequence(Conv(4, 6, 1), BatchNorm(6))), relu=ReLU())


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


def test_sums_and_concatenations_pass_names_through():
    assert list(block().tensors()) == [
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "downsample.0.weight",
        "downsample.0.bias",
        "downsample.1.weight",
        "downsample.1.bias",
    ]
    assert list(block().buffers()) == [
        f"{name}.{key}" for name in ("bn1", "downsample.1") for key in ("running_mean", "running_var")
    ]
    nested = Sequence(layer=Sequence(Concat(Identity(), Sequence(Sum(Sequence(a=Conv(2, 2, 1)), b=Conv(2, 2, 1))))))
    assert list(nested.tensors()) == ["layer.a.weight", "layer.a.bias", "layer.b.weight", "layer.b.bias"]


def test_arrays_are_tensors_and_buffers_layer_by_layer():
    names = list(block().arrays())
    assert names[:6] == ["conv1.weight", *(f"bn1.{n}" for n in ("weight", "bias", "running_mean", "running_var")),
                         "downsample.0.weight"]  # fmt: skip
    assert block().arrays() == block().tensors() | block().buffers()
    assert block().parameters() == 4 * 6 * 9 + 12 + 4 * 6 + 6 + 12


@pytest.mark.parametrize(
    "parts",
    [
        {"sum": Sum(Sequence(conv=Conv(1, 1, 1)), Sequence(conv=Conv(1, 1, 1)))},
        {"sum": Sum(Sequence(conv=ReLU()), Identity()), "conv": Conv(1, 1, 1)},
        {"sum": Sum(Identity(), conv=Conv(1, 1, 1)), "conv": ReLU()},
    ],
)
def test_equal_names_are_refused(parts):
    with pytest.raises(ParameterError, match="called conv"):
        Sequence(**parts)


def test_equal_names_of_layers_without_tensors_do_no_harm():
    Sequence(sum=Sum(Sequence(relu=ReLU()), Identity()), relu=ReLU())


def test_a_branch_of_one_layer_with_tensors_needs_a_name():
    with pytest.raises(ParameterError, match="needs a name"):
        Sum(Conv(1, 1, 1), Identity())


@pytest.mark.parametrize(
    ("network", "shape", "output"),
    [
        (block(), (4, 5, 7), (6, 5, 7)),
        (Sequence(Concat(Identity(), conv=Conv(3, 5, 3, padding=1))), (3, 4, 4), (8, 4, 4)),
        (alexnet(10), (3, 63, 70), (10,)),
    ],
)
def test_output_shape_of_a_tree(network, shape, output):
    assert network.output_shape(shape) == output
    *_, (_, _, _, last) = network.shapes(shape)
    assert last == output


@pytest.mark.parametrize("kind", [Sum, Concat])
def test_branches_that_do_not_fit_are_refused(kind):
    network = Sequence(join=kind(Identity(), conv=Conv(2, 3, 3)))
    with pytest.raises(ParameterError, match="branches"):
        network.output_shape((2, 5, 5))


@pytest.mark.parametrize("network", [lenet(), two_layer(), alexnet(7), alexnet(7, rank=3)])
def test_trunk_and_head_are_the_network(network):
    trunk, (name, head) = network.trunk(), network.head()
    assert [*trunk.layers(), (name, head)] == list(network.layers())
    assert isinstance(head, Linear)
    assert (
        head.outputs == network.output_shape((3, 64, 64) if "features.0" in dict(network.layers()) else (3, 32, 32))[0]
    )


def test_what_ends_in_a_sum_has_no_head():
    with pytest.raises(ParameterError, match="ends in a Sum"):
        Sequence(sum=Sum(Identity(), Identity())).head()


@pytest.mark.parametrize(("side", "before_pooling"), [(224, 6), (128, 3), (63, 1)])
def test_alexnets_shapes(side, before_pooling):
    shapes = {name: output for name, _, _, output in alexnet(10).shapes((3, side, side))}
    assert shapes["features.12"] == (256, before_pooling, before_pooling)
    assert shapes["classifier.6"] == (10,)


def test_alexnet_needs_63_pixels():
    with pytest.raises(ParameterError, match="too small"):
        list(alexnet(10).shapes((3, 62, 224)))


def test_low_rank_form_has_two_factors():
    tensors = alexnet(10, rank=32).tensors()
    assert tensors["classifier.1.left"] == (4096, 32)
    assert tensors["classifier.1.right"] == (32, 9216)


def test_dropout_of_alexnet_is_what_was_asked_for():
    assert [
        layer.probability for _, layer in alexnet(2, dropout=0.2).layers() if isinstance(layer, declared.Dropout)
    ] == [
        0.2,
        0.2,
    ]


@pytest.mark.parametrize(
    ("activation", "kind"), [("relu", ReLU), ("tanh", declared.Tanh), ("sigmoid", declared.Sigmoid)]
)
def test_lenets_activation_is_what_was_asked_for(activation, kind):
    kinds = [type(layer) for _, layer in lenet(activation=activation).layers()]
    assert kinds.count(kind) == 4


def test_an_unknown_activation_is_refused():
    with pytest.raises(ParameterError, match="relu, tanh, sigmoid"):
        lenet(activation="gelu")


def test_modules_have_the_declared_names_and_shapes():
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import build

    for network in (lenet(), two_layer(), alexnet(3, rank=2), block()):
        assert [(name, tuple(t.shape)) for name, t in build(network).state_dict().items()] == list(
            network.arrays().items()
        )


def test_multiply_adds_of_lenet():
    total = 28 * 28 * 6 * 75 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10
    assert lenet().multiply_adds((3, 32, 32)) == total


def test_multiply_adds_of_groups_and_branches():
    assert Conv(8, 12, 3, padding=1, groups=4).multiply_adds((8, 5, 6)) == 30 * 12 * 2 * 9
    assert block().multiply_adds((4, 5, 6)) == 30 * (6 * 4 * 9 + 6 * 4)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(declared.Conv(3, 1, 3), (1, 9, 9)), (declared.Conv(1, 1, 5), (1, 4, 9)), (declared.Linear(4, 2), (5,)),
     (declared.MaxPool(2), (4,)), (declared.BatchNorm(3), (4, 2, 2)), (declared.BatchNorm(3), (3,)),
     (declared.AvgPool(3), (1, 2, 5))],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_refused(layer, shape):
    with pytest.raises(ParameterError):
        list(Sequence(layer=layer).shapes(shape))


@pytest.mark.parametrize(
    "make",
    [lambda: Conv(6, 4, 3, groups=3), lambda: Conv(5, 6, 3, groups=3), lambda: declared.MaxPool(3, padding=2)],
)
def test_layers_that_cannot_be_are_refused(make):
    with pytest.raises(ParameterError):
        make()


def test_layers_keep_the_number_of_values_unless_they_say_so():
    for layer in (declared.ReLU(), declared.Flatten(), declared.Dropout(), declared.Identity()):
        assert math.prod(layer.output_shape((2, 3, 4))) == 24


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda a: a.pop("fc3.bias"), r"fc3\.bias is missing"),
        (lambda a: a.update({"fc9.bias": np.zeros(1)}), r"fc9\.bias is unknown"),
        (lambda a: a.update({"fc3.bias": np.zeros(4)}), r"fc3\.bias is \(4,\), not \(10,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, match):
    arrays = {name: np.zeros(shape) for name, shape in lenet().arrays().items()}
    require_arrays(lenet().arrays(), arrays)
    change(arrays)
    with pytest.raises(DataError, match=match):
        require_arrays(lenet().arrays(), arrays)
