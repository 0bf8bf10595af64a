"""Declared networks against torchvision's: names, shapes, counts, and logits on the same weights (tests/reference)."""

import json

import numpy as np
import pytest

from imgtool.classifiers import registry
from imgtool.errors import ParameterError
from imgtool.networks.alexnet_2012 import alexnet_2012
from imgtool.networks.catalogue import CATALOGUE
from imgtool.networks.channels_last import NumpyRunner
from imgtool.networks.declaration import BatchNorm
from imgtool.networks.densenet import densenet
from imgtool.networks.googlenet import googlenet
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.resnet import resnet
from imgtool.networks.summary import summary
from imgtool.networks.vgg import vgg
from locations import REFERENCE

TOLERANCE = 1e-5  # of the largest logit
LARGE = {"vgg11", "vgg11_bn", "densenet161"}  # half a gigabyte of weights, or minutes by hand


def declared(name, classes=1000):
    """Return the network that training sees."""
    own = CATALOGUE[name]
    return own.declare(classes, own.parameters, own.preprocessing)


def stored():
    with np.load(REFERENCE / "networks.npz") as file:
        return dict(file)


STORED = stored()
NAMES = [key.removesuffix("__arrays") for key in STORED if key.endswith("__arrays")]
WITH_LOGITS = [
    pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in NAMES if f"{name}__logits" in STORED
]


@pytest.fixture(scope="module")
def drawn():
    """The arrays of each network that were given to torchvision's; those of the last one are kept."""
    cache = {}

    def draw(name):
        if name not in cache:
            cache.clear()
            cache[name] = draw_arrays(declared(name), int(STORED["seed"]), tuple(map(int, STORED["shape"])))
        return cache[name]

    return draw


def test_every_network_of_torchvision_that_is_here_is_compared():
    own = {"two-layer", "lenet", "alexnet-2012"} | {f"efficientnet-lite{size}" for size in range(3)}
    assert {*NAMES} == CATALOGUE.keys() - own
    assert set(registry.NETWORKS) == CATALOGUE.keys()


@pytest.mark.parametrize("name", NAMES)
def test_names_shapes_and_counts_are_torchvisions(name):
    expected = json.loads(STORED[f"{name}__arrays"].tobytes())
    found = [(key, list(shape)) for key, shape in declared(name).arrays().items()]
    if name == "googlenet":  # torchvision has the classifiers of the middle behind the last module
        assert sorted(found) == sorted(expected.items())
    else:
        assert found == list(expected.items())
    assert declared(name).parameters() == STORED[f"{name}__parameters"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("alexnet", 61_100_840), ("alexnet-2012", 60_965_224), ("vgg11", 132_863_336), ("vgg16", 138_357_544),
        ("vgg19", 143_667_240), ("vgg16_bn", 138_365_992), ("googlenet", 6_624_904), ("resnet18", 11_689_512),
        ("resnet50", 25_557_032), ("resnet152", 60_192_808), ("densenet121", 7_978_856), ("densenet161", 28_681_000),
    ],
)  # fmt: skip
def test_parameters_are_those_that_are_published(name, parameters):
    assert declared(name).without_auxiliary().parameters() == parameters


@pytest.mark.parametrize(
    ("name", "billions"),
    [("alexnet", 0.714), ("resnet18", 1.814), ("resnet50", 4.089), ("vgg16", 15.47), ("googlenet", 1.498),
     ("densenet121", 2.834), ("squeezenet1_0", 0.819), ("squeezenet1_1", 0.349)],
)  # fmt: skip
def test_multiply_adds_are_those_that_torchvision_publishes(name, billions):
    network = declared(name).without_auxiliary()
    count = network.multiply_adds((3, 224, 224))
    assert count / 1e9 == pytest.approx(billions, abs=6e-4 if billions < 10 else 6e-3)
    assert summary(network, (3, 224, 224))[-1]["multiply-adds"] == count


def compare(runner, name):
    """Assert that a runner's logits are torchvision's, and that a black image has others than noise."""
    expected = STORED[f"{name}__logits"]
    actual = runner.logits(runner.features(STORED["inputs"]))
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())
    assert abs(expected[0] - expected[1]).max() > 1e-2 * abs(expected).max()


def without_auxiliary(name, arrays):
    network = declared(name).without_auxiliary()
    return network, {key: arrays[key] for key in network.arrays()}


@pytest.mark.parametrize("name", WITH_LOGITS)
def test_logits_by_hand_are_torchvisions(name, drawn):
    compare(NumpyRunner(*without_auxiliary(name, drawn(name))), name)


@pytest.mark.parametrize("name", WITH_LOGITS)
def test_logits_in_pytorch_are_torchvisions(name, drawn):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import TorchRunner

    compare(TorchRunner(*without_auxiliary(name, drawn(name))), name)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "googlenet", "resnet34"])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_first_weights_hear_the_image_and_do_not_shout(name, seed):
    """A black image's logits differ from a random one's; and the image's size is kept on the way to them."""
    shape = (3, 64, 64)
    runner = NumpyRunner(*without_auxiliary(name, draw_arrays(declared(name), seed, shape)))
    pixels = np.stack([np.random.default_rng(9).integers(0, 256, shape), np.zeros(shape)])
    noise, black = runner.logits(runner.features(((pixels / 255 - 0.45) / 0.225).astype(np.float32)))
    largest = max(abs(noise).max(), abs(black).max())
    assert abs(noise - black).max() > 1e-2 * largest
    assert 0.1 < abs(noise).max() < 100
    assert largest < 100


@pytest.mark.parametrize(
    ("network", "channels"),
    [(resnet(18), 512), (resnet(152), 2048), (densenet(121), 1024), (densenet(161), 2208), (vgg(16), 512),
     (googlenet(), 1024)],
)  # fmt: skip
def test_the_last_feature_map_is_the_papers(network, channels):
    shapes = {name: before for name, _, before, _ in network.shapes((3, 224, 224))}
    assert shapes["avgpool"] == (channels, 7, 7)


@pytest.mark.parametrize("name", CATALOGUE)
def test_head_and_trunk(name):
    network = declared(name, 7).without_auxiliary()
    side = max(CATALOGUE[name].sides[0], 32)
    assert network.output_shape((3, side, side)) == (7,)
    learned = network.last_learned()
    own = [key for key in network.arrays() if key.startswith(f"{learned}.")]
    assert own == [f"{learned}.weight", f"{learned}.bias"]
    last, _ = network.head()
    assert [*network.trunk().arrays()] == [key for key in network.arrays() if not key.startswith(f"{last}.")]


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("alexnet", "vgg"))])
def test_the_smallest_side_gives_two_pixels_where_there_is_batch_normalization(name):
    """One pixel of one image has no variance."""
    network, (low, _) = declared(name).without_auxiliary(), CATALOGUE[name].sides

    def normed(side):
        return [before for _, layer, before, _ in network.shapes((3, side, side)) if isinstance(layer, BatchNorm)]

    maps = {side: normed(side) for side in (low, low - 1)} if network.buffers() else {low: []}
    assert all(min(shape[1:]) > 1 for shape in maps[low])
    if maps[low]:
        assert any(min(shape[1:]) == 1 for shape in maps[low - 1])


def test_densenet_needs_29_pixels():
    assert densenet(121).output_shape((3, 29, 40)) == (1000,)
    with pytest.raises(ParameterError, match="too small"):
        densenet(121).output_shape((3, 28, 40))


def test_alexnet_as_published_begins_as_published():
    """Section 3.5 and table of sizes; section 5: weights of deviation 0.01, biases of 1 in conv2, 4, 5 and fc6, 7."""
    sizes = {name: after for name, _, _, after in alexnet_2012().shapes((3, 227, 227))}
    assert [sizes[f"conv{i}"] for i in range(1, 6)] == [
        (96, 55, 55),
        (256, 27, 27),
        (384, 13, 13),
        (384, 13, 13),
        (256, 13, 13),
    ]
    arrays = draw_arrays(alexnet_2012(10), 0, **CATALOGUE["alexnet-2012"].first)
    for name, array in arrays.items():
        layer, kind = name.split(".")
        if kind == "bias":
            assert (array == (layer in ("conv2", "conv4", "conv5", "fc6", "fc7"))).all()
        else:
            assert array.std() == pytest.approx(0.01, rel=0.02)
            assert abs(array.mean()) < 1e-3


def test_local_response_normalization_is_the_papers():
    """b = a / (k + alpha sum of a^2) ^ beta, with k = 2, n = 5, alpha = 1e-4, beta = 0.75 (section 3.3)."""
    network = alexnet_2012()
    (norm,) = {layer for name, layer in network.layers() if name.startswith("norm")}
    x = np.random.default_rng(0).normal(0, 100, (1, 7, 2, 3))
    from imgtool.networks.numpy_layers import LAYERS

    found = LAYERS[type(norm)](norm, {}).forward(x)
    for channel in range(7):
        around = x[:, max(channel - 2, 0) : channel + 3]
        expected = x[:, channel] / (2 + 1e-4 * (around**2).sum(axis=1)) ** 0.75
        np.testing.assert_allclose(found[:, channel], expected, rtol=1e-12)
