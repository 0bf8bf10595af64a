"""Networks as descriptors: what their layers give, against PyTorch's own functions."""

import numpy as np
import pytest

import imgtool
from imgtool.classifiers import registry
from imgtool.classifiers.embedding import Embedding
from imgtool.errors import DataError, ParameterError
from imgtool.networks.catalogue import CATALOGUE
from imgtool.networks.cut import before_deciding, passed_layers, up_to
from imgtool.networks.declaration import Conv, Flatten, Linear, ReLU, Sequence, Sum
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.numpy_backend import NumpyNetwork
from imgtool.networks.resnet import resnet
from locations import SAMPLES

PHOTOS = [SAMPLES / name for name in ("coffee.png", "camera.png", "textures/brick/brick_00.png")]


def torch_lenet(arrays, x):
    """What LeNet's layers give, by name, written out with PyTorch's functions."""
    import torch
    from torch.nn import functional

    given = {name: torch.from_numpy(array.astype(np.float64)) for name, array in arrays.items()}
    layers, x = {}, torch.from_numpy(x.astype(np.float64))
    for index in "12":
        x = functional.relu(functional.conv2d(x, given[f"conv{index}.weight"], given[f"conv{index}.bias"]))
        layers[f"act{index}"] = x
        layers[f"pool{index}"] = x = functional.max_pool2d(x, 2)
    x = x.flatten(1)
    for name, act in (("fc1", "act3"), ("fc2", "act4")):
        layers[name] = functional.linear(x, given[f"{name}.weight"], given[f"{name}.bias"])
        layers[act] = x = functional.relu(layers[name])
    return {name: each.numpy() for name, each in layers.items()}


@pytest.mark.parametrize("name", ["lenet@mnist", "lenet@cifar10"])
def test_every_layer_gives_what_pytorchs_functions_give(name):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    model = imgtool.open_model(name)
    for path in PHOTOS:
        image = imgtool.read(path)
        expected = torch_lenet(model.arrays(), model.preprocessing.normalize([model.prepare(image)]))
        for layer, values in expected.items():
            values = values.mean(axis=(2, 3))[0] if values.ndim == 4 else values[0]
            found = imgtool.embed(image, model=model, layer=layer)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, values, rtol=0, atol=1e-6 * max(np.abs(values).max(), 1))
        np.testing.assert_array_equal(imgtool.embed(image, model=name), imgtool.embed(image, model=model, layer="act4"))


@pytest.mark.parametrize(
    ("name", "layer", "numbers"),
    [
        ("alexnet", None, 4096),
        ("alexnet", "features.12", 256),
        ("efficientnet-lite0", None, 1280),
        ("efficientnet-lite0", "blocks.3", 80),
    ],
)
def test_a_large_network_is_the_same_in_both_backends(name, layer, numbers):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    models = [imgtool.open_model(name, backend=backend) for backend in ("numpy", "torch")]
    ours, theirs = (imgtool.embed(imgtool.read(PHOTOS[0]), model=each, layer=layer) for each in models)
    assert ours.shape == (numbers,)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def test_up_to_a_layer_is_what_the_layer_gives():
    """Of a residual network: sums and whole sequences are layers, what lies in a branch is none."""
    network = resnet(18, 5)
    rng = np.random.default_rng(0)
    arrays = {
        name: (np.abs if "var" in name else np.asarray)(rng.normal(size=shape, scale=0.2)).astype(np.float32)
        for name, shape in network.arrays().items()
    }
    x = rng.normal(size=(2, 3, 32, 32)).astype(np.float32)
    names = list(passed_layers(network))
    cut = {name: up_to(network, name, (3, 32, 32)).trunk() for name in names}
    values = {
        name: NumpyNetwork(each, {key: arrays[key] for key in each.arrays()}).predict(x) for name, each in cut.items()
    }
    for name, each in cut.items():
        assert values[name].shape[1:] == each.output_shape((3, 32, 32))
    np.testing.assert_array_equal(values[names[-1]], NumpyNetwork(network, arrays).predict(x))
    inner = next(name for name, _ in network.layers() if name not in names)
    with pytest.raises(ParameterError, match="lies in a branch"):
        up_to(network, inner, (3, 32, 32))


def test_a_sum_by_its_name():
    branches = Sum(Sequence(inner=Conv(2, 2, 1)), Sequence(other=Conv(2, 2, 1)))
    block = Sequence(sum=branches, relu=ReLU())
    network = Sequence(conv=Conv(1, 2, 1), block=block, flatten=Flatten(), fc=Linear(2, 1))
    assert list(passed_layers(network)) == ["conv", "block.sum", "block.relu", "block", "flatten", "fc"]
    ones = {name: np.ones(shape, np.float32) for name, shape in network.arrays().items()}
    cut = up_to(network, "block.sum", (1, 1, 1)).trunk()
    found = NumpyNetwork(cut, {name: ones[name] for name in cut.arrays()}).predict(np.full((1, 1, 1, 1), 2, np.float32))
    np.testing.assert_array_equal(found.ravel(), [14, 14])  # 2 + 1 twice, their sum + 1, by two branches


def test_one_image_alone_is_nearly_what_it_is_among_others():
    embedding = Embedding.of("lenet")
    images = [imgtool.read(path) for path in PHOTOS]
    together = embedding.describe([embedding.prepare(image) for image in images])
    np.testing.assert_allclose(together, [embedding(image) for image in images], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["sift-fv-svm", "sift-fv-svm@imagenette"])
def test_what_is_no_network_has_no_layers(name):
    with pytest.raises(ParameterError, match="is no network"):
        imgtool.embed(np.zeros((64, 64), np.uint8), model=name)


def test_an_untrained_network_describes_nothing():
    from imgtool.classifiers.registry import create

    for layer in (None, "pool1"):
        with pytest.raises(ParameterError, match="not fitted"):
            imgtool.embed(np.zeros((64, 64), np.uint8), model=create("lenet"), layer=layer)


def test_weights_that_overflow_are_refused():
    model = imgtool.open_model("lenet@mnist")
    model.restore({name: array * np.float32(1e30) for name, array in model.arrays().items()})
    with pytest.raises(DataError, match="weights are too large"):
        imgtool.embed(imgtool.read(PHOTOS[0]), model=model)


def test_where_layers_follow_the_one_that_decides_its_input_describes_images():
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    model = registry.create("squeezenet1_1", side=64)
    network = model.network(3)
    arrays = {**draw_arrays(network, 0, model.input_shape), "classifier.1.bias": np.ones(3, np.float32)}
    model.classes, model.identifiers = ("a", "b", "c"), (None,) * 3
    model.restore(arrays)
    images = [model.prepare(imgtool.read(path)) for path in PHOTOS]
    found = Embedding(model).describe(images)
    assert found.shape == (3, 512)
    seen = torch.from_numpy(model.preprocessing.normalize(images))
    with torch.no_grad():
        from imgtool.networks.torch_backend import module_with

        maps = module_with(network, arrays).eval().features(seen)
    np.testing.assert_allclose(found, maps.mean((2, 3)).numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_only_squeezenets_have_layers_behind_the_one_that_decides(name):
    layer = before_deciding(registry.create(name).network(10))
    assert (layer is not None) == name.startswith("squeezenet")
