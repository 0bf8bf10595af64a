"""Layers by hand against PyTorch: each alone, forwards and backwards, and whole networks."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.errors import DataError, ParameterError
from imgtool.filters.engine.gemm import col2im, im2col
from imgtool.networks import declaration as declared
from imgtool.networks.alexnet import alexnet
from imgtool.networks.channels_last import NumpyRunner
from imgtool.networks.declaration import AvgPool, BatchNorm, Concat, Conv, Identity, MaxPool, ReLU, Sequence, Sum
from imgtool.networks.lenet import lenet
from imgtool.networks.numpy_backend import NumpyNetwork
from imgtool.networks.numpy_training import Nesterov, cross_entropy
from imgtool.networks.recipe import Recipe
from imgtool.networks.two_layer import two_layer

LAYERS = [
    (Conv(3, 4, 3), (3, 8, 9)),
    (Conv(2, 5, 5, stride=2, padding=2), (2, 9, 7)),
    (Conv(1, 3, 11, stride=4, padding=2), (1, 20, 31)),
    (Conv(3, 4, 3, bias=False), (3, 5, 6)),
    (Conv(6, 4, 3, padding=1, groups=2), (6, 5, 6)),
    (Conv(4, 4, 3, stride=2, padding="same", groups=4), (4, 7, 6)),
    (Conv(2, 3, 4, padding="same"), (2, 5, 6)),
    (BatchNorm(3), (3, 4, 5)),
    (BatchNorm(2, eps=0.1), (2, 4, 5)),
    (MaxPool(2), (3, 6, 8)),
    (MaxPool(3, 2), (2, 9, 8)),
    (MaxPool(3, 2, padding=1), (2, 9, 8)),
    (MaxPool(3, 2, ceil=True), (2, 8, 7)),
    (MaxPool(2, 3, padding=1, ceil=True), (2, 4, 5)),
    (AvgPool(2), (3, 6, 9)),
    (AvgPool(3, 2, padding=1, ceil=True), (2, 8, 7)),
    (AvgPool(3, 2, padding=1, ceil=True, count_padding=False), (2, 8, 7)),
    (declared.AdaptiveAvgPool(6), (2, 3, 3)),
    (declared.AdaptiveAvgPool(4), (2, 13, 6)),
    (declared.AdaptiveAvgPool(4), (2, 4, 4)),
    (declared.LocalResponseNorm(5, 0.3, 0.75, 2.0), (9, 3, 2)),
    (declared.LocalResponseNorm(4, 0.3, 0.6, 1.0), (7, 2, 2)),
    (Identity(), (2, 3, 4)),
    (ReLU(), (2, 3, 4)),
    (declared.ReLU6(), (2, 3, 4)),
    (declared.Sigmoid(), (5,)),
    (declared.Tanh(), (5,)),
    (declared.Dropout(), (5,)),
    (declared.Flatten(), (2, 3, 4)),
    (declared.Linear(7, 5), (7,)),
    (declared.Linear(7, 5, rank=2), (7,)),
    (Sequence(Conv(3, 4, 3), BatchNorm(4), ReLU()), (3, 5, 6)),
    (Sum(Identity(), Identity()), (3, 2, 2)),
    (Sum(Sequence(ReLU(), Conv(3, 3, 3, padding=1)), Identity(), shortcut=Conv(3, 3, 1)), (3, 4, 5)),
    (Concat(Identity(), Sequence(bn=BatchNorm(3), conv=Conv(3, 2, 1)), pool=MaxPool(3, 1, padding=1)), (3, 4, 5)),
    (Concat(a=Sequence(Sum(Identity(), conv=Conv(2, 2, 1))), b=Concat(Identity(), ReLU())), (2, 3, 3)),
]
EACH_LAYER = pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: str(value))


def arrays_for(network, seed=1, dtype=np.float64):
    """Random arrays, no bias zero and no variance negative."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.uniform(0.5, 2, shape) if name.endswith("var") else rng.standard_normal(shape) * 0.5).astype(dtype)
        for name, shape in network.arrays().items()
    }


def values(shape, n=4):
    """A batch whose values all differ by over 1e-3, some of them over 6."""
    count = n * int(np.prod(shape))
    return np.random.default_rng(5).permutation(np.linspace(-4, 8.01, count)).reshape(n, *shape)


def compare_with_pytorch(network, shape, *, training=False):
    """Assert that outputs, gradients and running statistics are PyTorch's."""
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import module_with

    arrays, x = arrays_for(network), values(shape)
    theirs = module_with(network, arrays).double().train(training)
    ours = NumpyNetwork(network, arrays)
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    expected = theirs(tensor)
    y = ours.forward(x, training=training)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10, atol=1e-11)
    assert y.shape[1:] == network.output_shape(shape)
    gradient = np.random.default_rng(1).standard_normal(y.shape)
    expected.backward(torch.from_numpy(gradient))
    np.testing.assert_allclose(ours.backward(gradient), tensor.grad.numpy(), rtol=1e-8, atol=1e-10)
    parameters = dict(theirs.named_parameters())
    assert ours.gradients().keys() == parameters.keys()
    for name, parameter in parameters.items():
        np.testing.assert_allclose(ours.gradients()[name], parameter.grad.numpy(), rtol=1e-8, atol=1e-10)
    for name, tensor in theirs.state_dict().items():
        np.testing.assert_allclose(ours.arrays()[name], tensor.numpy(), rtol=1e-12)


@EACH_LAYER
def test_each_layer_equals_pytorch_forwards_and_backwards(layer, shape):
    compare_with_pytorch(Sequence(layer=layer), shape)


@EACH_LAYER
def test_without_a_tape_the_output_is_the_same(layer, shape):
    network = NumpyNetwork(Sequence(layer=layer), arrays_for(Sequence(layer=layer)))
    np.testing.assert_array_equal(network.predict(values(shape)), network.forward(values(shape)))


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (Sequence(bn=BatchNorm(3)), (3, 4, 5)),
        (Sequence(Conv(2, 3, 3), BatchNorm(3, eps=0.2), ReLU(), Conv(3, 2, 2)), (2, 6, 5)),
        (Sequence(Sum(Sequence(conv=Conv(2, 2, 3, padding=1), bn=BatchNorm(2)), Identity()), ReLU()), (2, 4, 4)),
    ],
)
def test_batch_normalization_in_training_equals_pytorch(network, shape):
    compare_with_pytorch(network, shape, training=True)


@given(
    inputs=st.integers(1, 3), outputs=st.integers(1, 3), groups=st.integers(1, 3), size=st.integers(1, 5),
    stride=st.integers(1, 4), padding=st.one_of(st.integers(0, 3), st.just("same")), bias=st.booleans(),
    rows=st.integers(5, 11), columns=st.integers(5, 11),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_convolutions_equal_pytorch(inputs, outputs, groups, size, stride, padding, bias, rows, columns):
    layer = Conv(inputs * groups, outputs * groups, size, stride, padding, bias, groups)
    compare_with_pytorch(Sequence(layer=layer), (layer.inputs, rows, columns))
    if padding == "same":
        assert layer.output_shape((layer.inputs, rows, columns))[1:] == (-(-rows // stride), -(-columns // stride))


@given(
    kind=st.sampled_from([MaxPool, AvgPool]), size=st.integers(1, 4), stride=st.integers(0, 5),
    padding=st.integers(0, 2), ceil=st.booleans(), count=st.booleans(), rows=st.integers(4, 11),
    columns=st.integers(4, 11),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_pools_equal_pytorch(kind, size, stride, padding, ceil, count, rows, columns):
    padding = min(padding, size // 2)
    layer = MaxPool(size, stride, padding, ceil) if kind is MaxPool else AvgPool(size, stride, padding, ceil, count)
    compare_with_pytorch(Sequence(layer=layer), (2, rows, columns))


@pytest.mark.parametrize(
    ("side", "size", "stride", "margins"),
    [(224, 3, 2, (0, 1)), (7, 3, 2, (1, 1)), (112, 3, 1, (1, 1)), (5, 2, 2, (0, 1)), (6, 2, 2, (0, 0)),
     (5, 1, 3, (0, 0)), (14, 5, 2, (1, 2))],
)  # fmt: skip
def test_same_padding_is_tensorflows(side, size, stride, margins):
    """From the formula in TensorFlow's guide "Padding": half of the total, rounded down, comes before."""
    assert Conv(1, 1, size, stride, "same").margins(side) == margins


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (two_layer(10), (3, 32, 32)),
        (lenet(), (3, 32, 32)),
        (lenet(7, channels=1, activation="tanh"), (1, 32, 32)),
        (alexnet(10, rank=16), (3, 96, 128)),
    ],
)
def test_networks_equal_pytorch_on_the_same_weights(network, shape):
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import arrays_of, build

    module = build(network, seed=3).eval()
    x = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    actual = NumpyNetwork(network, arrays_of(module)).predict(x)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_two_layer_gradients_equal_autograd():
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import module_with

    network = two_layer(5, channels=1, side=6, hidden=11)
    arrays = arrays_for(network)
    module = module_with(network, arrays).double()
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((8, 1, 6, 6)), rng.integers(0, 5, 8)
    ours = NumpyNetwork(network, arrays)
    loss, gradient = cross_entropy(ours.forward(x), labels)
    ours.backward(gradient)
    expected = torch.nn.functional.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(labels))
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(ours.gradients()[name], parameter.grad.numpy(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("training", [False, True])
@EACH_LAYER
def test_gradients_equal_differences(layer, shape, training):
    """Of the input and of every tensor."""
    network = Sequence(layer=layer)
    arrays, x = arrays_for(network, 2), values(shape, 2)
    ours = NumpyNetwork(network, arrays)
    rng = np.random.default_rng(5)
    weight = rng.standard_normal(ours.forward(x, training=training).shape)
    gradients = {"": ours.backward(weight), **ours.gradients()}
    for name, gradient in gradients.items():
        array = arrays[name] if name else x
        for place in [tuple(rng.integers(0, n) for n in array.shape) for _ in range(8)]:
            kept, sums = array[place], []
            for moved in (kept + 1e-6, kept - 1e-6):
                array[place] = moved
                sums.append((ours.forward(x, training=training) * weight).sum())
            array[place] = kept
            assert gradient[place] == pytest.approx((sums[0] - sums[1]) / 2e-6, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    "network",
    [
        two_layer(3, channels=1, side=4, hidden=8),
        Sequence(
            Sum(Sequence(conv=Conv(1, 4, 3, padding=1, bias=False), bn=BatchNorm(4)), shortcut=Conv(1, 4, 1)),
            ReLU(), declared.Flatten(), declared.Linear(64, 3),
        ),
    ],
    ids=["two-layer", "residual"],
)  # fmt: skip
def test_networks_learn_by_hand(network):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    x = rng.standard_normal((90, 1, 4, 4)) * 0.3
    x[np.arange(90), 0, labels, 1] += 2
    arrays = arrays_for(network, 0)
    model, sgd = NumpyNetwork(network, arrays), Nesterov(arrays, Recipe(weight_decay=0.0))
    losses = []
    for _ in range(120):
        loss, gradient = cross_entropy(model.forward(x, training=True), labels)
        model.backward(gradient)
        sgd.step(model.gradients(), 0.05)
        losses.append(loss)
    assert losses[-1] < 0.05 < losses[0]
    assert (model.predict(x).argmax(1) == labels).all()


def test_dropout_keeps_the_mean_in_training_and_does_nothing_else():
    network = NumpyNetwork(Sequence(drop=declared.Dropout(0.25)), {})
    x = np.ones((200, 500))
    assert network.predict(x) is x
    assert network.forward(x, generator=np.random.default_rng(0)) is x
    y = network.forward(x, training=True, generator=np.random.default_rng(0))
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(network.backward(x), y)


def test_batch_normalization_refuses_one_value_in_training():
    network = Sequence(bn=BatchNorm(2))
    with pytest.raises(ParameterError, match="more than one value"):
        NumpyNetwork(network, arrays_for(network)).forward(np.ones((1, 2, 1, 1)), training=True)


def test_backward_needs_a_forward_pass():
    network = NumpyNetwork(Sequence(ReLU()), {})
    with pytest.raises(RuntimeError, match="forward"):
        network.backward(np.ones((1, 2)))


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(4, 9))
@settings(max_examples=50, deadline=None)
def test_col2im_is_the_transpose_of_im2col(n, channels, size, stride, padding, side):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, channels, side, side + 1))
    columns = im2col(x, size, stride=stride, padding=padding)
    other = rng.standard_normal(columns.shape)
    back = col2im(other, x.shape, size, stride=stride, padding=padding)
    assert (columns * other).sum() == pytest.approx((x * back).sum())


class Interrupting(dict):
    """Arrays of a network; while one is read, another image passes the network, as another thread's would."""

    def __getitem__(self, key):
        if self.other is not None:
            other, self.other = self.other, None
            self.network.predict(other)
            self.other = other
        return super().__getitem__(key)


@pytest.mark.parametrize(
    ("layer", "shape"), [case for case in LAYERS if case[0].tensors()], ids=lambda value: str(value)
)
def test_threads_that_share_a_network_do_not_mix_their_images(layer, shape):
    network = Sequence(layer=layer)
    ours = NumpyNetwork(network, arrays_for(network))
    first, second = np.random.default_rng(0).standard_normal((2, 1, *shape))
    expected = ours.predict(first)
    for _, leaf in ours._leaves:
        leaf.arrays = Interrupting(leaf.arrays)
        leaf.arrays.network, leaf.arrays.other = ours, second
    np.testing.assert_array_equal(ours.predict(first), expected)


def test_threads_get_what_one_thread_gets():
    runner = NumpyRunner(lenet(), arrays_for(lenet(), dtype=np.float32))
    images = np.random.default_rng(0).standard_normal((40, 2, 3, 32, 32), np.float32)
    expected = [runner.logits(runner.features(batch)) for batch in images]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda batch: runner.logits(runner.features(batch)), images))
    for ours, alone in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, alone)


def test_predicting_keeps_nothing_of_the_layers_before():
    """Twenty layers of 1 MB: a pass that kept what backward needs would hold 40 MB."""
    network = NumpyNetwork(Sequence(*[declared.Tanh() for _ in range(20)]), {})
    x = np.ones((1, 1, 512, 512), np.float32)
    peaks = []
    for run in (network.predict, network.forward):
        tracemalloc.start()
        run(x)
        peaks.append(tracemalloc.get_traced_memory()[1] / x.nbytes)
        tracemalloc.stop()
    assert peaks[0] < 3
    assert peaks[1] > 19


@pytest.mark.parametrize("network", [lenet(5), alexnet(5, rank=3)], ids=["lenet", "alexnet"])
def test_a_runner_is_the_network_in_two_parts(network):
    arrays = arrays_for(network, dtype=np.float32)
    x = np.random.default_rng(0).standard_normal((3, 3, 64, 64) if len(arrays) > 10 else (3, 3, 32, 32), np.float32)
    if network == lenet(5):
        x = x[:, :, :32, :32]
    runner = NumpyRunner(network, arrays)
    features = runner.features(x)
    assert features.shape == (3, network.head()[1].inputs)
    assert features.dtype == np.float32
    expected = NumpyNetwork(network, arrays).predict(x)
    np.testing.assert_allclose(runner.logits(features), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_layer_without_numpy_form_says_so():
    class Fancy(declared.Layer):
        pass

    with pytest.raises(ParameterError, match="Fancy has no NumPy form: the network needs PyTorch"):
        NumpyNetwork(Sequence(Fancy()), {})


@pytest.mark.parametrize("build", [NumpyNetwork, NumpyRunner])
def test_arrays_that_do_not_fit_are_refused(build):
    arrays = arrays_for(lenet())
    for name, change in (("conv1.weight", lambda w: w[:1]), ("fc9.bias", lambda w: w), ("fc3.bias", None)):
        broken = dict(arrays)
        if change is None:
            del broken[name]
        else:
            broken[name] = change(arrays.get(name, arrays["fc3.bias"]))
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            build(lenet(), broken)
