"""The benchmark for a GPU runs whole on the CPU, with small images, so that no borrowed GPU is wasted on a mistake."""

import subprocess
import sys

import pytest

from locations import ROOT, SHARED


@pytest.mark.slow
@pytest.mark.parametrize("mnist", [None, SHARED / "data"], ids=["alone", "mnist"])
def test_the_benchmark_of_a_gpu_runs_on_the_cpu(mnist):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    if mnist is not None and not mnist.exists():
        pytest.skip("MNIST's files are not beside this checkout")
    command = [
        sys.executable,
        "benchmarks/gpu_networks.py",
        "--device",
        "cpu",
        "--tiny",
        *([str(mnist)] if mnist else []),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    head, device, *rows, last = done.stdout.splitlines()
    assert head.startswith("python benchmarks/gpu_networks.py --device cpu --tiny")
    assert "PyTorch" in device
    assert len(rows) == 13
    assert sum(row.endswith(" yes") for row in rows) == 7
    assert not any(row.endswith("NO") for row in rows)
    assert ("not measured" in rows[0]) == (mnist is None)
    assert last.endswith("s in all")
