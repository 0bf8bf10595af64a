"""Declared networks as PyTorch modules: first weights, thin layers, weights in and out."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

from torch import nn  # noqa: E402

from imgtool.errors import DataError  # noqa: E402
from imgtool.networks import declaration as declared  # noqa: E402
from imgtool.networks.alexnet import alexnet  # noqa: E402
from imgtool.networks.declaration import Network  # noqa: E402
from imgtool.networks.lenet import lenet  # noqa: E402
from imgtool.networks.torch_backend import build, load_weights, weights_of  # noqa: E402


@pytest.mark.parametrize(
    ("network", "shape"), [(lenet(7, 1), (1, 32, 32)), (alexnet(5, rank=3), (3, 64, 64)), (alexnet(5), (3, 128, 128))]
)
def test_modules_give_logits_of_the_declared_shapes(network, shape):
    *_, (_, _, _, declared_shape) = network.shapes(shape)
    with torch.inference_mode():
        assert build(network).eval()(torch.zeros(2, *shape)).shape == (2, *declared_shape)


def test_first_weights_have_hes_variance_and_no_bias():
    network = Network(conv=declared.Conv(8, 64, 5), fc1=declared.Linear(600, 300), fc2=declared.Linear(300, 200))
    weights = weights_of(build(network))
    for name, variance in (("conv", 2 / 200), ("fc1", 2 / 600), ("fc2", 1 / 300)):
        assert weights[f"{name}.weight"].var() == pytest.approx(variance, rel=0.05)
        assert abs(weights[f"{name}.weight"].mean()) < 0.05 * variance**0.5
        assert not weights[f"{name}.bias"].any()


def test_the_seed_decides_the_first_weights():
    first, again, other = (weights_of(build(lenet(), seed=seed)) for seed in (1, 1, 2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    assert not np.array_equal(first["conv1.weight"], other["conv1.weight"])


@pytest.mark.parametrize(("inputs", "outputs", "rank"), [(1, 1, 1), (9, 4, 2), (5, 12, 7)])
def test_a_thin_layer_is_the_linear_layer_of_its_product(inputs, outputs, rank):
    thin = build(Network(fc=declared.Linear(inputs, outputs, rank)))
    nn.init.normal_(thin.fc.bias)
    x = torch.randn(6, inputs)
    expected = nn.functional.linear(x, thin.fc.left @ thin.fc.right, thin.fc.bias)
    np.testing.assert_allclose(thin(x).detach(), expected.detach(), rtol=1e-4, atol=1e-5)


def test_alexnet_drops_half_before_both_hidden_layers():
    dropouts = [
        (name, module.p) for name, module in build(alexnet(2, rank=1)).named_modules() if type(module) is nn.Dropout
    ]
    assert dropouts == [("classifier.0", 0.5), ("classifier.3", 0.5)]


def test_weights_go_out_and_in_unchanged_and_are_copies():
    module = build(lenet(), seed=1)
    weights = weights_of(module)
    weights["fc3.bias"] += 1
    assert not weights_of(module)["fc3.bias"].any()
    load_weights(module, weights)
    for name, array in weights_of(module).items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, weights[name])


def test_weights_that_do_not_fit_are_refused():
    module = build(lenet(3, 1))
    weights = weights_of(module)
    with pytest.raises(DataError, match=r"fc3\.bias is missing"):
        load_weights(module, {name: array for name, array in weights.items() if name != "fc3.bias"})
    with pytest.raises(DataError, match=r"fc9\.bias is unknown"):
        load_weights(module, {**weights, "fc9.bias": weights["fc3.bias"]})
    with pytest.raises(DataError, match="fc3"):
        load_weights(module, {**weights, "fc3.bias": np.zeros(4, np.float32)})
