"""Real processes: pipes, terminals, several jobs."""

import json
import os
import subprocess
import sys

import pytest

from locations import IMGTOOL, SAMPLES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells, signals and devices")


def shell(line, **options):
    line = line.replace("imgtool", " ".join(IMGTOOL))
    return subprocess.run(["bash", "-c", line], capture_output=True, cwd=SAMPLES, timeout=60, check=False, **options)


def test_images_pass_through_pipes():
    done = shell(
        "set -o pipefail; cat astronaut.jpg | imgtool filter --kernel gaussian --sigma 2 | imgtool gradient -"
        " | imgtool info --json -"
    )
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert (row["path"], row["size"], row["color"]) == ("-", "256x256", "gray")


def test_head_takes_the_first_row():
    done = shell("imgtool hog camera.png coins.png | head -1")
    assert json.loads(done.stdout)["path"] == "camera.png"


def test_labels_of_a_folder_can_be_sorted():
    done = shell("imgtool classify -q --model alexnet --format tsv textures/brick | sort -t$'\\t' -k5 -g | tail -1")
    path, model, classes, _, score, sure = done.stdout.decode().rstrip("\n").split("\t")
    assert (model, classes) == ("alexnet", "10")
    assert path.startswith("textures/brick/")
    assert sure == ("true" if float(score) >= 0.5 else "false")


def test_device_that_is_not_there_is_one_line_and_status_2():
    done = shell("imgtool classify --device cuda:99 cat.jpg")
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1


def test_names_are_made_up_on_a_terminal(tmp_path):
    import pty

    child, terminal = pty.openpty()
    command = [*IMGTOOL, "filter", "--kernel", "box", str(SAMPLES / "camera.png")]
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


TREES = [
    ["filter", "--kernel", "log"],
    ["filter", "--kernel", "gaussian", "--sigma", "3", "--range", "raw"],
    ["gradient", "--show", "picture"],
    ["convert", "--size", "50x40", "--to", "jpg"],
]
ROWS = [["hog"], ["gist"], ["sift"], ["info", "--histogram"], ["classify"], ["fisher"], ["embed", "--model", "lenet"]]
BRICKS = [f"textures/brick/brick_{number:02}.png" for number in range(3)]  # for Fisher vectors, which take long


@pytest.mark.parametrize("command", TREES, ids=" ".join)
def test_F15_jobs_and_runs_change_no_byte_of_images(tmp_path, command):
    trees = []
    for jobs, folder in (("1", "a"), ("8", "b"), ("8", "c")):
        run([*command, "-q", "-j", jobs, "-o", str(tmp_path / folder), "textures"])
        files = [path for path in (tmp_path / folder).rglob("*") if path.is_file()]
        trees.append({path.relative_to(tmp_path / folder): path.read_bytes() for path in files})
    assert len(trees[0]) == 48
    assert trees[0] == trees[1] == trees[2]


@pytest.mark.parametrize("command", ROWS, ids=" ".join)
def test_F15_jobs_and_runs_change_no_byte_of_rows(command):
    images = BRICKS if command == ["fisher"] else ["textures/brick"]
    rows = [run([*command, "-q", "-j", jobs, *images, "cat.jpg"]) for jobs in ("1", "8", "8")]
    assert rows[0].count(b"\n") == (4 if command == ["fisher"] else 17)
    assert rows[0] == rows[1] == rows[2]


@pytest.mark.parametrize("command", [["sift", "--step", "16"], ["hog"], ["fisher"], ["embed"]], ids=" ".join)
def test_F15_jobs_and_runs_change_no_byte_of_feature_files(tmp_path, command):
    images = BRICKS if command == ["fisher"] else ["textures/brick"]
    for jobs, name in (("1", "a.npz"), ("8", "b.npz"), ("8", "c.npz")):
        run([*command, "-q", "-j", jobs, "-o", str(tmp_path / name), *images])
    first, *others = ((tmp_path / name).read_bytes() for name in ("a.npz", "b.npz", "c.npz"))
    assert others == [first, first]


def run(arguments):
    """Run imgtool on the sample images; return what it prints."""
    command = [*IMGTOOL, *arguments]
    return subprocess.run(command, cwd=SAMPLES, stdout=subprocess.PIPE, timeout=300, check=True).stdout
