"""F5, F8, F9: kill -9, full disks, Ctrl-C and closed pipes, sent to real processes (docs/reliability.md)."""

import contextlib
import io
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from imgtool.cli import interruptions, main, messages
from imgtool.image import encode
from locations import IMGTOOL, SAMPLES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals, limits and devices")


def tree(folder):
    """Path -> content of every file below a folder, temporary ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


# F5


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A folder of images that are read fast, of which filters write 3 MB each."""
    folder = tmp_path_factory.mktemp("numbers")
    for index in range(12):
        image = np.random.default_rng(index).integers(0, 256, (600, 600), dtype=np.uint8)
        (folder / f"{index:02}.pgm").write_bytes(encode(image, "pgm"))
    return folder


def files(folder):
    """What is there, without a look into it: a file that is written anew is another one."""
    return {(each.name, each.inode()) for each in os.scandir(folder)} if folder.exists() else set()


def test_F5_kill_at_30_moments_leaves_each_file_as_it_was_or_whole(numbers, tmp_path, imgtool):
    commands, whole, seconds = [], [], []
    for kernel in ("box", "sharpen"):
        options = ["--kernel", kernel, "--range", "raw", "--force", "-q", "-j", "2"]
        begin = time.monotonic()
        assert imgtool("filter", *options, "-o", str(tmp_path / kernel), str(numbers)).returncode == 0
        seconds.append(time.monotonic() - begin)
        whole.append(tree(tmp_path / kernel))
        commands.append([*IMGTOOL, "filter", *options, "-o", str(tmp_path / "out"), str(numbers)])
    choose = random.Random(5)
    changed, before = 0, {}
    for turn in range(30):
        untouched = files(tmp_path / "out")
        process = subprocess.Popen(commands[turn % 2])
        while turn % 3 and files(tmp_path / "out") == untouched and process.poll() is None:
            time.sleep(0.001)  # two of three kills come while it writes, however long it takes to start
        time.sleep(choose.uniform(0, 0.5 if turn % 3 else 1) * min(seconds))
        process.kill()
        process.wait()
        after = tree(tmp_path / "out")
        changed += after != before
        before = after
        for name, content in after.items():
            assert name.endswith(".tmp") or content in (whole[0][name], whole[1][name]), f"{name} after kill {turn}"
    assert changed > 5  # or the kills did not come while files were written
    subprocess.run(commands[0], check=True)
    assert tree(tmp_path / "out") == whole[0]


def test_F5_what_a_killed_process_left_is_swept_also_when_there_is_nothing_to_write(numbers, tmp_path, imgtool):
    options = ["filter", "--kernel", "box", "-q", "-o", str(tmp_path), str(numbers)]
    assert imgtool(*options).returncode == 0
    left = tmp_path / ".imgtool-0123456789abcdef.tmp"
    left.write_bytes(b"half")
    assert imgtool(*options, "--skip-existing").returncode == 0
    assert not left.exists()


def limited():
    """Options of a process that can write no file over 1024 bytes; Python would cut its own bytecode without a word."""

    def limit():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    return {"preexec_fn": limit, "env": {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}}


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp", "jp2", "ppm", "pam", "pfm", "npy"])
def test_F5_file_size_limit_leaves_the_old_file(tmp_path, suffix, imgtool):
    out = tmp_path / f"out.{suffix}"
    out.write_bytes(b"old")
    depth = ["--depth", "float"] if suffix == "pfm" else []

    command = ["filter", "--kernel", "box", *depth, "--force", "-o", str(out), str(SAMPLES / "cat.jpg")]
    done = imgtool(*command, **limited())
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
    assert b"file too large" in done.stderr
    assert tree(tmp_path) == {out.name: b"old"}


@pytest.mark.parametrize("suffix", ["npz", "npy", "csv", "jsonl"])
def test_F5_file_size_limit_leaves_the_old_feature_file(tmp_path, suffix, imgtool):
    out = tmp_path / f"out.{suffix}"
    out.write_bytes(b"old")

    done = imgtool("gist", "--force", "-o", str(out), str(SAMPLES / "cat.jpg"), **limited())
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
    assert tree(tmp_path) == {out.name: b"old"}


FULL = [  # command, and the file or folder that cannot be written
    ("train textures --model two-layer --epochs 1 -q -o {out}", "model"),
    ("models export lenet -q -o {out}", "model"),
    ("compare textures --model two-layer --epochs 1 -q --report {out}", "report.html"),
    ("evaluate textures --model lenet -q --report {out}", "report.html"),
    ("compare textures --model two-layer --epochs 1 -q --keep {out}", "kept"),
    ("features convert {things}/hog.npz -o {out}", "hog.csv"),
    ("features merge {things}/hog.npz -o {out}", "hog.npy"),
    ("features search {things}/hog.npz --query camera.png --show {out}", "sheet.png"),
    ("features fit --dictionary 8 --samples 200 -q camera.png -o {out}", "atoms.safetensors"),
    ("hog camera.png -o {out}", "new.npz"),
    ("gist camera.png -o {things}/tiny.csv --force --visualize {out}", "gist.png"),
    ("sift --match coins.png camera.png --visualize {out}", "matches.png"),
]


@pytest.mark.parametrize(("line", "name"), FULL, ids=[line.split(" -")[0] for line, _ in FULL])
def test_F5_file_size_limit_names_the_output_and_leaves_nothing_of_it(tmp_path, line, name, things, imgtool):
    out = tmp_path / "new" / name
    done = imgtool(*line.format(out=out, things=things).split(), cwd=SAMPLES, **limited())
    assert done.returncode == 1, done.stderr
    assert re.search(rf"{re.escape(str(out))}\S*: cannot be written: file too large", done.stderr.decode()), done.stderr
    assert b"internal" not in done.stderr
    assert tree(tmp_path) == {}
    assert not (tmp_path / "new" / "model").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "line",
    ["filter --kernel box camera.png", "filter --kernel box camera.png --to png -o /dev/full", "hog camera.png",
     "info camera.png", "--help"],
)  # fmt: skip
def test_F5_full_disk_is_one_line(line):
    with open("/dev/full", "wb") as full:
        command = [*IMGTOOL, *line.split()]
        done = subprocess.run(command, cwd=SAMPLES, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"no space left" in done.stderr
    assert Path("/dev/full").is_char_device()


# F8


BATCH = ["filter", "--kernel", "gaussian", "--sigma", "9", "-j", "4", "textures", "-o"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, imgtool):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert imgtool(*BATCH, str(folder), cwd=SAMPLES).returncode == 0
    return tree(folder)


def interrupt(process):
    """Send Ctrl-C; return exit status, standard error, and the seconds until the end."""
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors, time.monotonic() - begin


def before_imgtool(errors):
    """Tell whether Python itself answered, while it was starting, before imgtool's first line."""
    return errors != b"" and b"imgtool/cli" not in errors and b"imgtool: " not in errors


def finishes(imgtool, folder, expected):
    done = imgtool(*BATCH, str(folder), "--skip-existing", cwd=SAMPLES)
    assert (done.returncode, done.stderr) == (0, b"")
    assert tree(folder) == expected


@pytest.mark.parametrize("results", [1, 5, 10, 20, 30, 40])
def test_F8_interrupted_at_work(tmp_path, undisturbed, results, imgtool, assert_within):
    process = subprocess.Popen([*IMGTOOL, *BATCH, str(tmp_path)], cwd=SAMPLES, stderr=subprocess.PIPE)
    while len(list(tmp_path.rglob("*.png"))) < results:
        time.sleep(0.005)
    status, errors, seconds = interrupt(process)
    left = tree(tmp_path)
    assert left.items() <= undisturbed.items()  # no partial file, no temporary file
    assert status == 130 or (status == 0 and left == undisturbed)
    assert errors == b""
    assert_within(seconds, 1)
    finishes(imgtool, tmp_path, undisturbed)


@pytest.mark.parametrize("delay", [0.02, 0.06, 0.12, 0.25])
def test_F8_interrupted_while_starting(tmp_path, undisturbed, delay, imgtool, assert_within):
    process = subprocess.Popen([*IMGTOOL, *BATCH, str(tmp_path)], cwd=SAMPLES, stderr=subprocess.PIPE)
    time.sleep(delay)
    status, errors, seconds = interrupt(process)
    python_answers = before_imgtool(errors)
    assert status in (130, -signal.SIGINT) or python_answers or tree(tmp_path) == undisturbed
    assert errors == b"" or python_answers
    assert_within(seconds, 1)
    assert tree(tmp_path).items() <= undisturbed.items()
    finishes(imgtool, tmp_path, undisturbed)


@pytest.mark.parametrize(
    "answer", ["raise ImportError('as NumPy puts it')", "time.sleep(60)"], ids=["another error", "does not notice"]
)
def test_F8_interrupted_in_an_import_that_takes_it_for_something_else(tmp_path, answer, assert_within):
    (tmp_path / "numpy.py").write_text(
        f"import time\nprint('here', flush=True)\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    {answer}\n"
    )
    known = os.pathsep.join([str(tmp_path), str(SAMPLES.parent), os.environ.get("PYTHONPATH", "")])
    command = [*IMGTOOL, "filter", "--kernel", "box", "camera.png", "-o", str(tmp_path / "out.png")]
    process = subprocess.Popen(
        command, cwd=SAMPLES, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": known}
    )
    assert process.stdout.readline() == b"here\n"
    status, errors, seconds = interrupt(process)
    assert (status, errors) == (130, b"")
    assert_within(seconds, 1)


def test_F8_interrupted_in_long_work_of_a_library(tmp_path, assert_within):
    image = np.random.default_rng(0).random((1900, 1900), np.float32)  # ten seconds' work for SciPy
    (tmp_path / "in.npy").write_bytes(encode(image, "npy"))
    command = [*IMGTOOL, "filter", "--kernel", "median", "--size", "15", "in.npy", "-o", "out.npy"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
    time.sleep(1.5)
    assert process.poll() is None
    status, errors, seconds = interrupt(process)
    assert (status, errors) == (130, b"")
    assert_within(seconds, 1)
    assert os.listdir(tmp_path) == ["in.npy"]


def test_F8_isolated_workers_end_too(tmp_path, undisturbed, imgtool):
    process = subprocess.Popen([*IMGTOOL, *BATCH, str(tmp_path), "--isolate"], cwd=SAMPLES, stderr=subprocess.PIPE)
    while not list(tmp_path.rglob("*.png")):
        time.sleep(0.005)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = children.read_text().split() if children.exists() else []
    status, errors, _ = interrupt(process)
    assert status == 130 or tree(tmp_path) == undisturbed
    assert errors == b""
    for _ in range(100):
        alive = [pid for pid in workers if _command_of(pid)]
        if not alive:
            break
        time.sleep(0.05)
    assert not alive
    finishes(imgtool, tmp_path, undisturbed)


def test_F8_progress_is_taken_off_the_terminal(tmp_path):
    import pty

    child, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(
        [*IMGTOOL, "hog", *4000 * ["camera.png"]],
        cwd=SAMPLES,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env=environment,
    )
    os.close(terminal)
    seen = b""
    while b"\x1b[?25l" not in seen:  # the cursor is hidden while a bar is drawn
        seen += os.read(child, 1000)
    while not re.search(rb"\d images/s .*\d:\d\d", seen):  # how fast it goes, and the time that is left
        seen += os.read(child, 1000)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # Linux says so when the other end is closed
        while data := os.read(child, 1000):
            seen += data
    os.close(child)
    assert process.wait(60) == 130
    assert seen.endswith(b"\x1b[?25h")


def _command_of(pid):
    """The command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


# F9


@pytest.fixture(scope="module")
def things(tmp_path_factory, imgtool):
    """A feature file and a data set of three classes."""
    folder = tmp_path_factory.mktemp("things")
    assert imgtool("hog", "-q", "-o", str(folder / "hog.npz"), str(SAMPLES / "camera.png")).returncode == 0
    assert imgtool(
        "train", "textures", "--model", "hog-svm", "-q", "-o", str(folder / "model"), cwd=SAMPLES
    ).returncode in (0, 2)
    return folder


WRITERS = [
    "filter --kernel box coins.png",
    "filter --list",
    "gradient coins.png",
    "convert coins.png",
    "info coins.png cat.jpg",
    "info --format csv coins.png",
    "info --format tsv coins.png",
    "info --format table coins.png",
    "hog camera.png coins.png",
    "hog --visualize - -o {things}/out.npz camera.png",
    "gist camera.png",
    "sift camera.png",
    "sift --values --step 32 camera.png",
    "fisher camera.png",
    "features info {things}/hog.npz",
    "classify -q cat.jpg",
    "evaluate -q --model {things}/model textures",
    "compare -q --model hog-svm textures",
    "models list",
    "models show alexnet",
    "models layers lenet",
    "models verify alexnet",
    "doctor",
    "--help",
    "--version",
    "filter --help",
]


@pytest.mark.parametrize("line", WRITERS)
def test_F9_closed_pipe_ends_quietly_as_sigpipe(things, line):
    if line.startswith(("evaluate", "compare")):
        pytest.importorskip("sklearn", reason="training needs the extra 'classic'")
    (things / "out.npz").unlink(missing_ok=True)
    assert _into_closed_pipe([*IMGTOOL, *line.format(things=things).split()]) == (-signal.SIGPIPE, b"")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_F9_completion_into_a_closed_pipe(shell):
    current = "fi" if shell == "fish" else "1"
    words = {"_IMGTOOL_COMPLETE": f"{shell}_complete", "COMP_WORDS": "imgtool fi", "COMP_CWORD": current}
    assert _into_closed_pipe(IMGTOOL, env={**os.environ, **words}) == (-signal.SIGPIPE, b"")
    assert _into_closed_pipe(IMGTOOL, env={**os.environ, "_IMGTOOL_COMPLETE": f"{shell}_source"}) == (
        -signal.SIGPIPE,
        b"",
    )


def _into_closed_pipe(command, **options):
    """Run a command whose reader is gone before it begins; return exit status and standard error."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command, cwd=SAMPLES, stdout=writer, stderr=subprocess.PIPE, timeout=120, check=False, **options
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr


def test_F9_head_gets_what_it_asks_for():
    line = " ".join(IMGTOOL) + " hog camera.png coins.png | head -c 10; exit ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, cwd=SAMPLES, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (141, b'{"path": "', b"")


def test_what_is_left_is_the_last_that_is_said(monkeypatch):
    """Other threads are at work until the process ends, and tell of it."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(interruptions, "interruption_lines", lambda: ["2 of 3 models are done"])
    main.say_what_is_left()
    messages.note("model 3 of 3: measuring times")
    sys.stderr.close()
    assert stream.getvalue() == "imgtool: 2 of 3 models are done\n"
