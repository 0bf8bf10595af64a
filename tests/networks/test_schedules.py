"""How the learning rate changes while a network is trained."""

import numpy as np
import pytest

from imgtool.networks.recipe import Recipe
from imgtool.networks.schedules import one_cycle, rate_after


def test_the_rate_rises_then_falls_as_a_cosine():
    assert one_cycle(0.025, 0.05) == pytest.approx(0.5)
    assert one_cycle(0.05, 0.05) == pytest.approx(1)
    assert one_cycle(0.525, 0.05) == pytest.approx(0.5)
    assert one_cycle(1, 0.05) == pytest.approx(0)


@pytest.mark.parametrize("warm_up", [0.0, 0.1, 0.99])
def test_it_has_one_peak_and_never_stands_still_at_zero(warm_up):
    rates = np.array([one_cycle(step / 1000, warm_up) for step in range(1000)])
    assert rates.min() > 0
    assert rates.max() == pytest.approx(1)
    assert (np.diff(rates[: rates.argmax() + 1]) >= 0).all()
    assert (np.diff(rates[rates.argmax() :]) <= 0).all()


@pytest.mark.parametrize("warm_up", [0.0, 0.3])
def test_the_fall_is_pytorchs_cosine(warm_up):
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        assert one_cycle(warm_up + (1 - warm_up) * step / 50, warm_up) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


EPOCHS, STEPS = 12, 5


def scheduler(torch, schedule, optimizer):
    """Return PyTorch's scheduler, which is stepped after each step, or for `step` after each epoch."""
    if schedule == "step":
        return torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.3)
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS * STEPS)


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_schedules_are_pytorchs(schedule):
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    recipe = Recipe(epochs=EPOCHS, learning_rate=0.2, schedule=schedule, drop_epochs=5, drop_factor=0.3)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    theirs = scheduler(torch, schedule, optimizer)
    for step in range(EPOCHS * STEPS):
        ours = rate_after(step // STEPS + step % STEPS / STEPS, recipe)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        optimizer.step()
        if schedule == "cosine" or step % STEPS == STEPS - 1:
            theirs.step()


@pytest.mark.parametrize("warm_up", [0.0, 0.2])
def test_only_one_cycle_warms_up(warm_up):
    rates = {
        schedule: rate_after(0, Recipe(learning_rate=0.5, schedule=schedule, warm_up=warm_up))
        for schedule in ("one-cycle", "cosine", "step")
    }
    assert rates == {"one-cycle": 0.5 if warm_up == 0 else 0.5 * 1e-3, "cosine": 0.5, "step": 0.5}
