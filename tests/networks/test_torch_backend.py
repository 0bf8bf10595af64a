"""Declared networks as PyTorch modules: trees, low-rank layers, arrays in and out, predicting."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

from torch import nn  # noqa: E402

from imgtool.errors import DataError  # noqa: E402
from imgtool.networks.alexnet import alexnet  # noqa: E402
from imgtool.networks.channels_last import NumpyRunner  # noqa: E402
from imgtool.networks.declaration import BatchNorm, Concat, Conv, Dropout, Identity, Linear, ReLU, Sequence, Sum  # noqa: E402
from imgtool.networks.initialization import draw_arrays  # noqa: E402
from imgtool.networks.lenet import lenet  # noqa: E402
from imgtool.networks.torch_backend import TorchRunner, arrays_of, build, module_with, without_tf32  # noqa: E402
from imgtool.networks.two_layer import two_layer  # noqa: E402


@pytest.mark.parametrize(
    ("network", "shape"),
    [(lenet(7, 1), (1, 32, 32)), (alexnet(5, rank=3), (3, 64, 64)), (alexnet(5), (3, 128, 128)),
     (alexnet(5, rank=3, batch_norm=True), (3, 64, 64)), (lenet(batch_norm=True), (3, 32, 32))],
)  # fmt: skip
def test_modules_give_logits_of_the_declared_shapes(network, shape):
    with torch.inference_mode():
        assert build(network).eval()(torch.zeros(2, *shape)).shape == (2, *network.output_shape(shape))


def test_the_module_has_the_arrays_of_the_seed():
    for seed in (1, 2):
        expected = draw_arrays(lenet(), seed)
        for name, array in arrays_of(build(lenet(), seed=seed)).items():
            np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize(("inputs", "outputs", "rank"), [(1, 1, 1), (9, 4, 2), (5, 12, 7)])
def test_a_low_rank_layer_is_the_linear_layer_of_its_product(inputs, outputs, rank):
    factored = build(Sequence(fc=Linear(inputs, outputs, rank)))
    nn.init.normal_(factored.fc.bias)
    x = torch.randn(6, inputs)
    expected = nn.functional.linear(x, factored.fc.left @ factored.fc.right, factored.fc.bias)
    np.testing.assert_allclose(factored(x).detach(), expected.detach(), rtol=1e-4, atol=1e-5)


def test_alexnet_drops_half_before_both_hidden_layers():
    dropouts = [
        (name, module.p) for name, module in build(alexnet(2, rank=1)).named_modules() if type(module) is nn.Dropout
    ]
    assert dropouts == [("classifier.0", 0.5), ("classifier.3", 0.5)]


def test_arrays_go_out_and_in_unchanged_and_are_copies():
    module = build(lenet(), seed=1)
    arrays = arrays_of(module)
    arrays["fc3.bias"] += 1
    assert not arrays_of(module)["fc3.bias"].any()
    for name, array in arrays_of(module_with(lenet(), arrays)).items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, arrays[name])


def test_arrays_that_do_not_fit_are_refused():
    network = lenet(3, 1)
    arrays = arrays_of(build(network))
    with pytest.raises(DataError, match=r"fc3\.bias is missing"):
        module_with(network, {name: array for name, array in arrays.items() if name != "fc3.bias"})
    with pytest.raises(DataError, match=r"fc9\.bias is unknown"):
        module_with(network, {**arrays, "fc9.bias": arrays["fc3.bias"]})
    with pytest.raises(DataError, match="fc3"):
        module_with(network, {**arrays, "fc3.bias": np.zeros(4, np.float32)})


def tree():
    """Layers without arrays that share names, a dropout among them, under sums and concatenations."""
    body = Sequence(conv=Conv(2, 2, 3, padding=1), bn=BatchNorm(2), act=ReLU(), drop=Dropout(0.5))
    return Sequence(
        sum=Sum(body, Identity(), shortcut=Sequence(Conv(2, 2, 1))), act=ReLU(), drop=Dropout(0.25),
        join=Concat(Identity(), Sequence(inner=ReLU())), last=Conv(4, 3, 1),
    )  # fmt: skip


def test_every_module_of_a_tree_is_registered_once():
    module = build(tree())
    assert sorted(m.p for m in module.modules() if type(m) is nn.Dropout) == [0.25, 0.5]
    assert [name for name, _ in module.named_parameters()] == list(tree().tensors())
    assert all(not each.training for each in module.eval().modules())
    x = torch.ones(1, 2, 4, 4)
    assert torch.equal(module(x), module(x))
    assert not torch.equal(module.train()(x), module(x))


def test_a_copy_of_a_module_shares_nothing_with_it():
    module = build(tree()).eval()
    other = copy.deepcopy(module)
    x = torch.ones(1, 2, 4, 4)
    before = module(x)
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.zero_()
    assert torch.equal(module(x), before)
    assert not other(x).any()


@pytest.mark.parametrize("first", [ReLU(), Sequence(ReLU())])
def test_a_branch_does_not_write_over_the_shared_input(first):
    x = torch.linspace(-1, 1, 8).view(1, 2, 2, 2)
    kept = x.clone()
    result = build(Sequence(sum=Sum(first, Identity())))
    np.testing.assert_array_equal(result(x), kept.clamp(min=0) + kept)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("network", [lenet(5), alexnet(5, rank=3)], ids=["lenet", "alexnet"])
def test_runners_agree(network):
    arrays = draw_arrays(network, 0)
    side = 32 if network == lenet(5) else 64
    x = np.random.default_rng(0).standard_normal((3, 3, side, side), np.float32)
    runners = [TorchRunner(network, arrays), NumpyRunner(network, arrays)]
    features = [runner.features(x) for runner in runners]
    assert features[0].dtype == np.float32
    np.testing.assert_allclose(*features, rtol=0, atol=1e-5 * np.abs(features[0]).max())
    logits = [runner.logits(features[0]) for runner in runners]
    assert logits[0].shape == (3, 5)
    np.testing.assert_allclose(*logits, rtol=0, atol=1e-5 * np.abs(logits[0]).max())


def test_threads_share_a_runner():
    runner = TorchRunner(lenet(), draw_arrays(lenet(), 0))
    images = np.random.default_rng(0).standard_normal((20, 2, 3, 32, 32), np.float32)
    expected = [runner.logits(runner.features(batch)) for batch in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda batch: runner.logits(runner.features(batch)), images))
    for ours, alone in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, alone, rtol=0, atol=1e-6 * np.abs(alone).max())


def test_a_runner_refuses_arrays_that_do_not_fit():
    arrays = draw_arrays(lenet(), 0)
    del arrays["fc3.bias"]
    with pytest.raises(DataError, match=r"fc3\.bias is missing"):
        TorchRunner(lenet(), arrays)


@pytest.mark.parametrize("network", [lenet(5), two_layer(5)], ids=["lenet", "two-layer"])
def test_bf16_differs_by_rounding_to_eight_bits_and_its_last_layer_is_exact(network):
    arrays = draw_arrays(network, 0)
    x = np.random.default_rng(0).standard_normal((6, 3, 32, 32), np.float32)
    exact, rounded = TorchRunner(network, arrays), TorchRunner(network, arrays, precision="bf16")
    features, others = exact.features(x), rounded.features(x)
    assert others.dtype == np.float32
    apart = abs(others - features).max() / abs(features).max()
    assert 1e-5 < apart < 2e-2
    np.testing.assert_array_equal(rounded.logits(features), exact.logits(features))


def test_tf32_is_off_on_a_gpu_while_it_computes_and_as_before_afterwards():
    places = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = True
        with without_tf32(torch.device("cpu")):
            assert all(place.allow_tf32 for place in places)
        with without_tf32(torch.device("cuda:1")):
            assert not any(place.allow_tf32 for place in places)
        assert all(place.allow_tf32 for place in places)
    finally:
        for place, allowed in zip(places, before, strict=True):
            place.allow_tf32 = allowed
