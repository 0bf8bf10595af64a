"""Grad-CAM by hand: against PyTorch's gradients, and on networks whose answer is known to look at one place."""

import numpy as np
import pytest

from imgtool.errors import ParameterError
from imgtool.networks.alexnet import alexnet
from imgtool.networks.cut import behind, last_map
from imgtool.networks.declaration import Conv, Dropout, Flatten, Linear, MaxPool, ReLU, Sequence
from imgtool.networks.densenet import densenet
from imgtool.networks.grad_cam import feature_maps, grad_cam
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.lenet import lenet
from imgtool.networks.numpy_backend import NumpyNetwork
from imgtool.networks.resnet import resnet
from imgtool.networks.two_layer import two_layer

# Network, side of its images, last layer with maps by our name, and PyTorch's module that gives the same.
NETWORKS = [
    (lenet(5, 3), 32, "act2", "act2"),
    (alexnet(4, rank=8), 96, "features.11", "features.11"),
    (resnet(18, 6), 64, "layer4.1.relu", "layer4"),
    (resnet(18, 6), 32, "layer3.1.relu", "layer3"),  # layer4 has a single place
    (densenet(121, 3), 64, "relu", "relu"),
]


@pytest.mark.parametrize(("network", "side", "layer", "module"), NETWORKS, ids=str)
def test_it_is_what_pytorchs_gradients_give(network, side, layer, module):
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import module_with

    arrays = draw_arrays(network, 0, (3, side, side))
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, side, side)).astype(np.float32)
    classes = np.array([2, 0])
    assert last_map(network, x.shape[1:]) == layer
    whole, maps = module_with(network, arrays).eval(), []
    whole.get_submodule(module).register_forward_hook(lambda _, __, output: maps.append(output.clone()) or maps[-1])
    logits = whole(torch.from_numpy(x))
    (gradient,) = torch.autograd.grad(logits[np.arange(2), classes].sum(), maps[0])
    expected = torch.relu((gradient.mean(dim=(2, 3), keepdim=True) * maps[0]).sum(dim=1)).detach().numpy()
    found = grad_cam(network, arrays, layer, feature_maps(network, arrays, layer, x), classes)
    assert found.shape == expected.shape
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.max())


@pytest.mark.parametrize(("network", "side", "layer", "module"), NETWORKS[:3], ids=str)
def test_a_network_is_what_lies_before_and_behind_each_layer(network, side, layer, module):
    arrays = draw_arrays(network, 0, (3, side, side))
    x = np.random.default_rng(0).standard_normal((1, 3, side, side)).astype(np.float32)
    rest = behind(network, layer)
    tail = NumpyNetwork(rest, {name: arrays[name] for name in rest.arrays()})
    logits = tail.predict(feature_maps(network, arrays, layer, x))
    np.testing.assert_array_equal(logits, NumpyNetwork(network, arrays).predict(x))
    with pytest.raises(ParameterError, match="no layer 'act9'"):
        behind(network, "act9")


def test_a_class_that_counts_red_looks_at_red():
    """Maps 0 and 1 are the red and the green channel; each class adds up one map, so that is all it looks at."""
    network = Sequence(
        conv=Conv(3, 2, 1), act=ReLU(), drop=Dropout(), pool=MaxPool(2), flatten=Flatten(), fc=Linear(32, 2)
    )
    arrays = {name: np.zeros(shape, np.float32) for name, shape in network.arrays().items()}
    arrays["conv.weight"][[0, 1], [0, 1]] = 1
    arrays["fc.weight"][0, :16], arrays["fc.weight"][1, 16:] = 1, 1
    image = np.zeros((1, 3, 8, 8), np.float32)
    image[0, 0, 1:3, 5:7] = image[0, 1, 6:8, 0:3] = 1
    for label, patch in ((0, np.s_[1:3, 5:7]), (1, np.s_[6:8, 0:3])):
        (heat,) = grad_cam(network, arrays, "act", feature_maps(network, arrays, "act", image), np.array([label]))
        assert (heat[patch] > 0).all()
        heat[patch] = 0
        assert not heat.any()
    arrays["fc.weight"] *= -1  # now they speak against the class, and nothing is left
    assert not grad_cam(network, arrays, "act", feature_maps(network, arrays, "act", image), np.array([0])).any()


def test_a_network_that_takes_the_whole_image_at_once_has_no_maps():
    with pytest.raises(ParameterError, match="has no feature maps"):
        last_map(two_layer(3, 1, 16, 8), (1, 16, 16))
