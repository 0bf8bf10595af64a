"""C2, C6: comparisons that are killed and interrupted, as real processes; what is told of them while they go on."""

import json
import random
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
from terminals import on_a_terminal

from imgtool.cli.comparison_progress import place_text
from imgtool.events import Turn
from locations import IMGTOOL, SAMPLES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and terminals")
TEXTURES = str(SAMPLES / "textures")
TIMES = ("train_seconds", "ms_per_image", "ms_per_image_p95", "images_per_second", "batch", "peak_bytes")
MODELS = ["--model", "two-layer", "--model", "hog-svm", "--model", "pixels-svm"]
COMMAND = ["compare", TEXTURES, *MODELS, "--epochs", "2", "--format", "json"]


def without_times(text):
    """The record that a comparison printed, but for its times."""
    record = json.loads(text)
    return {**record, "models": [{k: v for k, v in row.items() if k not in TIMES} for row in record["models"]]}


@pytest.fixture(scope="module")
def undisturbed(imgtool):
    """What an undisturbed comparison prints, and how long it takes."""
    pytest.importorskip("sklearn", reason="the extra 'classic' is not installed")
    begin = time.monotonic()
    done = imgtool(*COMMAND, "-q")
    assert (done.returncode, done.stderr) == (0, b"")
    return without_times(done.stdout), time.monotonic() - begin


def test_C2_killed_at_5_moments_and_resumed_the_table_is_the_same(undisturbed, tmp_path, imgtool):
    expected, seconds = undisturbed
    choose, work = random.Random(2), tmp_path / "work"
    for turn in range(5):
        process = subprocess.Popen(
            [*IMGTOOL, *COMMAND, "-q", "--work", str(work), "--resume"], stdout=subprocess.DEVNULL
        )
        while turn % 2 and not list(work.glob("*.model")) and process.poll() is None:
            time.sleep(0.002)  # some of the kills come while models are stored
        time.sleep(choose.uniform(0, 0.3 if turn % 2 else 1) * seconds)
        process.kill()
        process.wait()
    done = imgtool(*COMMAND, "-q", "--work", str(work), "--resume")
    assert (done.returncode, done.stderr) == (0, b"")
    assert without_times(done.stdout) == expected
    assert not [path for path in work.rglob("*") if path.suffix in (".tmp", ".checkpoint") or ".part." in path.name]


def interrupted_at(text, command):
    """Run a command, with Ctrl-C at a text on standard error; return what stands there."""
    process = subprocess.Popen([*IMGTOOL, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            process.send_signal(signal.SIGINT)
            break
    lines += process.stderr.readlines()
    assert process.wait(60) == 130, lines
    return lines


STAGES = {  # a line of -v at which Ctrl-C comes -> how many models may be done by then
    "device cpu": (0, 0),
    "looking at images": (0, 0),
    "two-layer: epoch 1/2": (0, 1),
    "hog-svm: describing images": (1, 2),
    "pixels-svm: labeling images": (2, 3),
}


@pytest.mark.parametrize("stage", STAGES)
def test_C6_ctrl_c_says_what_is_done_and_how_to_go_on(stage, undisturbed, tmp_path):
    work = tmp_path / "a folder"
    command = [*COMMAND, "-v", "--work", str(work)]
    lines = interrupted_at(stage, command)
    fewest, most = STAGES[stage]
    found = re.fullmatch(
        rf"imgtool: {work}: (nothing is|(\d) of 3 models are) done; to go on: (imgtool .*)\n", lines[-1]
    )
    assert found, lines[-1]
    assert fewest <= int(found[2] or 0) <= most
    words = shlex.split(found[3])
    assert words == ["imgtool", *command, "--resume"]
    done = subprocess.run([*IMGTOOL, *words[1:]], capture_output=True, text=True, check=True)
    assert without_times(done.stdout) == undisturbed[0]
    fitted = {line.split(":")[0] for line in lines if ": top-1 error" in line}
    assert not [line for line in done.stderr.splitlines() if any(f"{name}: describing" in line for name in fitted)]


def test_C6_a_network_goes_on_after_the_epochs_that_are_done(tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    command = ["compare", TEXTURES, "--model", "lenet", "--epochs", "60", "-v", "--work", str(tmp_path / "work")]
    last = interrupted_at("lenet: epoch  2/60", command)[-1]
    found = re.search(
        r"work: 0 of 1 models are done; of the next one (\d+) of 60 epochs are done; to go on: imgtool", last
    )
    assert found, last
    done = subprocess.run([*IMGTOOL, *command, "--resume"], capture_output=True, text=True, check=True)
    epochs = [int(epoch) for epoch in re.findall(r"lenet: epoch +(\d+)/60", done.stderr)]
    assert epochs == list(range(int(found[1]) + 1, 61))


@pytest.mark.parametrize(
    ("more", "part"),
    [(["--folds", "3"], "two-layer, fold 2 of 3"), (["--train-sizes", "2,5"], "two-layer, 5 images a class")],
    ids=["folds", "sizes"],
)
def test_C6_of_several_trainings_the_one_under_way_is_told(more, part, tmp_path):
    command = ["compare", TEXTURES, "--model", "two-layer", "--epochs", "300", "-v", "--work", str(tmp_path / "work")]
    place = part.partition(", ")[2]
    status, seen = on_a_terminal([*command, *more], interrupt_at=f"{place}, ".encode())
    assert status == 130
    done = "0 of 1" if "--folds" in more else "1 of 1"
    assert f"work: {done} models are done ({part}, was under way); to go on: imgtool" in seen.rstrip().splitlines()[-1]


def test_C6_without_a_folder_ctrl_c_says_that_one_would_have_kept_it(undisturbed):
    status, seen = on_a_terminal([*COMMAND, "-v"], interrupt_at=b"hog-svm: describing")
    assert status == 130
    last = seen.rstrip().splitlines()[-1]
    assert last.endswith("imgtool: 1 of 3 models are done, and nothing is kept; --work FOLDER keeps what is done")


def test_each_row_is_told_at_once_on_a_terminal_and_with_v(undisturbed, imgtool):
    expected = {row["model"]: 100 * row["top1_error"] for row in undisturbed[0]["models"]}
    _, seen = on_a_terminal(COMMAND)
    for told in (seen, imgtool(*COMMAND, "-v").stderr.decode()):
        rows = re.findall(r"(?:^|\n|K)([a-z-]+): top-1 error ([\d.]+) % \([\d.]+ to [\d.]+\), (\d) of 3 models", told)
        assert [(name, number) for name, _, number in rows] == [
            ("two-layer", "1"),
            ("hog-svm", "2"),
            ("pixels-svm", "3"),
        ]
        assert {name: float(error) for name, error, _ in rows} == pytest.approx(expected, abs=0.05)
    assert "model 2 of 3, hog-svm: describing images" in told
    assert "top-1 error" not in imgtool(*COMMAND).stderr.decode()


@pytest.mark.parametrize(
    ("turn", "text"),
    [
        (Turn(1, 1, "a"), ""),
        (Turn(0, 4, "a, b"), ""),
        (Turn(2, 3, "a"), "model 2 of 3, "),
        (Turn(2, 3, "a", "fold 1 of 5"), "model 2 of 3, fold 1 of 5, "),
        (Turn(3, 3, "a", "fold 2 of 5", 130.0), "model 3 of 3, fold 2 of 5, about 2 min left for all, "),
        (Turn(1, 3, "a", "", 130.0, is_guess=True), "model 1 of 3, roughly 2 min left for all, "),
        (Turn(1, 3, "a", "", 9.0), "model 1 of 3, "),
    ],
)
def test_the_place_in_a_comparison_and_the_time_that_all_takes_stand_before_the_step(turn, text):
    assert place_text(turn) == text


def test_smaller_trainings_are_a_table_below(run):
    line = ["compare", TEXTURES, "--model", "two-layer", "--epochs", "1", "--train-sizes", "2,5", "-q"]
    shown = {format: run(*line, "--format", format).out for format in ("table", "markdown", "csv", "json")}
    rows = json.loads(shown["json"])["train_sizes"]
    assert [(row["per_class"], row["images"]) for row in rows] == [(2, 6), (5, 15)]
    cell = f"{100 * rows[1]['error']:.1f}% ({100 * rows[1]['interval'][0]:.0f}-{100 * rows[1]['interval'][1]:.0f})"
    assert re.search(r"\ntop-1 error +2 a class +5 a class\ntwo-layer .*" + re.escape(cell) + "\n$", shown["table"])
    assert "\n| top-1 error | 2 a class | 5 a class |\n| --- | --: | --: |\n| two-layer | " in shown["markdown"]
    assert "a class" not in shown["csv"]


def test_wrong_usage_of_what_runs_is_status_2(run, tmp_path):
    for wrong, says in (
        (["--resume"], "--resume needs --work, the folder"),
        (["--folds", "1"], "--folds"),
        (["--folds", "3", "--test-share", "0.5"], "exclude each other"),
        (["--folds", "3", "--train-sizes", "5"], "--train-sizes needs one held-out part, not --folds"),
        (["--train-sizes", "0"], "--train-sizes"),
    ):
        done = run("compare", TEXTURES, "--model", "two-layer", *wrong)
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert says in done.err


def test_F25_what_is_said_of_a_folder_that_holds_predictions_can_be_followed(run, tmp_path):
    line = ["compare", TEXTURES, "--model", "two-layer", "--epochs", "1", "-q", "--work", tmp_path / "work"]
    assert run(*line).status == 0
    done = run(*line)
    assert done.err == (
        f"imgtool: {tmp_path}/work: holds stored predictions; --resume goes on from it, --force begins anew\n"
    )
    assert run(*line, "--resume").status == 0
    other = run(*line, "--resume", "--seed", "5")
    differs = "holds predictions of another comparison: seed 0 there, 5 here; --force begins anew"
    assert (other.status, other.err) == (1, f"imgtool: {tmp_path}/work: {differs}\n")
    assert run(*line, "--seed", "5", "--force").status == 0


def test_a_disk_that_is_full_ends_a_stored_comparison_in_a_line_that_says_how_to_go_on(tmp_path, imgtool):
    def limit():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    line = ["compare", TEXTURES, "--model", "two-layer", "--epochs", "1", "-q", "--work", tmp_path / "work"]
    done = imgtool(*line, preexec_fn=limit)
    assert done.returncode == 1
    assert re.fullmatch(rb"imgtool: \S+: cannot be written: file too large; --resume goes on\n", done.stderr), (
        done.stderr
    )
    assert imgtool(*line, "--resume").returncode == 0
