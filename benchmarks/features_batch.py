"""A folder of photographs described: images a second, reading and writing included, beside scikit-image and the parts.

    python benchmarks/features_batch.py [RUNS] [PHOTOGRAPHS] [hog] [gist] [fisher]

The photographs are 256x256 JPEGs, cut from the sample images at random places and scales. The candidates take turns (3
times unless told; 1,000 photographs; all commands), each in a process of its own; the table gives medians, and the
medians of the ratios within each turn. imgtool's times are those of the whole command; scikit-image's (imread and hog,
one thread, one process), and those of the parts (reading alone, describing alone), are without start-up and without
writing anything.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SAMPLES = Path(__file__).parents[1] / "sample_images"
SOURCES = ("astronaut.jpg", "cat.jpg", "coffee.png", "rocket_turned.jpg")
SIDE = 256
COMMANDS = ("hog", "gist", "fisher")
ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1")  # as imgtool itself
MOST = 1.3  # times the sum of the parts that a command may take
BARS = {("skimage hog", "hog -j 1"): 12.0} | {(f"{name} -j 1", f"{name} -j 2"): 1.7 for name in COMMANDS}


def main() -> None:
    if sys.argv[1:2] == ["--part"]:
        print(measured(*sys.argv[2:]))
        return
    runs, count = (int(each) for each in (*sys.argv[1:3], *("3", "1000")[len(sys.argv) - 1 :]))
    names = sys.argv[3:] or COMMANDS
    candidates: dict[str, list[str]] = {"skimage hog": part("skimage", "hog")} if "hog" in names else {}
    for name in names:
        candidates |= {f"{name} {jobs}": command(name, jobs) for jobs in ("-j 1", "-j 2")}
        candidates |= {f"reading for {name}": part("read", name), f"describing, {name}": part("describe", name)}
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    with tempfile.TemporaryDirectory() as folder:
        make_photographs(Path(folder, "in"), count)
        for _ in range(runs):
            for name, line in candidates.items():
                Path(folder, "out.npz").unlink(missing_ok=True)
                seconds[name].append(timed(line, folder))
    for name, each in seconds.items():
        median = statistics.median(each)
        print(f"{name:<20} {median:8.2f} s, least {min(each):.2f}; {count / median:8.1f} images/s")
    for (slow, fast), bar in BARS.items():
        if {slow, fast} <= {*seconds}:
            print(f"{fast} is {ratio(seconds[slow], seconds[fast]):.2f} times as fast as {slow} (wanted: {bar})")
    for name in names:
        parts = zip(seconds[f"reading for {name}"], seconds[f"describing, {name}"], strict=True)
        times = ratio(seconds[f"{name} -j 1"], [sum(each) for each in parts])
        print(f"{name} -j 1 takes {times:.2f} times as long as its parts (wanted: at most {MOST})")


def command(name: str, jobs: str) -> list[str]:
    return [sys.executable, "-m", "imgtool", name, *jobs.split(), "-q", "in", "-o", "out.npz"]


def part(what: str, name: str) -> list[str]:
    return [sys.executable, os.path.abspath(__file__), "--part", what, name]


def ratio(numerators: list[float], denominators: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def timed(line: list[str], folder: str) -> float:
    """Run a command and return its wall seconds, or those that a part says."""
    begin = time.perf_counter()
    done = subprocess.run(line, cwd=folder, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **ALONE})
    wall = time.perf_counter() - begin
    return float(done.stdout or wall)


def measured(what: str, name: str) -> float:
    """Return the seconds that one part takes, the first image left out."""
    paths = sorted(Path("in").iterdir())
    work = {"skimage": by_scikit_image, "read": reading, "describe": describing}[what](name, paths)
    work(paths[0])
    begin = time.perf_counter()
    for path in paths:
        work(path)
    return time.perf_counter() - begin


def by_scikit_image(_name: str, _paths: list[Path]) -> Callable[[Path], Any]:
    from skimage.feature import hog
    from skimage.io import imread

    cv2.setNumThreads(1)
    return lambda path: hog(imread(path), cells_per_block=(2, 2), channel_axis=-1)


def reading(_name: str, _paths: list[Path]) -> Callable[[Path], Any]:
    from imgtool.image import read

    cv2.setNumThreads(1)
    return read


def describing(name: str, paths: list[Path]) -> Callable[[Path], Any]:
    from imgtool.image import read
    from imgtool.pipelines.descriptors import complete, descriptor

    cv2.setNumThreads(1)
    images = {path: read(path) for path in paths}
    describe = descriptor(name, complete(name, {}))
    return lambda path: describe(images[path])


def make_photographs(folder: Path, count: int) -> None:
    """Write the photographs."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    images = [cv2.imread(str(SAMPLES / name)) for name in SOURCES]
    for index in range(count):
        image = images[index % len(images)]
        side = int(rng.uniform(0.6, 1) * min(image.shape[:2]))
        top, left = (int(rng.integers(0, whole - side + 1)) for whole in image.shape[:2])
        photograph = cv2.resize(image[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{index:05}.jpg"), photograph, [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    main()
