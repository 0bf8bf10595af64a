"""A photograph of 12 megapixels, JPEG to JPEG, Gaussian of sigma 2, as whole processes: time and peak memory.

    python benchmarks/photograph.py [RUNS] [OTHER_TREE ...]

The photograph (sample_images/astronaut.jpg, enlarged to 4000x3000, with noise) is made in memory where it has a folder
for that. Each command runs as a process of its own, the commands taking turns: imgtool of this tree and of other ones
(such as `git worktree add ../before HEAD~1`), and `vips gaussblur` with accurate floats where it is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).parents[1]
MAKE = """
import sys, cv2, numpy as np
image = cv2.resize(cv2.imread(sys.argv[1]), (4000, 3000), interpolation=cv2.INTER_CUBIC)
image = np.clip(image + np.random.default_rng(0).normal(0, 4, image.shape), 0, 255).astype(np.uint8)
cv2.imwrite(sys.argv[2], image, [cv2.IMWRITE_JPEG_QUALITY, 92])
"""


def commands(folder: str, trees: list[Path]) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return (command, environment) by what it is called, which is its output's name too."""
    found = {}
    for number, tree in enumerate(trees):
        line = [sys.executable, "-m", "imgtool", "filter", "--kernel", "gaussian", "--sigma", "2", "--force", "-q"]
        line += [f"{folder}/in.jpg", "-o", f"{folder}/{number}.jpg"]
        found[f"imgtool in {tree}"] = (line, {**os.environ, "PYTHONPATH": str(tree)})
    if shutil.which("vips"):
        line = ["vips", "gaussblur", f"{folder}/in.jpg", f"{folder}/vips.jpg[Q=90]", "2", "--precision", "float"]
        found["vips gaussblur, floats"] = (line, dict(os.environ))
    return found


def timed(line: list[str], environment: dict[str, str], folder: str) -> tuple[float, float, float]:
    """Return wall seconds, processor seconds, and the peak of memory in MB."""
    begin = time.perf_counter()
    process = subprocess.Popen(line, env=environment, cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(line)}")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    trees = [TREE, *(Path(each).resolve() for each in sys.argv[2:])]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        # In a process of its own: what this one ever held would count as the peak of its children.
        sample = TREE / "sample_images" / "astronaut.jpg"
        subprocess.run([sys.executable, "-c", MAKE, str(sample), f"{folder}/in.jpg"], check=True)
        chosen = commands(folder, trees)
        measured: dict[str, list[tuple[float, float, float]]] = {name: [] for name in chosen}
        for run in range(runs + 1):
            for name, (line, environment) in chosen.items():
                figures = timed(line, environment, folder)
                if run:  # the first does not count
                    measured[name].append(figures)
        for name, figures in measured.items():
            wall, busy, peak = (statistics.median(each) for each in zip(*figures, strict=True))
            print(f"{name:<50} {wall:6.3f} s, {busy:6.3f} s of the processor, {peak:5.0f} MB")
        files = {hashlib.sha256(Path(f"{folder}/{n}.jpg").read_bytes()).hexdigest() for n in range(len(trees))}
        print("the files of imgtool are", "the same" if len(files) == 1 else "NOT the same")


if __name__ == "__main__":
    main()
