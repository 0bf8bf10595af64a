"""D5: descriptors computed by a Dask cluster, with real scheduler and worker processes on this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.image import encode
from locations import IMGTOOL, SAMPLES

distributed = pytest.importorskip("distributed", reason="--cluster needs the extra 'cluster'")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9")

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of 300 images, of which some take longer than others, one is cut and one broken."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for index in range(300):
        side = 160 if index % 7 else 48
        path = folder / "in" / f"c{index // 100}" / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = encode(np.kron(rng.integers(0, 256, (side // 8,) * 2, dtype=np.uint8), np.ones((8, 8), np.uint8)), "png")
        path.write_bytes({5: data[: len(data) // 2], 200: b"no image"}.get(index, data))
    return folder


COMMAND = [*IMGTOOL, "sift", "--sparse", "--allow-truncated", "-q", "in", "-o"]


@pytest.fixture(scope="module")
def alone(images):
    """What one process writes, and what it says."""
    done = subprocess.run([*COMMAND, "alone.npz", "-j", "2"], cwd=images, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 2  # of the cut and of the broken image
    return (images / "alone.npz").read_bytes(), done.stderr


class Cluster:
    """A scheduler and workers, each a process without a nanny that would start it anew."""

    def __init__(self, folder, count):
        self.file, self.workers = str(folder / "scheduler.json"), []
        options = ["--scheduler-file", self.file, "--host", "127.0.0.1", "--no-dashboard"]
        environment = {**os.environ, "DASK_TEMPORARY_DIRECTORY": str(folder)}
        start = lambda name, *more: subprocess.Popen(  # noqa: E731
            [sys.executable, "-m", f"distributed.cli.dask_{name}", *options, *more],
            env=environment,
            cwd=folder,
            **QUIET,
        )
        self.scheduler = start("scheduler", "--port", "0")
        limits = ["--nthreads", "1", "--no-nanny", "--death-timeout", "20", "--lifetime", "120"]
        self.workers = [start("worker", *limits) for _ in range(count)]
        with distributed.Client(scheduler_file=self.file, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=30)
            self.address = client.scheduler.address

    def close(self):
        for each in [*self.workers, self.scheduler]:
            each.kill()
            each.wait()


@pytest.fixture
def cluster(tmp_path):
    started = Cluster(tmp_path, 2)
    yield started
    started.close()


def start(images, output, *more):
    (images / output).unlink(missing_ok=True)
    return subprocess.Popen([*COMMAND, output, *more], cwd=images, stderr=subprocess.PIPE)


def wait_until_it_grew(process, rows, size=1_000_000):
    deadline = time.monotonic() + 60
    while not rows.exists() or rows.stat().st_size < size:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_D5_a_worker_killed_in_the_middle_loses_and_repeats_nothing(images, alone, cluster):
    process = start(images, "killed.npz", "--cluster", cluster.address)
    wait_until_it_grew(process, images / "killed.npz.rows")
    cluster.workers[0].kill()
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (1, alone[1])
    assert (images / "killed.npz").read_bytes() == alone[0]


@pytest.mark.slow
def test_D5_a_scheduler_that_goes_away_is_one_line_and_resume_goes_on(images, alone, cluster):
    process = start(images, "gone.npz", "--cluster", cluster.address)
    wait_until_it_grew(process, images / "gone.npz.rows")
    cluster.scheduler.kill()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    *before, line = errors.decode().splitlines()
    assert line == f"imgtool: {cluster.address}: the scheduler is gone; --resume goes on"
    assert alone[1].decode().splitlines()[: len(before)] == before
    assert not (images / "gone.npz").exists()
    done = subprocess.run([*COMMAND, "gone.npz", "--resume"], cwd=images, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"200.png: is no image" in done.stderr
    assert (images / "gone.npz").read_bytes() == alone[0]


@pytest.mark.slow
def test_D5_interrupted_with_a_cluster_of_its_own(images, alone, assert_within):
    import psutil

    process = start(images, "local.npz", "--cluster", "local", "-j", "2")
    wait_until_it_grew(process, images / "local.npz.rows")
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    listening = [at.laddr.ip for each in family for at in each.net_connections("inet") if at.status == "LISTEN"]
    assert set(listening) == {"127.0.0.1"}
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert_within(time.monotonic() - begin, 2)
    assert process.returncode == 130
    assert errors.decode().splitlines()[-1].endswith("--resume goes on")
    _, alive = psutil.wait_procs(family[1:], timeout=10)
    assert not alive
    resumed = [*COMMAND, "local.npz", "--resume", "--cluster", "local", "-j", "2"]
    done = subprocess.run(resumed, cwd=images, capture_output=True, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr  # the cut one was read before
    assert b"200.png: is no image" in done.stderr
    assert (images / "local.npz").read_bytes() == alone[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [["hog", "--cell", "8,4"], ["gist", "--resize", "64x"], ["sift", "--step", "16", "--bounds", "1,2,60,50"],
     ["fisher", "--codebook", "../book.safetensors"], ["embed", "--model", "lenet"]],
    ids=" ".join,
)  # fmt: skip
def test_D5_every_descriptor_gives_the_bytes_of_one_process(command, tmp_path, monkeypatch):
    from imgtool.features.codebook import Codebook, save_codebook
    from imgtool.features.encoding import LocalSettings

    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(128, 6)))[0].T.astype(np.float32)
    shapes = rng.uniform(0.01, 0.1, (2, 3, 6)).astype(np.float32)
    priors = np.array([0.25, 0.25, 0.5], np.float32)
    save_codebook(tmp_path / "book.safetensors", Codebook(np.zeros(128, np.float32), basis, *shapes, priors,
                                                 {"sift": LocalSettings(step=5, bins=(4, 6)).to_meta()}))  # fmt: skip
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "textures").symlink_to(SAMPLES / "textures")
    assert execute([*command, "textures", "-q", "-o", "alone.npz"]) == 0
    assert execute([*command, "textures", "-q", "-o", "far.npz", "--cluster", "local", "-j", "2"]) == 0
    assert Path("far.npz").read_bytes() == Path("alone.npz").read_bytes()


def test_rows_come_from_a_cluster_too(capsys, monkeypatch):
    monkeypatch.chdir(SAMPLES)
    assert execute(["hog", "camera.png", "gone.png", "coins.png", "--format", "jsonl"]) == 1
    alone = capsys.readouterr()
    assert execute(["hog", "camera.png", "gone.png", "coins.png", "--format", "jsonl", "--cluster", "local"]) == 1
    assert capsys.readouterr() == alone


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-"], "standard input does not go with --cluster"),
        (["a.png", "--isolate"], "--isolate does not go with --cluster"),
        (["a.png", "--visualize", "b.png"], "--visualize does not go with --cluster"),
    ],
)
def test_what_does_not_go_with_a_cluster_is_one_line(arguments, message, capsys):
    assert execute(["hog", *arguments, "-o", "x.npz", "--cluster", "local"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not Path("x.npz.partial").exists()


def test_a_worker_of_another_version_is_refused():
    from imgtool.errors import ClusterError
    from imgtool.pipelines.worker_tasks import Task, describe_files

    with pytest.raises(ClusterError, match=r"a worker has imgtool .*, not 0\.0\.1"):
        describe_files(Task("{}", "", {"max_pixels": 1}, "0.0.1"), ["a.png"])
