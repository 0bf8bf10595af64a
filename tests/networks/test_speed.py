"""Images a second of a network: what is timed, and that training trains."""

import numpy as np
import pytest

from imgtool.classifiers.bench import bench
from imgtool.errors import DeviceError
from imgtool.networks import speed
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.speed import WARM_UPS, Load
from imgtool.networks.two_layer import two_layer

NETWORK = two_layer(3, channels=1, side=6, hidden=8)


def load(**how):
    return Load(NETWORK, draw_arrays(NETWORK, 0), (1, 6, 6), **how)


def test_a_rate_counts_steps_but_for_the_first(monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])

    def step():
        calls.append(clock[0])
        clock[0] += 0.25 if len(calls) > WARM_UPS else 9.0

    assert load(batch=10, seconds=1.0).rate(step) == 40
    assert len(calls) == WARM_UPS + 4
    assert load(batch=10, seconds=0).rate(step) == 40  # one step at least


def test_training_is_timed_on_a_copy():
    once = load(seconds=0)
    before = {name: array.copy() for name, array in once.arrays.items()}
    assert speed.training_rate(once) > 0
    assert speed.inference_rate(once) > 0
    for name, array in before.items():
        np.testing.assert_array_equal(array, once.arrays[name])
    assert once.images().shape == (32, 1, 6, 6)
    assert set(once.labels()) == {0, 1, 2}


@pytest.mark.parametrize("bf16", [False, True])
def test_pytorch_is_timed_too(bf16):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks import speed_torch

    assert speed_torch.inference_rate(load(seconds=0), bf16=bf16) > 0
    assert speed_torch.training_rate(load(seconds=0), bf16=bf16) > 0
    assert speed_torch.device_name("cpu") == speed.processor_name() != ""


def test_bench_has_a_row_for_each_device_and_backend():
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    rows = list(bench("lenet", ["cpu", "cpu"], batch=2, seconds=0))
    assert [(row["device"], row["backend"]) for row in rows] == [("cpu", "numpy"), ("cpu", "torch")] * 2
    assert all((row["model"], row["input"], row["batch"]) == ("lenet", "3x32x32", 2) for row in rows)
    assert all(row["inference"] > 0 and row["training"] > 0 for row in rows)
    (by_hand, in_torch) = bench("resnet18", batch=2, seconds=0)
    assert by_hand["training"] is None
    assert in_torch["training"] > 0


def test_a_device_that_is_not_there_is_told_before_anything_is_measured(run, monkeypatch):
    monkeypatch.setattr("imgtool.device.torch_build", lambda: "cu126")
    monkeypatch.setattr("imgtool.device.cuda_devices", lambda: 0)
    with pytest.raises(DeviceError, match="no CUDA devices"):
        bench("lenet", ["cpu", "cuda"])
    done = run("models", "bench", "lenet", "--device", "cpu", "--device", "cuda")
    assert (done.status, done.out) == (2, "")
    assert done.err == "imgtool: --device cuda: this machine has no CUDA devices\n"


def test_the_command_prints_the_rows(run):
    done = run("models", "bench", "lenet", "--batch", "1", "--format", "csv")
    head, *rows = done.out.splitlines()
    assert head == "model,input,batch,device,processor,backend,inference,training"
    assert rows[0].startswith("lenet,3x32x32,1,cpu,")
    assert run("models", "bench", "hog-svm").err == "imgtool: hog-svm is no network\n"
