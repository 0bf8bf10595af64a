"""Every layer and combinator as ONNX nodes, computed by onnxruntime, against the layers by hand."""

import numpy as np
import pytest

from imgtool.errors import ParameterError
from imgtool.networks.declaration import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Identity,
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
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.numpy_backend import NumpyNetwork

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")

LAYERS = {
    "conv": Conv(4, 6, 3, 2, padding=1),
    "conv without bias": Conv(4, 6, 3, bias=False),
    "grouped": Conv(4, 6, 3, padding=1, groups=2),
    "depthwise": Conv(4, 4, 5, 2, padding="same", groups=4),
    "same": Conv(4, 2, 4, 3, padding="same"),
    "max pool": MaxPool(3, 2, padding=1),
    "max pool, ceil": MaxPool(3, 2, ceil=True),
    "max pool, padded and ceil": MaxPool(2, 2, padding=1, ceil=True),
    "mean pool": AvgPool(2),
    "mean pool, padded": AvgPool(3, 2, padding=1),
    "mean pool, padding not counted": AvgPool(3, 2, padding=1, count_padding=False),
    "mean pool, ceil": AvgPool(3, 2, ceil=True),
    "adaptive": AdaptiveAvgPool(1),
    "adaptive to larger": AdaptiveAvgPool(6),
    "adaptive to 4": AdaptiveAvgPool(4),
    "batch norm": BatchNorm(4),
    "relu": ReLU(),
    "relu6": ReLU6(),
    "sigmoid": Sigmoid(),
    "tanh": Tanh(),
    "lrn": LocalResponseNorm(5, 5e-4, 0.75, 2.0),
    "lrn 3": LocalResponseNorm(3),
    "dropout": Dropout(0.4),
    "identity": Identity(),
    "sum": Sum(Sequence(a=Conv(4, 4, 3, padding=1), b=BatchNorm(4)), Identity()),
    "concat": Concat(Identity(), left=Conv(4, 2, 1), right=Sequence(Conv(4, 3, 3, padding=1), ReLU())),
}


def computed(network, arrays, x):
    """Return what onnxruntime makes of a batch."""
    from imgtool.networks.onnx_graph import OPSET, Graph, add_network

    graph = Graph()
    graph.rename(add_network(graph, network, arrays, "x", x.shape[1:]), "y")
    floats = onnx.TensorProto.FLOAT
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes, "network", [onnx.helper.make_tensor_value_info("x", floats, ("n", *x.shape[1:]))],
            [onnx.helper.make_tensor_value_info("y", floats, ("n", *network.output_shape(x.shape[1:])))],
            graph.constants,
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8,
    )  # fmt: skip
    onnx.checker.check_model(made)
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("sides", [(9, 12), (7, 7), (10, 5)])
def test_a_layer_gives_what_it_gives_by_hand(name, sides):
    network = Sequence(first=LAYERS[name])
    rng = np.random.default_rng(1)
    arrays = draw_arrays(Sequence(first=LAYERS[name], last=Conv(1, 1, 1)), 0)
    arrays = {
        key: arrays[key] + rng.uniform(0.1, 0.5, arrays[key].shape).astype(np.float32) for key in network.arrays()
    }
    x = rng.normal(0, 3, (3, 4, *sides)).astype(np.float32)
    expected = NumpyNetwork(network, arrays).predict(x)
    found = computed(network, arrays, x)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize("rank", [None, 3])
def test_vectors(rank):
    network = Sequence(flatten=Flatten(), fc1=Linear(24, 10, rank), relu=ReLU(), fc2=Linear(10, 5))
    arrays = draw_arrays(network, 0)
    x = np.random.default_rng(1).normal(0, 1, (4, 2, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(computed(network, arrays, x), NumpyNetwork(network, arrays).predict(x), atol=1e-5)


def test_an_even_number_of_channels_has_no_form():
    with pytest.raises(ParameterError, match="even number"):
        computed(Sequence(norm=LocalResponseNorm(4), last=Conv(2, 2, 1)), draw_arrays(Sequence(last=Conv(2, 2, 1)), 0),
                 np.zeros((1, 2, 3, 3), np.float32))  # fmt: skip
