"""`imgtool train` under torchrun: processes that train together, one that dies, and going on."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from imgtool.classifiers import registry
from locations import IMGTOOL, SAMPLES

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

TEXTURES = SAMPLES / "textures"
LENET = ["--model", "lenet", "--seed", "3", "--lr", "0.02"]
SECONDS = 180


def start(rank, count, port, *arguments):
    """Start one process as torchrun does."""
    told = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return subprocess.Popen(
        [*IMGTOOL, *map(str, arguments)], env={**os.environ, **{name: str(value) for name, value in told.items()}},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def together(count, *arguments):
    """Run processes to their end; return status, standard output and error of each."""
    port = free_port()
    running = [start(rank, count, port, *arguments) for rank in range(count)]
    said = [process.communicate(timeout=SECONDS) for process in running]
    return [(process.returncode, *texts) for process, texts in zip(running, said, strict=True)]


def weights(folder):
    return registry.open_model(folder).arrays()


@pytest.mark.parametrize(("count", "share"), [(2, "0"), (3, "0.25")])
def test_processes_end_within_1e_5_of_one_with_the_whole_batch(count, share, tmp_path, run):
    how = ["train", TEXTURES, *LENET, "--epochs", "3", "--validation-share", share]
    alone = run(*how, "--batch", 5 * count, "-o", tmp_path / "alone")
    assert alone.status == 0
    (first, *others) = together(count, *how, "--batch", 5, "-o", tmp_path / "together")
    assert first[0] == 0
    assert first[1].replace("together", "alone") == alone.out
    assert first[2].count("epoch ") == 3
    assert others == [(0, "", "")] * (count - 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "together"]
    expected, found = weights(tmp_path / "alone"), weights(tmp_path / "together")
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-5)
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("alone", "together")
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_torchrun_starts_them(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port(),
               "-m", "imgtool", "train", TEXTURES, *LENET, "--epochs", "1", "-o", tmp_path / "m"]  # fmt: skip
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("lenet, 42 images of 3 classes") == 1
    assert registry.open_model(tmp_path / "m").classes == ("brick", "grass", "gravel")


@pytest.mark.parametrize("victim", [0, 1])
def test_one_that_dies_ends_all_and_resume_goes_on(victim, tmp_path):
    how = ["train", TEXTURES, *LENET, "--epochs", "60", "--batch", "5", "--validation-share", "0"]
    checkpoint = tmp_path / "m.checkpoint"
    port = free_port()
    running = [start(rank, 2, port, *how, "-o", tmp_path / "m") for rank in range(2)]
    until = time.monotonic() + SECONDS
    while not checkpoint.exists() and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(running[victim].pid, signal.SIGKILL)
    said = [process.communicate(timeout=SECONDS) for process in running]
    survivor = 1 - victim
    assert running[survivor].returncode == 1
    lines = said[survivor][1].splitlines()
    errors = [line for line in lines if line.startswith("imgtool: ") and "images of" not in line]
    if survivor == 0:  # which speaks for its machine
        assert errors == ["imgtool: another process of the training has ended; --resume goes on"]
    else:
        assert said[1] == ("", "")
    assert not (tmp_path / "m").exists()
    results = together(2, *how, "-o", tmp_path / "m", "--resume")
    assert [status for status, _, _ in results] == [0, 0]
    assert not checkpoint.exists()
    undisturbed = together(2, *how, "-o", tmp_path / "u")
    assert [status for status, _, _ in undisturbed] == [0, 0]
    for name, array in weights(tmp_path / "u").items():
        np.testing.assert_array_equal(weights(tmp_path / "m")[name], array)


@pytest.mark.parametrize(
    ("model", "says"),
    [("hog-svm", "hog-svm is trained by one process, and 2 were launched"),
     ("two-layer", "two-layer is trained by one process, and 2 were launched"),
     ("lenet", "no setting")],
)  # fmt: skip
def test_what_cannot_be_is_told_once(model, says, tmp_path):
    more = ["--set", "depth=3"] if model == "lenet" else []
    first, second = together(2, "train", TEXTURES, "--model", model, *more, "-q", "-o", tmp_path / "m")
    assert (first[0], first[1]) == (2, "")
    assert says in first[2]
    assert first[2].count("\n") == 1
    assert second == (2, "", "")
    assert not [*tmp_path.iterdir()]


WHOLE = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "host", "MASTER_PORT": "1"}


@pytest.mark.parametrize("told", [{}, {"RANK": "0"}, {**WHOLE, "WORLD_SIZE": "1"}, {**WHOLE, "RANK": "x"}])
def test_variables_of_others_launch_nothing(told, monkeypatch):
    from imgtool.networks.launch import Launch, launched

    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert launched() == Launch()


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_processes_that_do_not_find_each_other_say_why_in_one_line(device, monkeypatch):
    from imgtool.errors import TrainingError
    from imgtool.networks import distributed

    def fail(backend):
        asked.append(backend)
        raise RuntimeError("no route\nto host")

    asked, taken = [], []
    for name, value in {**WHOLE, "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(distributed.distributed, "init_process_group", fail)
    with (
        pytest.raises(
            TrainingError, match=r"the 2 processes that were launched do not find each other: no route to host$"
        ),
        distributed.grouped(distributed.launched().own_device(device)),
    ):
        pass
    assert (asked, taken) == ((["gloo"], []) if device == "cpu" else (["nccl"], ["cuda:1"]))


def test_each_process_has_a_gpu_of_its_own():
    from imgtool.networks.launch import Launch

    assert Launch(5, 8, 1).own_device("cuda") == "cuda:1"
    assert [Launch(5, 8, 1).own_device(name) for name in ("cpu", "cuda:3")] == ["cpu", "cuda:3"]
    assert Launch().own_device("cuda") == "cuda"
