"""Real processes: pipes, full disks, interruptions."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "sample_images"
IMGTOOL = f"{sys.executable} -m imgtool"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells, signals and devices")


def shell(line, **options):
    line = line.replace("imgtool", IMGTOOL)
    return subprocess.run(["bash", "-c", line], capture_output=True, cwd=SAMPLES, timeout=60, check=False, **options)


def test_images_pass_through_pipes():
    done = shell(
        "set -o pipefail; cat astronaut.jpg | imgtool filter --kernel gaussian --sigma 2 | imgtool gradient -"
        " | imgtool info --json -"
    )
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert (row["path"], row["size"], row["color"]) == ("-", "256x256", "gray")


def test_closed_pipe_ends_quietly_as_sigpipe():
    lines = (
        "imgtool hog camera.png coins.png | head -c 10",
        "imgtool filter --kernel box coins.png | head -c 10",
        "imgtool info --format csv textures | head -c 10",
    )
    for line in lines:
        done = shell(f"{line}; echo ${{PIPESTATUS[0]}} >&2")
        assert done.stderr.decode().splitlines()[-1:] in (["141"], ["0"]), done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert shell("imgtool hog camera.png coins.png | head -c 10; exit ${PIPESTATUS[0]}").returncode == 141


def test_head_takes_the_first_row():
    done = shell("imgtool hog camera.png coins.png | head -1")
    assert json.loads(done.stdout)["path"] == "camera.png"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "line", ["imgtool filter --kernel sobel-x camera.png", "imgtool hog camera.png", "imgtool --help"]
)
def test_full_disk_is_one_line(line):
    done = shell(f"{line} -q > /dev/full" if "help" not in line else f"{line} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1
    assert b"no space left" in done.stderr


def test_write_error_leaves_the_old_file(tmp_path):
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    done = shell(f"ulimit -f 1; imgtool filter --kernel box coins.png --force -o {out}")
    assert done.returncode in (1, 128 + signal.SIGXFSZ, -signal.SIGXFSZ)
    assert out.read_bytes() == b"old"


@pytest.mark.parametrize("delay", [0.02, 0.1, 0.2, 0.35, 0.5])
def test_interruption_ends_within_a_second_with_status_130_and_no_partial_file(tmp_path, delay):
    arguments = [sys.executable, "-m", "imgtool", "filter", "--kernel", "gaussian", "--sigma", "9"]
    arguments += ["textures", "-o", str(tmp_path), "-j", "2"]
    process = subprocess.Popen(arguments, cwd=SAMPLES, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - begin < 5  # a second on a quiet machine
    python_answers = b"Traceback" in errors and b"imgtool" not in errors  # before imgtool's first line
    assert process.returncode in (0, 130, -signal.SIGINT) or python_answers
    assert b"Traceback" not in errors or python_answers
    again = shell(f"imgtool filter --kernel gaussian --sigma 9 textures -o {tmp_path} --skip-existing")
    assert again.returncode == 0
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == 48
    assert all(path.read_bytes().endswith(b"IEND\xaeB`\x82") for path in files)


def test_kill_leaves_no_partial_file(tmp_path):
    arguments = [sys.executable, "-m", "imgtool", "filter", "--kernel", "box", "textures", "-o", str(tmp_path)]
    for delay in (0.3, 0.4, 0.5):
        process = subprocess.Popen(arguments, cwd=SAMPLES, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        process.wait()
        assert all(path.read_bytes().endswith(b"IEND\xaeB`\x82") for path in tmp_path.rglob("*.png"))
    assert shell(f"imgtool filter --kernel box textures -o {tmp_path} --skip-existing").returncode == 0
    assert not list(tmp_path.rglob("*.tmp"))


def test_jobs_change_nothing(tmp_path):
    for jobs in (1, 8):
        shell(f"imgtool filter --kernel log textures -o {tmp_path}/{jobs} -j {jobs} -q")
    for path in (tmp_path / "1").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "8" / path.relative_to(tmp_path / "1")).read_bytes()


def test_labels_of_a_folder_can_be_sorted():
    done = shell("imgtool classify -q --model alexnet --format tsv textures/brick | sort -t$'\\t' -k5 -g | tail -1")
    path, model, classes, label, score = done.stdout.decode().rstrip("\n").split("\t")
    assert (model, classes) == ("alexnet", "10")
    assert path.startswith("textures/brick/")
    assert (float(score) >= 0.5) == (label != "unsure")


def test_device_that_is_not_there_is_one_line_and_status_2():
    done = shell("imgtool classify --device cuda:99 cat.jpg")
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1


def test_names_are_made_up_on_a_terminal(tmp_path):
    import pty

    child, terminal = pty.openpty()
    command = [sys.executable, "-m", "imgtool", "filter", "--kernel", "box", str(SAMPLES / "camera.png")]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal)
    assert process.wait(30) == 0
    os.close(terminal)
    assert os.read(child, 1000).decode().strip() == "camera.box.png"
    os.close(child)
    assert (tmp_path / "camera.box.png").exists()


def test_warnings_of_c_libraries_are_not_passed_on(tmp_path):
    """LibTIFF prints to descriptor 2 about a strip whose LZW codes make no sense."""
    import cv2
    import numpy as np

    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = cv2.imencode(".tif", image, [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes()
    (tmp_path / "odd.tif").write_bytes(data[:100] + bytes(200) + data[300:])
    loud = shell(f"IMGTOOL_TRACEBACK=1 imgtool info {tmp_path}/odd.tif")
    done = shell(f"imgtool info {tmp_path}/odd.tif")
    assert loud.stderr.count(b"\n") > 1
    assert done.stderr.count(b"\n") == 1
    assert done.returncode == 1
