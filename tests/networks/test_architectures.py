"""Declared networks against torchvision's: names, shapes, counts, and logits on the same weights (tests/reference)."""

import json

import numpy as np
import pytest

from imgtool.errors import ParameterError
from imgtool.networks.alexnet import alexnet
from imgtool.networks.channels_last import NumpyRunner
from imgtool.networks.densenet import densenet121
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.resnet import resnet18
from imgtool.networks.summary import summary
from locations import REFERENCE

EACH_NETWORK = pytest.mark.parametrize(
    "declare", [alexnet, resnet18, densenet121], ids=lambda declare: declare.__name__
)
TOLERANCE = 1e-5  # of the largest logit


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE / "networks.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def drawn(reference):
    """The arrays of each network that were given to torchvision's, drawn once."""
    cache = {}

    def draw(declare):
        if declare not in cache:
            cache[declare] = draw_arrays(declare(), int(reference["seed"]), tuple(map(int, reference["shape"])))
        return cache[declare]

    return draw


@EACH_NETWORK
def test_names_shapes_and_counts_are_torchvisions(declare, reference):
    expected = json.loads(reference[f"{declare.__name__}__arrays"].tobytes())
    assert [(name, list(shape)) for name, shape in declare().arrays().items()] == list(expected.items())
    assert declare().parameters() == reference[f"{declare.__name__}__parameters"]


def compare(runner, name, reference):
    """Assert that a runner's logits are torchvision's."""
    expected = reference[f"{name}__logits"]
    actual = runner.logits(runner.features(reference["inputs"]))
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


@EACH_NETWORK
def test_logits_by_hand_are_torchvisions(declare, reference, drawn):
    compare(NumpyRunner(declare(), drawn(declare)), declare.__name__, reference)


@EACH_NETWORK
def test_logits_in_pytorch_are_torchvisions(declare, reference, drawn):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import TorchRunner

    compare(TorchRunner(declare(), drawn(declare)), declare.__name__, reference)


@pytest.mark.parametrize("declare", [resnet18, densenet121])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_first_weights_hear_the_image_and_do_not_shout(declare, seed):
    """A black image's logits differ from a random one's; and the image's size is kept on the way to them."""
    shape = (3, 64, 64)
    runner = NumpyRunner(declare(), draw_arrays(declare(), seed, shape))
    pixels = np.stack([np.random.default_rng(9).integers(0, 256, shape), np.zeros(shape)])
    noise, black = runner.logits(runner.features(((pixels / 255 - 0.45) / 0.225).astype(np.float32)))
    largest = max(abs(noise).max(), abs(black).max())
    assert abs(noise - black).max() > 1e-2 * largest
    assert 0.1 < abs(noise).max() < 100
    assert largest < 100


@pytest.mark.parametrize(("declare", "before_pooling"), [(resnet18, (512, 7, 7)), (densenet121, (1024, 7, 7))])
def test_sides_of_the_last_feature_map_are_those_of_the_paper(declare, before_pooling):
    shapes = {name: before for name, _, before, _ in declare().shapes((3, 224, 224))}
    assert shapes["avgpool"] == before_pooling


@pytest.mark.parametrize(("declare", "millions"), [(resnet18, 1814), (densenet121, 2834)])
def test_multiply_adds_are_those_of_the_paper(declare, millions):
    """1.8e9 for ResNet-18 (table 1 of the paper); 2.83e9 for DenseNet-121, as torchvision's page says."""
    assert declare().multiply_adds((3, 224, 224)) / 1e6 == pytest.approx(millions, abs=1)
    assert summary(declare(), (3, 224, 224))[-1]["multiply-adds"] == declare().multiply_adds((3, 224, 224))


@EACH_NETWORK
def test_head_and_trunk(declare):
    network = declare(7)
    assert [*network.trunk().arrays(), f"{network.head()[0]}.weight", f"{network.head()[0]}.bias"] == list(
        network.arrays()
    )
    assert network.output_shape((3, 96, 96)) == (7,)


def test_densenet_needs_29_pixels():
    assert densenet121().output_shape((3, 29, 40)) == (1000,)
    with pytest.raises(ParameterError, match="too small"):
        densenet121().output_shape((3, 28, 40))
