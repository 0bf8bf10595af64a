"""How the learning rate changes while a network is trained."""

import numpy as np
import pytest

from imgtool.networks.schedules import one_cycle


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
