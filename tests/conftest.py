"""What several rooms' tests need."""

import os
import subprocess
import sys

import pytest

PEAK = """
import os, sys
process = os.posix_spawn(sys.executable, [sys.executable, "-m", "imgtool", *sys.argv[1:]], os.environ)
_, status, usage = os.wait4(process, 0)
print(usage.ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20))
sys.exit(os.waitstatus_to_exitcode(status))
"""


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
