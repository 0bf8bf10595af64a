"""What the tests of several packages need."""

import json
import os
import signal
import subprocess
import sys
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from locations import IMGTOOL

# As the program sets it: tests run beside each other, and each would else take all processors for every product.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")

# A shell starts what runs in its background deaf to Ctrl-C, and so would be what the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test depends on a clock, so that none fails on a busy machine: neither an example's time nor that of drawing it.
settings.register_profile("imgtool", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("imgtool")

PEAK = """
import os, sys
process = os.posix_spawn(sys.executable, [sys.executable, "-m", "imgtool", *sys.argv[1:]], os.environ)
_, status, usage = os.wait4(process, 0)
print(usage.ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20))
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Run(NamedTuple):
    """What became of a command line."""

    status: int
    out: str
    err: str

    @property
    def rows(self):
        """The objects of JSON Lines, or the one object, that it printed."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(capsys):
    """A function that runs a command line in this process: arguments -> Run."""

    def run(*arguments):
        from imgtool.cli.main import execute

        capsys.readouterr()
        status = execute([str(argument) for argument in arguments])
        return Run(status, *capsys.readouterr())

    return run


@pytest.fixture
def rows_of(run):
    """A function that runs a command line in this process and returns its rows: arguments -> list of dictionaries."""

    def rows_of(*arguments, status=0):
        done = run(*arguments, "--format", "jsonl")
        assert done.status == status, done.err
        return done.rows

    return rows_of


@pytest.fixture(scope="session")
def imgtool():
    """A function that runs a command line in a process of its own, as `subprocess.run` does, with its options."""

    def imgtool(*arguments, **options):
        command = [*IMGTOOL, *map(str, arguments)]
        options = {"stdin": subprocess.DEVNULL, "timeout": 300, "check": False, **options}
        return subprocess.run(command, capture_output=True, **options)

    return imgtool


@pytest.fixture(params=[pytest.param(False, id=""), pytest.param(True, id="timed", marks=pytest.mark.timed)])
def assert_within(request):
    """A function that holds a time to its limit, both in seconds: in the run of `-m timed` only, on a quiet machine.

    A test that takes it runs in the suite as well, for all else that it holds.
    """

    def assert_within(seconds, limit):
        assert seconds < limit or not request.param

    return assert_within


def pytest_collection_modifyitems(config, items):
    """Leave out what is timed unless it is asked for by its marker."""
    if "timed" in config.option.markexpr:
        return
    timed = [item for item in items if item.get_closest_marker("timed")]
    items[:] = [item for item in items if not item.get_closest_marker("timed")]
    config.hook.pytest_deselected(items=timed)


@pytest.fixture
def measured():
    """A function that runs imgtool: (arguments, cwd) -> (what became of it, megabytes at its peak).

    A small process starts it: what this one ever held would count as its child's peak.
    """
    if not hasattr(os, "wait4"):
        pytest.skip("this system does not tell the peak memory of a process")

    def run(*arguments, cwd=None):
        command = [sys.executable, "-c", PEAK, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=cwd, check=False)
        return done, float(done.stdout.splitlines()[-1])

    return run
