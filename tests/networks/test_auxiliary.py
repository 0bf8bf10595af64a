"""Classifiers in the middle of a network: training listens to them, predicting is without them."""

from dataclasses import replace

import numpy as np
import pytest

from imgtool.classifiers import registry
from imgtool.datasets.formats import load_dataset
from imgtool.networks.declaration import Auxiliary, Conv, Flatten, Linear, ReLU, Sequence
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.numpy_backend import NumpyNetwork
from imgtool.networks.recipe import Augmentation, Recipe
from imgtool.networks.samples import Samples
from locations import SAMPLES

SHAPE = (3, 6, 6)


def network(auxiliary=True):
    """A network of two convolutions with a classifier between them."""
    whole = Sequence(
        conv1=Conv(3, 4, 3), relu1=ReLU(),
        aux1=Auxiliary(Sequence(flatten=Flatten(), fc=Linear(64, 5))),
        conv2=Conv(4, 2, 3), flatten=Flatten(), fc=Linear(8, 5),
    )  # fmt: skip
    return whole if auxiliary else whole.without_auxiliary()


def test_a_declaration_with_and_without_it():
    whole, predicting = network(), network(auxiliary=False)
    assert set(whole.arrays()) - set(predicting.arrays()) == {"aux1.fc.weight", "aux1.fc.bias"}
    assert whole.output_shape(SHAPE) == predicting.output_shape(SHAPE) == (5,)
    assert whole.multiply_adds(SHAPE) == predicting.multiply_adds(SHAPE)
    assert whole.last_learned() == "fc"
    assert predicting.without_auxiliary() == predicting
    inside = Sequence(stage=Sequence(conv=Conv(3, 4, 3), aux=Auxiliary(Sequence(fc=Linear(64, 5)))), fc=Linear(64, 5))
    assert [*inside.without_auxiliary().arrays()] == ["stage.conv.weight", "stage.conv.bias", "fc.weight", "fc.bias"]


def test_it_changes_nothing_that_is_predicted():
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import module_with

    arrays, x = draw_arrays(network(), 0), np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    expected = NumpyNetwork(network(auxiliary=False), {key: arrays[key] for key in network(False).arrays()}).predict(x)
    np.testing.assert_array_equal(NumpyNetwork(network(), arrays).predict(x), expected)
    module = module_with(network(), arrays)
    for mode in (True, False):
        found = module.train(mode)(torch.from_numpy(x)).detach().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert (module.get_submodule("aux1").logits is not None) is mode


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_step_descends_the_loss_and_three_tenths_of_the_other_one(smoothing):
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from torch.nn import functional

    from imgtool.networks.torch_backend import module_with
    from imgtool.networks.training import train

    arrays = draw_arrays(network(), 0)
    images = np.random.default_rng(1).integers(0, 256, (4, 6, 6, 3)).astype(np.uint8)
    labels = np.array([0, 1, 2, 3])
    samples = Samples(images, labels, (0.5,) * 3, (0.25,) * 3)
    recipe = Recipe(epochs=1, batch=4, momentum=0, weight_decay=0, schedule="step", label_smoothing=smoothing)
    module = module_with(network(), arrays)
    (row,) = train(module, samples, recipe, Augmentation(horizontal_flip=False))

    x = torch.from_numpy((images / 255 - 0.5) / 0.25).permute(0, 3, 1, 2).float()
    tensors = {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in arrays.items()}
    hidden = functional.conv2d(x, tensors["conv1.weight"], tensors["conv1.bias"]).relu()
    beside = functional.linear(hidden.flatten(1), tensors["aux1.fc.weight"], tensors["aux1.fc.bias"])
    last = functional.conv2d(hidden, tensors["conv2.weight"], tensors["conv2.bias"]).flatten(1)
    logits = functional.linear(last, tensors["fc.weight"], tensors["fc.bias"])
    main, other = (
        functional.cross_entropy(each, torch.from_numpy(labels), label_smoothing=smoothing) for each in (logits, beside)
    )
    (main + 0.3 * other).backward()
    assert row["loss"] == pytest.approx(main.item(), rel=1e-5)
    norm = torch.sqrt(sum((tensor.grad**2).sum() for tensor in tensors.values()))
    scale = row["learning_rate"] * min(1.0, 5.0 / norm.item())
    for name, tensor in module.state_dict().items():
        expected = tensors[name].detach() - scale * tensors[name].grad
        torch.testing.assert_close(tensor, expected, rtol=1e-4, atol=1e-6)


def test_googlenet_trains_with_it_and_is_stored_without(tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    textures = load_dataset(SAMPLES / "textures").train.subset(np.arange(0, 48, 6))
    model = registry.create("googlenet", epochs=1, side=47, batch=4, warm_up=0).fit(textures)
    model.save(tmp_path / "m")
    again = registry.open_model(tmp_path / "m")
    assert not [name for name in again.arrays() if name.startswith("aux")]
    image = textures.image(0)
    np.testing.assert_array_equal(again.scores([image]), model.scores([image]))
    without = registry.create("googlenet", epochs=1, side=47, batch=4, warm_up=0, auxiliary=False).fit(textures)
    assert any((without.arrays()[name] != array).any() for name, array in model.arrays().items())
    tuned = registry.create("googlenet", epochs=1, batch=4)
    tuned.start_from(again, textures.classes)
    assert tuned.fit(replace(textures)).classes == textures.classes
