"""Many images described by worker processes: what threads give, whatever happens to the workers."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from threading import Event

import numpy as np
import pytest

import imgtool
from imgtool.batch.worker import WorkerDiedError, Workers
from imgtool.cli.main import execute
from imgtool.errors import ParameterError
from imgtool.image import encode
from imgtool.pipelines import processes
from imgtool.pipelines.worker_tasks import Answer, Task
from imgtool.remarks import Remark
from locations import IMGTOOL

COMMANDS = [
    ["hog"], ["hog", "--resize", "32x32", "--variant", "uoctti"], ["gist", "--size", "32"],
    ["fisher", "--encoding", "bow", "--pyramid", "1x1,2x1"], ["embed", "--model", "lenet"],
]  # fmt: skip


def make_images(folder, count):
    """Images in two class folders, one of them broken, one cut, one with an odd name."""
    rng = np.random.default_rng(0)
    for index in range(count):
        path = os.fsencode(folder / f"c{index * 2 // count}" / f"{index:03}") + (b"\xff.pgm" if index == 4 else b".pgm")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        content = encode(rng.integers(0, 256, (48, 40), dtype=np.uint8), "pgm")
        with open(path, "wb") as file:
            file.write({1: b"no image", 2: content[:-500]}.get(index, content))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "in", 8)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("more", [[], ["--allow-truncated"], ["--max-pixels", "100"]], ids=str)
def test_workers_give_what_threads_give(command, more, folder, capsys, monkeypatch):
    printed = []
    for images_a_worker in (100, 1):
        monkeypatch.setattr("imgtool.pipelines.describe.IMAGES_PER_WORKER", images_a_worker)
        status = execute([*command, *more, "in", "-j", "2", "-o", "out.npz", "--force"])
        content = Path("out.npz").read_bytes() if Path("out.npz").exists() else b""
        rows = execute([*command, *more, "in", "-j", "2", "--format", "jsonl"])
        output, lines = capsys.readouterr()
        printed.append((status, rows, content, output, sorted(lines.splitlines())))
    assert printed[0] == printed[1]
    assert any("001.pgm" in line for line in printed[0][-1])
    assert bool(printed[0][2]) == ("--max-pixels" not in more)


def test_workers_are_used(folder, monkeypatch):
    monkeypatch.setattr("imgtool.pipelines.describe.IMAGES_PER_WORKER", 1)
    asked, here, is_asked = [], [], Event()

    def ask(workers, paths):
        asked.extend(paths)
        is_asked.set()
        return [Answer(None, failure="no") for _ in paths]

    def describe_here(task, paths):
        here.extend(paths)
        assert is_asked.wait(20)
        return [Answer(None, failure="no") for _ in paths]

    monkeypatch.setattr(processes, "_ask", ask)
    monkeypatch.setattr(processes, "describe_files", describe_here)
    execute(["hog", "in", "-j", "2", "-o", "out.npz"])
    assert asked
    assert here
    assert len(asked + here) == 8
    execute(["hog", "in", "-j", "1", "-o", "out.npz", "--force"])
    execute(["hog", "in", "-j", "2", "-o", "out.npz", "--force", "--isolate"])
    execute(["sift", "in", "-j", "2", "-o", "out.npz", "--force"])
    assert len(asked + here) == 8


@pytest.mark.parametrize(("seconds", "most"), [(0.0, processes.MAX_CHUNK_FILES), (processes.CHUNK_SECONDS, 1)])
def test_chunks_are_as_large_as_a_short_time_allows(seconds, most, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "in", 100 if most > 1 else 10)
    sizes = []

    def describe(_, paths):
        sizes.append(len(paths))
        time.sleep(seconds * len(paths))
        return [Answer(None, failure="no") for _ in paths]

    monkeypatch.setattr("imgtool.pipelines.describe.IMAGES_PER_WORKER", 1)
    monkeypatch.setattr(processes, "_ask", describe)
    monkeypatch.setattr(processes, "describe_files", describe)
    execute(["hog", "in", "-j", "2", "-o", "out.npz"])
    assert sizes[0] == 1
    assert max(sizes) == most
    assert sum(sizes) == (100 if most > 1 else 10)


def workers_of(descriptor, **parameters):
    meta = json.dumps({"descriptor": descriptor, "parameters": parameters})
    task = json.dumps(Task(meta, os.getcwd(), {"max_pixels": 10**6}, imgtool.__version__))
    return Workers("imgtool.pipelines.processes", f"serve({task!a})")


def test_a_worker_that_dies_costs_the_image_that_it_dies_of(folder):
    workers, path = workers_of("hog", orientations=9, cell=8), str(folder / "in" / "c0" / "000.pgm")
    other = str(folder / "in" / "c1" / "005.pgm")
    expected = processes._ask(workers, [path, other])
    assert len(expected) == 2

    def kill():
        workers._idle[0]._process.kill()
        workers._idle[0]._process.wait()

    kill()
    for found, wanted in zip(processes._ask(workers, [path, other]), expected, strict=True):
        np.testing.assert_array_equal(found.value, wanted.value)
    kill()
    (failed,) = processes._ask(workers, [path])
    assert (failed.value, failed.failure) == (None, "ended the process that was to describe it (SIGKILL)")
    workers.close()


def test_the_others_of_a_chunk_are_described_when_one_ends_the_worker():
    class Dying:
        def ask(self, request):
            if "bad" in request["paths"]:
                raise WorkerDiedError("SIGSEGV")
            count = len(request["paths"])
            good = [{"shape": [2], "remarks": [["damaged", 1, ""]], "failure": "", "hint": ""}] * (count - 1)
            bad = {"shape": None, "remarks": [], "failure": "no", "hint": "truncated"}
            return {"answers": [bad, *good]}, np.arange(2 * count - 2)

    found = processes._ask(Dying(), ["a", "bad", "b"])
    assert [each.failure for each in found] == ["no", "ended the process that was to describe it (SIGSEGV)", "no"]
    none, first, second = processes._ask(Dying(), ["a", "b", "c"])
    assert (none.value, first.value.tolist(), second.value.tolist()) == (None, [0, 1], [2, 3])
    assert (none.remarks, first.remarks) == ((), (Remark("damaged"),))
    assert (none.hint, first.hint) == ("truncated", "")


def test_what_ends_the_command_in_a_thread_ends_it_from_a_worker(folder):
    path = str(folder / "in" / "c0" / "000.pgm")
    for workers, error, text in (
        (workers_of("hog", orientations=0), ParameterError, "orientations must be at least 1"),
        (workers_of("hog", unknown=0), RuntimeError, "TypeError: "),
    ):
        with pytest.raises(error, match=text):
            processes._ask(workers, [path])
        assert len(workers._idle) == 1  # it did not die of it
        workers.close()


def children_of(pid):
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # those that each thread has started
    return [int(child) for each in lists for child in each.read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system has no /proc to look for processes in")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_D1_no_worker_outlives_imgtool_and_resume_goes_on(number, tmp_path):
    make_images(tmp_path / "in", 260)
    command = [*IMGTOOL, "hog", "--resize", "400x400", "in", "-q", "-j", "2"]
    running = subprocess.Popen([*command, "-o", "out.npz"], cwd=tmp_path, stderr=subprocess.PIPE)
    rows = tmp_path / "out.npz.rows"
    while not (rows.exists() and rows.stat().st_size > 1_000_000):
        assert running.poll() is None
        time.sleep(0.01)
    workers = children_of(running.pid)
    assert len(workers) == 1  # beside the process itself
    running.send_signal(number)
    running.communicate()
    assert running.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    end = time.monotonic() + 20
    while any(Path(f"/proc/{each}").exists() for each in workers):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert subprocess.run([*command, "-o", "out.npz", "--resume"], cwd=tmp_path, check=False).returncode == 1
    assert subprocess.run([*command, "-o", "whole.npz"], cwd=tmp_path, check=False).returncode == 1
    assert (tmp_path / "out.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
