"""Optimizers against those of torch.optim, to the bit."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

from imgtool.networks.lenet import lenet  # noqa: E402
from imgtool.networks.optimizers_torch import AdamW, Nesterov, make_optimizer  # noqa: E402
from imgtool.networks.recipe import Recipe  # noqa: E402
from imgtool.networks.torch_backend import arrays_of, build  # noqa: E402


def pytorchs(module, recipe):
    """Return the optimizer of torch.optim that a recipe means."""
    settings = {"lr": 0.1, "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(module.parameters(), betas=(recipe.momentum, 0.999), **settings)
    return torch.optim.SGD(module.parameters(), momentum=recipe.momentum, nesterov=recipe.momentum > 0, **settings)


def gradients(module, seed, size):
    """Give the module the gradients of some loss."""
    module.zero_grad()
    inputs = torch.randn(8, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    (module(inputs).square().mean() * size).backward()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("momentum", [0.9, 0.0])
@pytest.mark.parametrize("weight_decay", [0.01, 0.0])
@pytest.mark.parametrize("size", [0.01, 100.0])
def test_steps_are_those_of_pytorch_to_the_bit(optimizer, momentum, weight_decay, size):
    recipe = Recipe(optimizer=optimizer, momentum=momentum, weight_decay=weight_decay)
    ours, theirs = (build(lenet(3, 1), seed=3).to(memory_format=torch.channels_last) for _ in range(2))
    own, other = make_optimizer(ours, recipe), pytorchs(theirs, recipe)
    for step in range(5):
        rate = 0.1 / (step + 1)
        for module in (ours, theirs):
            gradients(module, step, size)
        assert own.step(rate)
        norm = torch.nn.utils.get_total_norm([each.grad for each in theirs.parameters()])
        if norm > 5:
            for each in theirs.parameters():
                each.grad *= 5 / float(norm)
        assert (norm > 5) == (size > 1) or step > 0
        other.param_groups[0]["lr"] = rate
        other.step()
    for name, array in arrays_of(ours).items():
        np.testing.assert_array_equal(array, arrays_of(theirs)[name])


@pytest.mark.parametrize("kind", [Nesterov, AdamW])
def test_what_does_not_learn_is_left_alone(kind):
    module = build(lenet(3, 1))
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name.startswith("fc3."))
    optimizer, before = kind(module, Recipe()), arrays_of(module)
    gradients(module, 0, 1.0)
    optimizer.step(0.1)
    changed = {name for name, array in arrays_of(module).items() if (array != before[name]).any()}
    assert changed == {"fc3.weight", "fc3.bias"}
    kept = {name for tensors in optimizer.tensors().values() for name in tensors}
    assert kept - {"all"} == changed


@pytest.mark.parametrize("kind", [Nesterov, AdamW])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_no_step(kind, value):
    module = build(lenet(3, 1))
    optimizer, before = kind(module, Recipe()), arrays_of(module)
    gradients(module, 0, 1.0)
    module.fc3.bias.grad[0] = value
    assert not optimizer.step(0.1)
    for name, array in arrays_of(module).items():
        np.testing.assert_array_equal(array, before[name])
    assert all((tensor == 0).all() for kept in optimizer.tensors().values() for tensor in kept.values())
