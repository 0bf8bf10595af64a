"""Wall time and memory of whole commands, as a user's shell sees them.

    python benchmarks/startup.py [RUNS]

Each command runs as a process of its own, the commands taking turns; the table gives the median and the least of the
runs (11 unless told), after one that does not count, processor time, and for commands that have a peer the median over
the runs of the ratio to the peer's run of the same turn. libvips and ImageMagick are measured where they are installed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import sysconfig
import tempfile
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

SAMPLES = Path(__file__).parents[1] / "sample_images"
CAT = str(SAMPLES / "cat.jpg")
SCRIPT = Path(sysconfig.get_path("scripts")) / "imgtool"
MODULE = (sys.executable, "-m", "imgtool")
IMGTOOL = (str(SCRIPT),) if SCRIPT.exists() else MODULE
BLUR = ("filter", "--kernel", "gaussian", "--sigma", "2", "{in}", "-q", "-o", "{out}")
BARE = (
    "import cv2; image = cv2.imread('{in}', cv2.IMREAD_UNCHANGED);"
    "cv2.imwrite('{out}', cv2.GaussianBlur(image, (0, 0), 2, borderType=cv2.BORDER_REFLECT))"
)
CONVERT = next((name for name in ("magick", "convert-im6.q16", "convert") if shutil.which(name)), "convert")
IMPORT_CLICK, OPENCV = "python -c 'import click'", "bare OpenCV script, GaussianBlur sigma 2"
ALEXNET = "imgtool classify --model alexnet cat.jpg"
VIPS, MAGICK = "vips gaussblur 2", "ImageMagick convert -blur 0x2"


class Command(NamedTuple):
    """What is run ({in}: a PNG of 512x512, {out}: a new PNG), its peer, and how often of the peer it may take."""

    words: tuple[str, ...]
    peer: str | None = None
    bar: float | None = None


COMMANDS = {
    "python -c pass": Command((sys.executable, "-c", "pass")),
    IMPORT_CLICK: Command((sys.executable, "-c", "import click")),
    "imgtool --help": Command((*IMGTOOL, "--help"), IMPORT_CLICK, 1.3),
    "python -m imgtool --help": Command((*MODULE, "--help"), IMPORT_CLICK, 1.3),
    OPENCV: Command((sys.executable, "-c", BARE)),
    "imgtool filter --kernel gaussian --sigma 2": Command((*IMGTOOL, *BLUR), OPENCV, 1.2),
    "python -m imgtool filter (the same)": Command((*MODULE, *BLUR), OPENCV, 1.2),
    VIPS: Command(("vips", "gaussblur", "{in}", "{out}", "2")),
    "imgtool filter to vips": Command((*IMGTOOL, *BLUR), VIPS),
    MAGICK: Command((CONVERT, "{in}", "-blur", "0x2", "{out}")),
    "imgtool filter to ImageMagick": Command((*IMGTOOL, *BLUR), MAGICK),
    "imgtool hog cat.jpg": Command((*IMGTOOL, "hog", CAT)),
    "imgtool gist cat.jpg": Command((*IMGTOOL, "gist", CAT)),
    ALEXNET: Command((*IMGTOOL, "classify", "-q", "--model", "alexnet", CAT)),
    "imgtool classify cat.jpg": Command((*IMGTOOL, "classify", "-q", CAT), ALEXNET, 1.2),
    "imgtool classify --model sift-fv-svm cat.jpg": Command(
        (*IMGTOOL, "classify", "-q", "--model", "sift-fv-svm", CAT)
    ),
}


class Run(NamedTuple):
    """Wall and processor seconds of one run, and its peak memory in KB."""

    wall: float
    cpu: float
    peak: int


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    commands = {name: each for name, each in COMMANDS.items() if shutil.which(each.words[0])}
    done: dict[str, list[Run]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        source = picture(folder)
        for turn in range(runs + 1):
            for number, (name, command) in enumerate(commands.items()):
                places = {"{in}": source, "{out}": f"{folder}/{turn}-{number}.png"}
                run = timed([filled(word, places) for word in command.words])
                if turn:
                    done[name].append(run)
    print(f"{'command':<46} {'median ms':>9} {'least':>6} {'cpu ms':>6} {'MB':>4} {'ratio':>6} {'cpu':>5}  bar")
    for name, each in done.items():
        peer = commands[name].peer
        print(line(name, each, done.get(peer or ""), commands[name].bar))


def picture(folder: str) -> str:
    """Make the 512x512 PNG that is filtered."""
    import cv2

    image = cv2.imread(str(SAMPLES / "camera.png"), cv2.IMREAD_UNCHANGED)
    path = f"{folder}/in.png"
    cv2.imwrite(path, cv2.resize(image, (512, 512), interpolation=cv2.INTER_CUBIC))
    return path


def filled(word: str, places: dict[str, str]) -> str:
    """Put paths into a word of a command."""
    for name, path in places.items():
        word = word.replace(name, path)
    return word


def line(name: str, runs: list[Run], peer: list[Run] | None, bar: float | None) -> str:
    """Return a command's line of the table."""
    walls, cpus = [each.wall for each in runs], [each.cpu for each in runs]
    text = f"{name:<46} {1000 * statistics.median(walls):9.0f} {1000 * min(walls):6.0f}"
    text += f" {1000 * statistics.median(cpus):6.0f} {max(each.peak for each in runs) / 1024:4.0f}"
    if peer:
        ratio = statistics.median(one.wall / other.wall for one, other in zip(runs, peer, strict=True))
        cpu = statistics.median(one.cpu / other.cpu for one, other in zip(runs, peer, strict=True))
        text += f" {ratio:6.2f} {cpu:5.2f}  {bar or ''}"
    return text


def timed(command: list[str]) -> Run:
    """Run a command, its output thrown away, with bytecode kept as an installed program has it."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    begin = perf_counter()
    process = os.posix_spawnp(
        command[0], command, environment, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    return Run(perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


if __name__ == "__main__":
    main()
