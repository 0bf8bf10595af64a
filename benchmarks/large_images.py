"""A gray image of 100 megapixels through whole commands, imgtool's and libvips': time and peak memory.

    python benchmarks/large_images.py [RUNS]

The image (10000x10000, uint8, uncompressed TIFF, smooth with noise) is made in a temporary folder. Each command runs
as a process of its own, the commands taking turns (5 runs unless told, after one that does not count). The ratio is
that of its median to that of libvips' command; below 1 is faster. `vips gaussblur` writes floating point numbers of a
kernel cut a little earlier and copies edge pixels, imgtool rounds to 8 bits and reflects: that they agree within 0.6
level away from the edges is checked. `vips sobel` has another definition of the magnitude: pixels are not compared.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIDE = 10_000
IMGTOOL = (sys.executable, "-m", "imgtool")
# Name -> (command, whose median it is compared with, the ratio that is asked for)
COMMANDS: dict[str, tuple[tuple[str, ...], str | None, float | None]] = {
    "vips gaussblur 5": (
        ("vips", "gaussblur", "{in}", "{out}", "5", "--precision", "float", "--min-ampl", "0.001"),
        None,
        None,
    ),
    "imgtool filter gaussian 5": (
        (*IMGTOOL, "filter", "--kernel", "gaussian", "--sigma", "5", "{in}", "-o", "{out}", "-q"),
        "vips gaussblur 5",
        0.2,
    ),
    "the blur with --jobs 1": (
        (*IMGTOOL, "filter", "--kernel", "gaussian", "--sigma", "5", "{in}", "-o", "{out}", "-q", "-j", "1"),
        "vips gaussblur 5",
        None,
    ),
    "the blur with --range stretch": (
        (*IMGTOOL, "filter", "--kernel", "gaussian", "--sigma", "5", "--range", "stretch", "{in}", "-o", "{out}", "-q"),
        "vips gaussblur 5",
        None,
    ),
    "vips sobel": (("vips", "sobel", "{in}", "{out}"), None, None),
    "imgtool gradient": ((*IMGTOOL, "gradient", "{in}", "-o", "{out}", "-q"), "vips sobel", 0.7),
    "imgtool gradient --jobs 1": ((*IMGTOOL, "gradient", "{in}", "-o", "{out}", "-q", "-j", "1"), "vips sobel", None),
}


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    commands = {name: entry for name, entry in COMMANDS.items() if shutil.which(entry[0][0])}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    busy: dict[str, list[float]] = {name: [] for name in commands}
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        # In processes of their own: what this one ever held would count as the peak of its children.
        subprocess.run([sys.executable, "-c", MAKE_IMAGE, f"{folder}/in.tif"], check=True)
        for run in range(runs + 1):
            for number, (name, (command, _, _)) in enumerate(commands.items()):
                out = f"{folder}/{number}.tif"
                Path(out).unlink(missing_ok=True)
                wall, used, peak = timed(
                    [part.replace("{in}", f"{folder}/in.tif").replace("{out}", out) for part in command]
                )
                if run:
                    seconds[name].append(wall)
                    busy[name].append(used)
                    peaks[name] = max(peak, peaks.get(name, 0))
        if "vips gaussblur 5" in commands:
            subprocess.run([sys.executable, "-c", COMPARE, f"{folder}/0.tif", f"{folder}/1.tif"], check=True)
    print(f"python benchmarks/large_images.py {runs}")
    print(f"{'command':<28} {'median s':>8} {'least':>6} {'CPU s':>6} {'MB':>5} {'ratio':>6} {'asked':>6}")
    for name, walls in seconds.items():
        _, peer, asked = commands[name]
        ratio = f"{statistics.median(walls) / statistics.median(seconds[peer]):.2f}" if peer in seconds else ""
        wall, used = statistics.median(walls), statistics.median(busy[name])
        line = f"{name:<28} {wall:8.2f} {min(walls):6.2f} {used:6.2f} {peaks[name]:5.0f} {ratio:>6}"
        print(f"{line} {asked or '':>6}".rstrip())


MAKE_IMAGE = f"""
import sys, cv2, numpy as np, tifffile
rng = np.random.default_rng(0)
coarse = rng.integers(60, 196, ({SIDE // 50}, {SIDE // 50})).astype(np.uint8)
image = cv2.resize(coarse, ({SIDE}, {SIDE}), interpolation=cv2.INTER_CUBIC)
for row in image:
    row += rng.integers(0, 20, {SIDE}, dtype=np.uint8)
tifffile.imwrite(sys.argv[1], image, metadata=None)
"""
COMPARE = """
import sys, numpy as np, tifffile
a, b = (tifffile.memmap(path, mode="r")[4000:4500, 100:-100].astype(np.float64) for path in sys.argv[1:])
sys.exit(f"the blurs differ by {np.abs(a - b).max():.2f} levels" if np.abs(a - b).max() > 0.6 else 0)
"""


def timed(command: list[str]) -> tuple[float, float, float]:
    """Run a command, its output thrown away; return wall and processor seconds and its peak memory in MB."""
    begin = time.perf_counter()
    process = os.posix_spawnp(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    wall, used = time.perf_counter() - begin, usage.ru_utime + usage.ru_stime
    return wall, used, usage.ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)


if __name__ == "__main__":
    main()
