"""A network is explained by the numbers of PyTorch's autograd, and by those that the model itself gives."""

import numpy as np
import pytest

import imgtool
from imgtool.classifiers import explain_network as module
from imgtool.classifiers.registry import create
from imgtool.errors import DataError, ParameterError
from imgtool.networks.initialization import draw_arrays
from locations import SAMPLES

IMAGE = imgtool.read(SAMPLES / "coffee.png")
MODELS = {
    "two-layer": lambda: fresh("two-layer", hidden=7, side=8),
    "lenet": lambda: imgtool.open_model("lenet@cifar10"),
    "lenet, sigmoid and dropout": lambda: fresh("lenet", activation="sigmoid", dropout=0.5),
    "alexnet": lambda: imgtool.open_model("alexnet"),
    "resnet18": lambda: fresh("resnet18", side=33),
}


def fresh(name, **settings):
    """A network with random weights for three classes."""
    model = create(name, **settings)
    model.classes, model.identifiers = ("a", "b", "c"), (None, "key", None)
    model.restore(draw_arrays(model.network(), 1, model.input_shape))
    return model


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


def test_numbers_are_those_of_the_model_and_of_each_other(model):
    label = model.classes[2]
    found = imgtool.explain_network(IMAGE, model=model, label=label)
    np.testing.assert_allclose(found.probabilities, model.scores([IMAGE])[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.features, model.features([model.prepare(IMAGE)])[0], rtol=1e-3, atol=1e-4)
    exponentials = np.exp(found.scores)
    np.testing.assert_allclose(found.probabilities, exponentials / exponentials.sum(), rtol=1e-12)
    np.testing.assert_allclose(found.slopes, found.probabilities - (np.arange(len(model.classes)) == 2), atol=1e-12)
    assert found.loss == pytest.approx(-np.log(found.probabilities[2]))
    assert found.loss_after == pytest.approx(-np.log(found.probability_after))
    assert (found.label, found.index, found.classes) == (label, 2, model.classes)
    for row in found.gradients:
        assert row["by_hand"] == pytest.approx(row["numeric"], rel=1e-5, abs=1e-8)
        assert row["difference"] == abs(row["by_hand"] - row["numeric"])
        if row["tensor"] == f"{found.last}.weight":
            output, place = row["index"]
            assert row["by_hand"] == pytest.approx(found.slopes[output] * found.features[place], rel=1e-12)


def test_loss_gradients_and_step_are_those_of_autograd(model):
    torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
    from imgtool.networks.torch_backend import module_with

    found = imgtool.explain_network(IMAGE, model=model, label=model.classes[1], rate=0.003)
    network = module_with(model.network().without_auxiliary(), model.arrays()).double().eval()
    x, target = torch.from_numpy(found.x)[None], torch.tensor([1])
    scores = network(x)
    scores.retain_grad()
    loss = torch.nn.functional.cross_entropy(scores, target)
    loss.backward()
    np.testing.assert_allclose(found.scores, scores[0].detach().numpy(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.slopes, scores.grad[0].numpy(), rtol=1e-9, atol=1e-12)
    assert found.loss == pytest.approx(loss.item())
    slopes = {name: each.grad.numpy() for name, each in network.named_parameters()}
    assert found.length == pytest.approx(np.sqrt(sum((each**2).sum() for each in slopes.values())))
    assert found.gradients
    for row in found.gradients:
        expected = slopes[row["tensor"]]
        assert row["by_hand"] == pytest.approx(expected[tuple(row["index"])], rel=1e-9)
        assert abs(row["by_hand"]) >= np.sort(np.abs(expected), axis=None)[-min(3, expected.size)] - 1e-12
    torch.optim.SGD(network.parameters(), lr=0.003).step()
    with torch.no_grad():
        assert found.loss_after == pytest.approx(torch.nn.functional.cross_entropy(network(x), target).item())


def test_the_model_stays_as_it_was():
    model = MODELS["lenet"]()
    before = {name: array.copy() for name, array in model.arrays().items()}
    imgtool.explain_network(IMAGE, model=model, label=model.classes[0], rate=1)
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_small_step_falls_as_the_gradient_says():
    found = imgtool.explain_network(IMAGE, model="lenet@cifar10", label="cat", rate=1e-6)
    assert found.loss - found.loss_after == pytest.approx(1e-6 * found.length**2, rel=1e-2)


def test_a_wrong_gradient_is_seen_beside_the_numeric_one(monkeypatch):
    real = module.NumpyNetwork.gradients
    double = lambda network: {name: 2 * each for name, each in real(network).items()}  # noqa: E731
    monkeypatch.setattr(module.NumpyNetwork, "gradients", double)
    found = imgtool.explain_network(IMAGE, model="lenet@cifar10", label="cat")
    assert all(row["difference"] == pytest.approx(abs(row["numeric"]), rel=1e-3) for row in found.gradients)


def test_labels_are_names_or_identifiers():
    model = fresh("two-layer", hidden=7, side=8)
    assert imgtool.explain_network(IMAGE, model=model, label="key").index == 1
    with pytest.raises(ParameterError, match="there are a, b, c"):
        imgtool.explain_network(IMAGE, model=model, label="q")
    with pytest.raises(ParameterError, match="did you mean cat"):
        imgtool.explain_network(IMAGE, model="lenet@cifar10", label="catt")


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_no_step_is_refused(rate):
    with pytest.raises(ParameterError, match="rate must be positive"):
        imgtool.explain_network(IMAGE, model="lenet@cifar10", label="cat", rate=rate)


def test_what_is_no_network_or_gives_no_numbers_is_refused():
    with pytest.raises(ParameterError, match="is no network"):
        imgtool.explain_network(IMAGE, model="sift-fv-svm", label="church")
    model = fresh("two-layer", hidden=7, side=8)
    model.restore({name: np.full_like(array, np.inf) for name, array in model.arrays().items()})
    with pytest.raises(DataError, match="weights are too large"):
        imgtool.explain_network(IMAGE, model=model, label="a")
