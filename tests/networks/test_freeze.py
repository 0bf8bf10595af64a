"""Training of the last layer alone."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

from trainings import CHANGES, RECIPE, STILL, KilledError, samples  # noqa: E402

from imgtool.events import Epoch  # noqa: E402
from imgtool.networks.declaration import Sequence  # noqa: E402
from imgtool.networks.layers import BatchNorm, Conv, Dropout, Flatten, Linear, ReLU  # noqa: E402
from imgtool.networks.schedules import rate_after  # noqa: E402
from imgtool.networks.torch_backend import arrays_of, build  # noqa: E402
from imgtool.networks.training import train  # noqa: E402

NETWORK = Sequence(
    features=Sequence(Conv(1, 4, 5, stride=3), BatchNorm(4), ReLU(), Flatten(), Dropout(0.5)),
    classifier=Sequence(Linear(400, 16), ReLU(), Dropout(0.3), Linear(16, 3)),
)
HEAD = "classifier.3"


def frozen():
    module = build(NETWORK, seed=3, shape=(1, 32, 32))
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name.startswith(HEAD))
    return module


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_only_the_last_layer_changes_and_no_statistics(optimizer):
    module = frozen()
    before = arrays_of(module)
    recipe = dataclasses.replace(RECIPE, optimizer=optimizer)
    history = train(module, samples(), recipe, CHANGES, validation=samples(seed=9))
    changed = {name for name, array in arrays_of(module).items() if (array != before[name]).any()}
    assert changed == {f"{HEAD}.weight", f"{HEAD}.bias"}
    assert history[-1]["loss"] < history[0]["loss"]


def test_it_is_pytorchs_logistic_regression_on_what_the_last_layer_sees():
    data, module, recipe = samples(), frozen(), dataclasses.replace(RECIPE, batch=48, epochs=6, weight_decay=0.01)
    seen: list = []
    layer = dict(module.named_modules())[HEAD]
    layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].detach().clone()))
    module.eval()((torch.from_numpy(data.images).permute(0, 3, 1, 2) / 255 - 0.4) / 0.3)
    features, labels = seen[0], torch.from_numpy(data.labels)
    theirs = torch.nn.Linear(16, 3)
    theirs.load_state_dict(layer.state_dict())
    sgd = torch.optim.SGD(theirs.parameters(), 0.1, 0.9, weight_decay=0.01, nesterov=True)
    losses = []
    for epoch in range(6):
        sgd.param_groups[0]["lr"] = rate_after(epoch, recipe)
        loss = torch.nn.functional.cross_entropy(theirs(features), labels)
        sgd.zero_grad()
        loss.backward()
        assert torch.nn.utils.get_total_norm([each.grad for each in theirs.parameters()]) < 5  # nothing is clipped
        sgd.step()
        losses.append(loss.item())
    history = train(module, data, recipe, STILL)
    assert [row["loss"] for row in history] == pytest.approx(losses, rel=1e-5)
    np.testing.assert_allclose(layer.weight.detach(), theirs.weight.detach(), atol=1e-5)


def test_killed_it_resumes_with_the_same_bits(tmp_path):
    def kill(event):
        if isinstance(event, Epoch) and event.epoch == 2:
            raise KilledError

    whole, again = frozen(), frozen()
    train(whole, samples(), RECIPE, CHANGES)
    with pytest.raises(KilledError):
        train(frozen(), samples(), RECIPE, CHANGES, checkpoint=tmp_path / "c", events=kill)
    train(again, samples(), RECIPE, CHANGES, checkpoint=tmp_path / "c")
    for name, array in arrays_of(whole).items():
        np.testing.assert_array_equal(array, arrays_of(again)[name])
