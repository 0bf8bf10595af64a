"""What --device means, on machines with and without what it asks for."""

import pytest

from imgtool import device
from imgtool.errors import DeviceError, MissingExtraError, ParameterError


@pytest.fixture
def machine(monkeypatch):
    def pretend(build, count):
        monkeypatch.setattr(device, "torch_build", lambda: build)
        monkeypatch.setattr(device, "cuda_devices", lambda: count)

    return pretend


@pytest.mark.parametrize(
    ("build", "count", "name", "expected"),
    [
        (None, 0, "auto", "cpu"), ("cpu", 2, "auto", "cpu"), ("cu126", 0, "auto", "cpu"), ("cu126", 1, "auto", "cuda"),
        ("default", 1, "auto", "cuda"), (None, 0, "cpu", "cpu"),
        ("cu126", 1, "cuda", "cuda"), ("cu126", 2, "cuda:1", "cuda:1"),
    ],
)  # fmt: skip
def test_what_is_there_is_taken(machine, build, count, name, expected):
    machine(build, count)
    assert device.resolve(name) == expected


@pytest.mark.parametrize(
    ("build", "count", "name", "error", "message"),
    [
        (None, 1, "cuda", MissingExtraError, r"torch>=2"),
        ("cpu", 1, "cuda", DeviceError, "CPU only"),
        ("cu126", 0, "cuda", DeviceError, "no CUDA devices"),
        ("cu126", 1, "cuda:1", DeviceError, "1 CUDA device$"),
        ("cu126", 1, "gpu", ParameterError, "there are"),
        ("cu126", 1, "cuda:", ParameterError, "there are"),
    ],
)
def test_what_is_not_there_is_refused_and_never_runs_elsewhere(machine, build, count, name, error, message):
    machine(build, count)
    with pytest.raises(error, match=message) as caught:
        device.resolve(name)
    assert caught.value.exit_status == 2


def test_the_real_machine_answers():
    assert device.cuda_devices() >= 0
    assert device.resolve("auto") in ("cpu", "cuda")
