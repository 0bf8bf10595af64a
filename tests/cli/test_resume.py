"""D1, D2: feature files that grow, are killed, interrupted and gone on with; memory (docs/reliability.md)."""

import hashlib
import os
import random
import signal
import struct
import subprocess
import sys
import time
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.datasets import feature_file
from imgtool.datasets.feature_file.journal import MAGIC, journal_record, records
from imgtool.datasets.feature_file.resumable import ResumableFile, companions
from imgtool.errors import OutputError
from imgtool.features.hog import hog
from imgtool.image import encode
from imgtool.image.read import read
from imgtool.image.resize import resize
from locations import IMGTOOL

COMMANDS = [
    ["hog", "-o", "out.npz"],
    ["hog", "-o", "out.npy", "--resize", "40x50"],
    ["gist", "--size", "32", "-o", "out.csv"],
    ["gist", "--size", "32", "-o", "out.jsonl"],
    ["embed", "--model", "lenet", "-o", "out.npz"],
    ["sift", "-o", "out.npz"],
    ["sift", "--sparse", "-o", "out.npz"],
    pytest.param(
        ["hog", "--variant", "uoctti", "-o", "out.parquet"],
        marks=pytest.mark.skipif(not find_spec("pyarrow"), reason="Parquet needs the extra 'parquet'"),
    ),
]


def make_images(folder, count, side=48):
    """Images in two class folders, with a broken one among them and one in which SIFT finds no keypoint."""
    rng = np.random.default_rng(0)
    for index in range(count):
        path = folder / f"c{index * 2 // count}" / f"{index:03}.pgm"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 256, (side, side), dtype=np.uint8) if index else np.zeros((side, side), np.uint8)
        path.write_bytes(encode(image, "pgm") if index != 2 else b"no image")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "in", 6)
    return tmp_path


def output_of(command):
    return Path(next(word for word in command if word.startswith("out.")))


def run(command, *more):
    return execute([*command, "in", "-j", "2", *more])


class Left(NamedTuple):
    """What there is when the last image is done, and what an undisturbed run then makes of it and says."""

    journal: bytes
    rows: bytes
    whole: bytes
    errors: str


def left_of(command, capsys):
    kept, finish = [], ResumableFile.finish

    def keep(growing):
        kept.extend(Path(name).read_bytes() for name in companions(growing.path))
        return finish(growing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResumableFile, "finish", keep)
        assert run(command) == 1
    output = output_of(command)
    assert os.listdir() == unordered("in", output.name)
    whole = output.read_bytes()
    output.unlink()
    return Left(*kept, whole, capsys.readouterr().err)


def leave(journal, rows, output="out.npz"):
    """Put there what a run left that did not end."""
    for name, content in zip(companions(output), (journal, rows), strict=True):
        Path(name).write_bytes(content)


class unordered:  # noqa: N801
    def __init__(self, *names):
        self.names = sorted(names)

    def __eq__(self, other):
        return sorted(other) == self.names


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_D1_resume_after_a_cut_anywhere_gives_the_same_file(command, folder, capsys):
    journal, rows, whole, errors = left_of(command, capsys)
    output = output_of(command)
    ends = [end for _, end in records_of(journal)]
    cuts = {0, 5, len(MAGIC), len(MAGIC) + 7, *ends, *(end + 1 for end in ends[:-1]), *(end - 1 for end in ends)}
    row_cuts = np.random.default_rng(0).integers(0, len(rows), 9).tolist()
    left = [(journal[:cut], rows) for cut in sorted(cuts)] + [(journal, rows[:cut]) for cut in (0, 1, *row_cuts)]
    for journal_left, rows_left in left:
        leave(journal_left, rows_left, str(output))
        assert run(command, "--resume") == 1
        assert output.read_bytes() == whole, f"cut at {len(journal_left)}, {len(rows_left)}"
        assert os.listdir() == unordered("in", output.name)
        assert capsys.readouterr().err == errors  # the broken image is named, whichever run met it
        output.unlink()


def records_of(content):
    Path("copy").write_bytes(content)
    found = list(records("copy", len(MAGIC)))
    Path("copy").unlink()
    return found


def test_D1_resume_reads_no_image_twice(folder, capsys):
    command = COMMANDS[0]
    journal, rows, whole, _ = left_of(command, capsys)
    ends = [end for _, end in records_of(journal)]
    leave(journal[: ends[4]], rows)  # the header, and four of six images
    for path in sorted(Path("in").rglob("*.pgm"))[:4]:
        path.write_bytes(b"was not read again")
    assert run(command, "--resume") == 1
    assert Path("out.npz").read_bytes() == whole


@pytest.mark.parametrize("more", ["--resume", "--force"])
def test_D1_a_file_that_was_named_when_its_run_was_killed_stays_whole(more, folder, capsys):
    journal, _, whole, _ = left_of(COMMANDS[0], capsys)
    leave(journal, whole)
    os.link("out.npz.rows", "out.npz")

    def killed(growing):
        assert Path("out.npz").read_bytes() == whole
        raise OutputError("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResumableFile, "finish", killed)
        assert run(COMMANDS[0], more) == 1
    assert Path("out.npz").read_bytes() == whole
    assert run(COMMANDS[0], "--resume") == 1
    assert os.listdir() == unordered("in", "out.npz")
    assert Path("out.npz").read_bytes() == whole


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
@pytest.mark.parametrize("command", COMMANDS[:1] + COMMANDS[3:5], ids=" ".join)
def test_D1_ten_kills_at_random_moments(command, tmp_path):
    make_images(tmp_path / "in", 3000 if command[0] == "hog" else 400, side=64)
    words = [*IMGTOOL, *command, "in", "-j", "2", "--resume"]
    begin = time.monotonic()
    assert subprocess.run(words, cwd=tmp_path, stderr=subprocess.DEVNULL, check=False).returncode == 1
    seconds = time.monotonic() - begin
    output = tmp_path / output_of(command)
    partial, rows = (Path(name) for name in companions(str(output)))
    whole, choose, grown = output.read_bytes(), random.Random(1), []
    output.unlink()
    for _ in range(10):
        process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.DEVNULL)
        time.sleep(choose.uniform(0.2, 1) * seconds)
        process.kill()
        process.wait()
        grown.append(rows.stat().st_size if rows.exists() else 0)
        if output.exists():
            assert output.read_bytes() == whole
            if choose.random() < 0.5:  # else go on from what there is, be it whole
                output.unlink()
    if not output.exists() or partial.exists():
        done = subprocess.run(words, cwd=tmp_path, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr.count(b"/002.pgm")) == (1, 1)
    assert output.read_bytes() == whole
    assert len(set(grown)) > 2  # or the kills did not come while it grew
    assert sorted(os.listdir(tmp_path)) == ["in", output.name]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_D1_interrupted_says_in_one_line_that_resume_goes_on(tmp_path, assert_within):
    make_images(tmp_path / "in", 400, side=64)
    words = [*IMGTOOL, "sift", "-q", "in", "-j", "2", "-o", "out.npz"]
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE)
    rows = tmp_path / "out.npz.rows"
    while not rows.exists() or rows.stat().st_size < 5_000_000:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert_within(time.monotonic() - begin, 1)
    assert process.returncode == 130
    broken, line = errors.decode().splitlines()
    assert "002.pgm" in broken
    assert line.startswith("imgtool: out.npz: ")
    assert line.endswith("of 400 images are done; --resume goes on")
    assert sorted(os.listdir(tmp_path)) == ["in", "out.npz.partial", "out.npz.rows"]

    refused = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False)
    assert (refused.returncode, refused.stderr.count(b"\n")) == (1, 1)
    assert b"--resume goes on from it, --force begins anew" in refused.stderr
    assert subprocess.run([*words, "--resume"], cwd=tmp_path, stderr=subprocess.DEVNULL, check=False).returncode == 1
    resumed = (tmp_path / "out.npz").read_bytes()
    assert subprocess.run([*words, "--force"], cwd=tmp_path, stderr=subprocess.DEVNULL, check=False).returncode == 1
    assert (tmp_path / "out.npz").read_bytes() == resumed


def test_resume_of_other_images_settings_or_files_is_one_line(folder, capsys):
    command = COMMANDS[0]
    journal, rows, *_ = left_of(command, capsys)
    partial = Path("out.npz.partial")
    header, _ = records_of(journal)[0]
    version = MAGIC + journal_record(header.replace(b'"version": "0', b'"version": "9'))
    cases = [
        (journal, ["--cell", "9"], "other settings"),
        (journal, ["--resize", "48x"], "other settings"),
        (journal, ["in/c0/000.pgm"], "other images"),
        (version, [], "another version"),
        (journal.replace(b'"version": "0', b'"version": "9'), [], "damaged"),  # the checksum does not fit
        (b"my own notes", [], "no journal of imgtool"),
        (MAGIC + bytes(400), [], "damaged"),
    ]
    for content, more, message in cases:
        leave(content, rows)
        assert run(command, "--resume", *more) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert message in error
        assert (partial.read_bytes(), Path("out.npz.rows").read_bytes()) == (content, rows)
    os.rename("in/c1/005.pgm", "in/c1/006.pgm")
    leave(journal, rows)
    assert run(command, "--resume") == 1
    assert "other images" in capsys.readouterr().err


def test_D6_a_journal_with_changed_bytes_gives_the_same_file_or_is_refused_in_one_line(folder, capsys):
    command = COMMANDS[4]  # local descriptors
    journal, rows, whole, errors = left_of(command, capsys)
    partial, rng, refused = Path("out.npz.partial"), np.random.default_rng(0), 0
    start, end = records_of(journal)[0][1], len(journal)
    places = [*range(0, start, 7), *rng.integers(start, end, 40).tolist(), *rng.integers(end, end + len(rows), 20)]
    for place in places:
        changed = bytearray(journal + rows)
        changed[place] ^= int(rng.integers(1, 256))
        leave(changed[:end], changed[end:])
        assert run(command, "--resume") == 1
        error = capsys.readouterr().err
        if place < start:
            refused += 1
            assert error.count("\n") == 1
            assert "out.npz.partial: " in error
            assert partial.read_bytes() == changed[:end]
            partial.unlink()
        else:
            assert error == errors
            assert Path("out.npz").read_bytes() == whole
            Path("out.npz").unlink()
    assert 0 < refused < len(places)


def forged(journal, record):
    """A journal with another first record of an image, whose checksum fits."""
    (_, start), *_ = records_of(journal)
    return journal[:start] + journal_record(record)


def described(rows, frame_width, width, data=b""):
    """A record of an image whose rows, bytes of a file, have the checksum and the digest that it says."""
    return b"d" + struct.pack("<IIII", rows, frame_width, width, zlib.crc32(data)) + hashlib.sha256(data).digest()


NOT_FINITE = np.full(4, np.nan, np.float32).tobytes()


@pytest.mark.parametrize(
    "record",
    [b"", b"d", b"d123", b"x" * 40, bytes(17), described(0, 0, 0), described(0, 0, 4), described(2, 0, 4, bytes(32)),
     described(1, 3, 4, bytes(16)), described(1, 0, 4, NOT_FINITE), described(1, 0, 4, b"x" * 16),
     described(1, 0, 2**32 - 1), described(2**32 - 1, 0, 2**32 - 1), described(2**32 - 1, 2**32 - 1, 1),
     described(1, 0, 0), described(1, 0, 0) + bytes(1)],
)  # fmt: skip
@pytest.mark.parametrize("command", [COMMANDS[0], COMMANDS[4]], ids=" ".join)
def test_D3_records_that_make_no_sense_are_left_out(command, record, folder, capsys):
    journal, rows, whole, _ = left_of(command, capsys)
    leave(forged(journal, record), rows[:190] + (NOT_FINITE if record[9:13] == b"\4\0\0\0" else bytes(64)))
    assert run(command, "--resume") == 1
    assert Path("out.npz").read_bytes() == whole


def test_D3_a_record_of_another_length_is_left_out(folder, capsys):
    journal, rows, whole, _ = left_of(COMMANDS[0], capsys)
    (*_, end), other = records_of(journal)[1], bytes(16)
    vector = rows[190 : 190 + 4 * int.from_bytes(journal[end - 40 : end - 36], "little")]
    leave(journal[:end] + journal_record(described(1, 0, 4, vector + other)), rows[:190] + vector + other)
    assert run(COMMANDS[0], "--resume") == 1
    assert Path("out.npz").read_bytes() == whole


@pytest.mark.parametrize("command", [COMMANDS[0], COMMANDS[4]], ids=" ".join)
def test_D3_records_beyond_the_last_image_are_left_out(command, folder, capsys):
    journal, rows, whole, _ = left_of(command, capsys)
    (*_, (_, before), (last, _)) = records_of(journal)
    for content in (
        journal + journal_record(last),
        journal[:before] + journal_record(b"no record") + journal_record(last) * 3,
    ):
        leave(content, rows * 2)
        assert run(command, "--resume") == 1
        assert Path("out.npz").read_bytes() == whole
        Path("out.npz").unlink()


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"{}",
        b"[]",
        b"1",
        b'{"images": 1}',
        b'{"images": [6, "x"], "codebook": 1, "meta": 2}',
    ],
)
def test_D3_a_journal_that_says_nonsense_of_itself_is_refused_in_one_line(header, folder, capsys):
    Path("out.npz.partial").write_bytes(MAGIC + journal_record(header))
    assert run(COMMANDS[0], "--resume") == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "out.npz.partial: " in captured.err


def test_resume_goes_with_a_file_that_is_to_be_made(folder, capsys):
    assert execute(["hog", "in", "--resume"]) == 2
    assert "--resume goes with -o FILE" in capsys.readouterr().err
    Path("out.npz").write_bytes(b"mine")
    assert run(COMMANDS[0], "--resume") == 1
    assert "exists" in capsys.readouterr().err
    assert Path("out.npz").read_bytes() == b"mine"


def test_a_journal_that_another_process_writes_is_left_alone(folder, capsys):
    pytest.importorskip("fcntl", reason="locks of POSIX")
    import fcntl

    with open("out.npz.partial", "w+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for more in ([], ["--resume"], ["--force"]):
            assert run(COMMANDS[0], *more) == 1
            assert "another imgtool is writing it" in capsys.readouterr().err
    for name, what in zip(companions("x.npz"), ("no regular file", "a folder"), strict=True):
        os.mkdir(name)
        assert execute(["hog", "in", "-o", "x.npz", "--force"]) == 1
        assert f"{name}: is {what}" in capsys.readouterr().err
        os.rmdir(name)


@pytest.mark.parametrize("name", companions("out.npz"))
def test_a_file_that_is_read_is_not_written(name, folder, capsys):
    cv2.imwrite("a.png", np.zeros((40, 40), np.uint8))
    os.rename("a.png", name)
    before = Path(name).read_bytes()
    assert execute(["hog", name, "-o", "out.npz", "--force"]) == 2
    assert "is an input" in capsys.readouterr().err
    assert Path(name).read_bytes() == before


def test_a_file_in_the_place_of_a_folder_is_one_line(folder, capsys):
    assert execute(["hog", "in", "-o", "in/c0/000.pgm/out.npz"]) == 1
    assert "in/c0/000.pgm is no folder" in capsys.readouterr().err


def test_rows_without_a_journal_are_not_ours_to_overwrite(folder, capsys):
    Path("out.npz.rows").write_bytes(b"mine")
    for more in ([], ["--resume"]):
        assert run(COMMANDS[0], *more) == 1
        assert "out.npz.rows: exists; --force overwrites it" in capsys.readouterr().err
        assert os.listdir() == unordered("in", "out.npz.rows")
    assert Path("out.npz.rows").read_bytes() == b"mine"
    assert run(COMMANDS[0], "--force") == 1
    assert os.listdir() == unordered("in", "out.npz")


@pytest.mark.parametrize("command", [each for each in COMMANDS if isinstance(each, list)], ids=" ".join)
def test_a_file_that_grew_is_the_one_that_save_writes(command, folder):
    assert run(command) == 1
    output = output_of(command)
    table = feature_file.load(output)
    if output.suffix in (".npz", ".npy"):
        feature_file.save(f"saved{output.suffix}", table)
        assert output.read_bytes() == Path(f"saved{output.suffix}").read_bytes()
    assert len(table.paths) == 5


def test_what_fails_in_the_same_way_again_leaves_no_journal(folder, capsys):
    cv2.imwrite("in/c1/large.png", np.zeros((99, 99), np.uint8))
    assert run(COMMANDS[0]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "in/c1/large.png: has " in error
    assert "in/c0/000.pgm has " in error
    assert "--resize" in error
    assert os.listdir() == ["in"]
    assert execute(["hog", "in/c0/002.pgm", "-o", "out.npz"]) == 1
    assert "out.npz: is not made, as no image could be described" in capsys.readouterr().err
    assert os.listdir() == ["in"]


def test_resize_brings_images_to_one_size(folder, capsys):
    cv2.imwrite("in/c1/large.png", np.random.default_rng(1).integers(0, 256, (99, 70), dtype=np.uint8))
    assert run(["hog"], "--resize", "40x32", "-o", "out.npz") == 1
    table = feature_file.load("out.npz")
    expected = [hog(resize(read(path), 32, 40)).ravel() for path in table.paths]
    np.testing.assert_array_equal(table.features, expected)
    assert len(expected) == 6
    assert table.meta["parameters"]["resize"] == "40x32"
    capsys.readouterr()
    for size in ("40", "x", "0x3", "-1x3", "4x5x6", "²x3"):
        assert run(["hog"], "--resize", size) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("size", ["24x", "x20"])
def test_resize_goes_for_rows_and_queries(size, folder, capsys):
    cv2.imwrite("q.png", np.random.default_rng(1).integers(0, 256, (48, 48), dtype=np.uint8))
    assert run(["hog"], "--resize", size, "-o", "out.npz") == 1
    assert execute(["hog", "q.png", "--resize", size, "--format", "jsonl"]) == 0
    capsys.readouterr()
    assert execute(["features", "search", "--query", "q.png", "out.npz", "--format", "jsonl"]) == 0


def test_parquet_without_its_extra_is_one_line(folder, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for arguments in (["hog", "in", "-o", "out.parquet"], ["features", "info", "out.parquet"]):
        status = execute(arguments)
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        assert 'pip install "pyarrow>=' in captured.err
        assert status == (2 if "hog" in arguments else 1)
    assert os.listdir() == ["in"]


@pytest.mark.slow
def test_D2_memory_does_not_grow_with_the_number_of_images(tmp_path, measured):
    rng = np.random.default_rng(0)
    peaks = {}
    for count in (10_000, 100_000):
        for index in range(count):
            path = tmp_path / str(count) / f"c{index % 10}" / f"{index:06}.pgm"
            if index < 10:
                path.parent.mkdir(parents=True)
            path.write_bytes(b"P5 16 16 255\n" + rng.bytes(256))
        words = ["hog", "--cell", "8", "--block", "1", "-q", "-j", "2", str(count), "-o", f"{count}.npz"]
        done, peaks[count] = measured(*words, cwd=tmp_path)
        assert done.returncode == 0
    with np.load(tmp_path / "100000.npz", allow_pickle=False) as file:
        assert file["features"].shape == (100_000, 36)
    assert peaks[100_000] <= 1.1 * peaks[10_000], peaks
