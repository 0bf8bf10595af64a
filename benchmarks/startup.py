"""Wall time and memory of whole commands, as a user's shell sees them.

    python benchmarks/startup.py [RUNS]

Each command runs as a process of its own, the commands taking turns; the table gives the median and the least of the
runs (11 unless told), after one that does not count, and the ratio of medians to `python -c pass`.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "sample_images"
CAT = str(SAMPLES / "cat.jpg")
IMGTOOL = (sys.executable, "-m", "imgtool")
COMMANDS = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "imgtool --help": (*IMGTOOL, "--help"),
    "imgtool filter --kernel sobel-x cat.jpg": (*IMGTOOL, "filter", "--kernel", "sobel-x", CAT, "-q", "-o", "{out}"),
    "imgtool hog cat.jpg": (*IMGTOOL, "hog", CAT),
    "imgtool gist cat.jpg": (*IMGTOOL, "gist", CAT),
    "imgtool classify cat.jpg": (*IMGTOOL, "classify", "-q", CAT),
    "imgtool classify --model sift-fv-svm cat.jpg": (*IMGTOOL, "classify", "-q", "--model", "sift-fv-svm", CAT),
}


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    peaks: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs + 1):
            for name, command in COMMANDS.items():
                wall, peak = timed([part.replace("{out}", f"{folder}/{run}.png") for part in command])
                if run:
                    seconds[name].append(wall)
                    peaks[name] = max(peak, peaks.get(name, 0))
    base = statistics.median(seconds["python -c pass"])
    print(f"{'command':<46} {'median ms':>9} {'least':>6} {'ratio':>6} {'MB':>5}")
    for name, walls in seconds.items():
        median = statistics.median(walls)
        print(
            f"{name:<46} {1000 * median:9.0f} {1000 * min(walls):6.0f} {median / base:6.1f} {peaks[name] / 1024:5.0f}"
        )


def timed(command: list[str]) -> tuple[float, int]:
    """Run a command, its output thrown away; return wall seconds and its peak memory in KB."""
    begin = time.perf_counter()
    process = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begin, usage.ru_maxrss


if __name__ == "__main__":
    main()
