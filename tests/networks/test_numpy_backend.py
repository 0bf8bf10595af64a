"""Layers by hand against PyTorch: each alone, forwards and backwards, and whole networks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.errors import DataError
from imgtool.filters.engine.gemm import col2im, im2col
from imgtool.networks import declaration as declared
from imgtool.networks.alexnet import alexnet
from imgtool.networks.declaration import Network
from imgtool.networks.lenet import lenet
from imgtool.networks.numpy_backend import NumpyNetwork, draw_weights
from imgtool.networks.numpy_training import cross_entropy
from imgtool.networks.two_layer import two_layer

LAYERS = [
    (declared.Conv(3, 4, 3), (3, 8, 9)),
    (declared.Conv(2, 5, 5, stride=2, padding=2), (2, 9, 7)),
    (declared.Conv(1, 3, 11, stride=4, padding=2), (1, 20, 31)),
    (declared.MaxPool(2), (3, 6, 8)),
    (declared.MaxPool(3, 2), (2, 9, 8)),
    (declared.AdaptiveAvgPool(6), (2, 3, 3)),
    (declared.AdaptiveAvgPool(4), (2, 13, 6)),
    (declared.LocalResponseNorm(5, 0.3, 0.75, 2.0), (9, 3, 2)),
    (declared.LocalResponseNorm(4, 0.3, 0.6, 1.0), (7, 2, 2)),
    (declared.ReLU(), (2, 3, 4)),
    (declared.Sigmoid(), (5,)),
    (declared.Tanh(), (5,)),
    (declared.Flatten(), (2, 3, 4)),
    (declared.Linear(7, 5), (7,)),
    (declared.Linear(7, 5, rank=2), (7,)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: str(value))
def test_each_layer_equals_pytorch_forwards_and_backwards(layer, shape):
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import build, load_weights

    network = Network(layer=layer)
    weights = draw_weights(network, 1, np.float64) if layer.tensors() else {}
    for name in weights:
        weights[name] = weights[name] + 0.1  # biases too
    ours, theirs = NumpyNetwork(network, weights), build(network).double()
    load_weights(theirs, weights)
    x = np.random.default_rng(0).standard_normal((4, *shape))
    tensor = torch.from_numpy(x).requires_grad_()
    expected = theirs(tensor * 1)
    y = ours.forward(x)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    assert y.shape[1:] == layer.output_shape(shape)
    gradient = np.random.default_rng(1).standard_normal(y.shape)
    expected.backward(torch.from_numpy(gradient))
    np.testing.assert_allclose(ours.backward(gradient), tensor.grad.numpy(), rtol=1e-6, atol=1e-10)
    for name, parameter in theirs.named_parameters():
        np.testing.assert_allclose(ours.gradients()[name], parameter.grad.numpy(), rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (two_layer(10), (3, 32, 32)),
        (lenet(), (3, 32, 32)),
        (lenet(7, channels=1), (1, 32, 32)),
        (alexnet(10, rank=16), (3, 96, 128)),
    ],
)
def test_networks_equal_pytorch_on_the_same_weights(network, shape):
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import build, weights_of

    module = build(network, seed=3).eval()
    x = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    actual = NumpyNetwork(network, weights_of(module)).forward(x)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_two_layer_gradients_equal_autograd():
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import build, load_weights

    network = two_layer(5, channels=1, side=6, hidden=11)
    weights = draw_weights(network, 0, np.float64)
    module = build(network).double()
    load_weights(module, weights)
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((8, 1, 6, 6)), rng.integers(0, 5, 8)
    ours = NumpyNetwork(network, weights)
    loss, gradient = cross_entropy(ours.forward(x), labels)
    ours.backward(gradient)
    expected = torch.nn.functional.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(labels))
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(ours.gradients()[name], parameter.grad.numpy(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: str(value))
def test_gradients_equal_differences(layer, shape):
    network = NumpyNetwork(
        Network(layer=layer), draw_weights(Network(layer=layer), 2, np.float64) if layer.tensors() else {}
    )
    rng = np.random.default_rng(5)
    x = rng.permutation(np.linspace(-2, 2, 2 * int(np.prod(shape)))).reshape(2, *shape)
    weight = rng.standard_normal(network.forward(x).shape)
    gradient = network.backward(weight)
    for place in [tuple(rng.integers(0, n) for n in x.shape) for _ in range(10)]:
        moved = np.zeros_like(x)
        moved[place] = 1e-6
        slope = ((network.forward(x + moved) - network.forward(x - moved)) * weight).sum() / 2e-6
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_dropout_keeps_the_mean_in_training_and_does_nothing_else():
    layer = NumpyNetwork(Network(drop=declared.Dropout(0.25)), {}).layers["drop"]
    x = np.ones((200, 500))
    assert layer.forward(x) is x
    layer.generator = np.random.default_rng(0)
    y = layer.forward(x)
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(layer.backward(x), y)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(4, 9))
@settings(max_examples=50)
def test_col2im_is_the_transpose_of_im2col(n, channels, size, stride, padding, side):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, channels, side, side + 1))
    columns = im2col(x, size, stride=stride, padding=padding)
    other = rng.standard_normal(columns.shape)
    back = col2im(other, x.shape, size, stride=stride, padding=padding)
    assert (columns * other).sum() == pytest.approx((x * back).sum())


class Interrupting(dict):
    """Tensors of a layer; while one is read, another image passes the layer, as another thread's would."""

    def __getitem__(self, key):
        if self.other is not None:
            other, self.other = self.other, None
            self.layer.forward(other)
            self.other = other
        return super().__getitem__(key)


@pytest.mark.parametrize(
    ("layer", "shape"), [case for case in LAYERS if case[0].tensors()], ids=lambda value: str(value)
)
def test_threads_that_share_a_network_do_not_mix_their_images(layer, shape):
    network = Network(layer=layer)
    ours = NumpyNetwork(network, draw_weights(network, 1)).layers["layer"]
    first, second = np.random.default_rng(0).standard_normal((2, 1, *shape)).astype(np.float32)
    expected = ours.forward(first)
    ours.tensors = Interrupting(ours.tensors)
    ours.tensors.layer, ours.tensors.other = ours, second
    np.testing.assert_array_equal(ours.forward(first), expected)


def test_weights_that_do_not_fit_are_refused():
    weights = draw_weights(lenet(), 0)
    for name, change in (("conv1.weight", lambda w: w[:1]), ("fc9.bias", lambda w: w), ("fc3.bias", None)):
        broken = dict(weights)
        if change is None:
            del broken[name]
        else:
            broken[name] = change(weights.get(name, weights["fc3.bias"]))
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            NumpyNetwork(lenet(), broken)
