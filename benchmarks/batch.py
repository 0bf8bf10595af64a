"""A folder of 500 photographs blurred: one job, two jobs, and libvips started by xargs for each file.

    python benchmarks/batch.py [RUNS] [PHOTOGRAPHS]

The photographs are 640x480 JPEGs, cut from the sample images at random places and scales, with noise. The commands take
turns (3 times unless told); the table gives medians, and the medians of the ratios within each turn. libvips
writes at imgtool's quality and may use as many threads as it likes, as it does for anyone.
"""

from __future__ import annotations

import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

SAMPLES = Path(__file__).parents[1] / "sample_images"
SOURCES = ("astronaut.jpg", "cat.jpg", "coffee.png", "rocket_turned.jpg")
WIDTH, HEIGHT = 640, 480
BLUR = f"{shlex.quote(sys.executable)} -m imgtool filter --kernel gaussian --sigma 2 -q in/ -o out/ --to jpg"
XARGS = "ls in | xargs -P2 -I@ vips gaussblur in/@ out/@[Q=90] 2"
COMMANDS = {"imgtool -j 1": f"{BLUR} -j 1", "imgtool -j 2": f"{BLUR} -j 2", "vips, xargs -P2": XARGS}
BARS = {  # slower, faster: at least so many times as fast
    ("imgtool -j 1", "imgtool -j 2"): 1.8,
    ("vips, xargs -P2", "imgtool -j 2"): 2.0,
}


def main() -> None:
    runs, count = (int(each) for each in (*sys.argv[1:], *("3", "500")[len(sys.argv) - 1 :]))
    commands = {name: line for name, line in COMMANDS.items() if "vips" not in line or shutil.which("vips")}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        make_photographs(Path(folder, "in"), count)
        for _ in range(runs):
            for name, line in commands.items():
                seconds[name].append(timed(line, Path(folder), count))
    for name, each in seconds.items():
        print(f"{name:<16} {statistics.median(each):7.2f} s, least {min(each):.2f}   {commands[name]}")
    for (slow, fast), bar in BARS.items():
        if slow in seconds:
            ratio = statistics.median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))
            print(f"{fast} is {ratio:.2f} times as fast as {slow} (wanted: {bar})")


def make_photographs(folder: Path, count: int) -> None:
    """Write the photographs."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    images = [cv2.imread(str(SAMPLES / name)) for name in SOURCES]
    for index in range(count):
        image = images[index % len(images)]
        share = rng.uniform(0.5, 1)
        height, width = (int(side * share) for side in image.shape[:2])
        top, left = (
            int(rng.integers(0, whole - part + 1)) for whole, part in zip(image.shape, (height, width), strict=False)
        )
        photograph = cv2.resize(
            image[top : top + height, left : left + width], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
        )
        noisy = np.clip(photograph + rng.normal(0, 6, photograph.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{index:03}.jpg"), noisy, [cv2.IMWRITE_JPEG_QUALITY, 92])


def timed(line: str, folder: Path, count: int) -> float:
    """Run a line of shell in a folder whose `out` is new; return wall seconds."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    begin = time.perf_counter()
    subprocess.run(line, shell=True, cwd=folder, check=True)
    wall = time.perf_counter() - begin
    written = len(list((folder / "out").iterdir()))
    if written != count:
        raise SystemExit(f"{line} wrote {written} of {count} files")
    return wall


if __name__ == "__main__":
    main()
