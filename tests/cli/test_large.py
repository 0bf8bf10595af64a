"""Large images: `filter` and `gradient` strip by strip give the files that they give at once, in little memory."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

from imgtool.cli.main import execute
from imgtool.filters import strip_filter as local
from imgtool.filters.borders import BORDERS
from imgtool.image import encode, read
from imgtool.image.strips import RowFile
from locations import IMGTOOL

COMMANDS = [
    "filter --kernel gaussian --sigma 2",
    "filter --kernel gaussian --sigma 2 --range stretch",
    "filter --kernel sobel-x --range stretch --depth 16",
    "filter --kernel laplacian-8 --range center",
    "filter --kernel sharpen --range clip --depth 8",
    "filter --kernel box --size 41",
    "filter --kernel box --size 4 --correlate --depth float",
    "gradient",
    "gradient --sigma 1.5 --range stretch",
    "gradient --show x --operator scharr",
    "gradient --show phase",
    "gradient --show phase --depth 16 --channel each",
    "gradient --show picture --channel max",
    "gradient --operator roberts --show x --range center",
    "gradient --operator gaussian --sigma 2",
    "filter --kernel median --size 5",
    "filter --kernel maximum --size 4",
    "filter --kernel gabor --range center",
]  # fmt: skip
RAW = [
    "filter --matrix '1 2; 3 -4; 5 6' --range raw",
    "gradient --range raw --operator forward",
    "gradient --show phase --range raw --degrees",
]


def example(dtype="uint8", channels=1, shape=(200, 33)):
    values = np.random.default_rng(1).random(shape + ((channels,) if channels > 1 else ()))
    return (values * np.iinfo(dtype).max).astype(dtype) if dtype[0] == "u" else values.astype(dtype)


@pytest.fixture
def both(monkeypatch, tmp_path, capsys):
    """Return a function that runs a command line whole and in strips, and returns both files and both records."""
    opened = []
    monkeypatch.setattr("imgtool.cli.progress.DELAY_SECONDS", 1e9)
    begin = RowFile.__init__
    monkeypatch.setattr(RowFile, "__init__", lambda self, *args: (opened.append(args), begin(self, *args))[1])

    def run(line, source, suffix, *, by_rows=True):
        results = []
        for large in (10**9, 1):
            monkeypatch.setattr(local, "LARGE_PIXELS", large)
            monkeypatch.setattr(local, "SHORT_REACH_STRIP_BYTES", 1)
            monkeypatch.setattr(local, "STRIP_BYTES", 1)
            opened.clear()
            out = tmp_path / f"{large}{suffix}"
            arguments = shlex.split(line)
            status = execute([*arguments, str(source), "-o", str(out), "--json"])
            told = capsys.readouterr()
            assert status == 0, told.err
            assert bool(opened) == (large == 1 and by_rows)
            record = json.loads(told.out)
            del record["output"]
            results.append((out.read_bytes(), record, told.err))
        return results

    return run


@pytest.mark.parametrize("line", COMMANDS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_the_same_file_and_record(both, tmp_path, line, channels, dtype):
    (tmp_path / "a.tif").write_bytes(encode(example(dtype, channels), "tiff"))
    whole, large = both(line, tmp_path / "a.tif", ".tif")
    assert whole == large


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("line", [*COMMANDS, *RAW])
def test_every_border(both, tmp_path, line, border):
    (tmp_path / "a.pgm").write_bytes(encode(example(), "pnm"))
    whole, large = both(f"{line} --border {border}", tmp_path / "a.pgm", ".npy")
    assert whole == large


@pytest.mark.parametrize("line", [*COMMANDS, *RAW])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_and_what_is_none(both, tmp_path, line, dtype):
    image = example(dtype)
    image[[3, 64, 140], [5, 32, 0]] = np.nan, np.inf, -np.inf
    np.save(tmp_path / "a.npy", image)
    suffix = ".npy" if "picture" in line or "--depth" in line else ".tif"
    whole, large = both(line, tmp_path / "a.npy", suffix)
    assert whole == large


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("pnm", ".pam"),
        ("pam", ".pgm"),
        ("npy", ".pgm"),
        ("tiff", ".png"),
        ("tiff", ".jpg"),
        ("png", ".tif"),
        ("png", ".png"),
    ],
)
def test_every_way_from_format_to_format(both, tmp_path, source, target):
    (tmp_path / "a").write_bytes(encode(example(), source))
    whole, large = both("filter --kernel box", tmp_path / "a", target, by_rows=source != "png")
    assert whole == large


def test_the_lowest_row_first(both, tmp_path):
    (tmp_path / "a.pfm").write_bytes(encode(example("float32", 3), "pfm"))
    whole, large = both("filter --kernel sobel-y --range raw", tmp_path / "a.pfm", ".pfm")
    assert whole == large


def test_a_turned_image_is_read_whole(both, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", example(), metadata=None, extratags=[(274, "H", 1, 6, True)])
    whole, large = both("filter --kernel sobel-x", tmp_path / "a.tif", ".tif", by_rows=False)
    assert whole == large


def test_standard_output_gets_the_same_bytes(tmp_path):
    size = (2000, 2001)
    tifffile.imwrite(tmp_path / "a.tif", example(shape=size), metadata=None)
    command = [*IMGTOOL, "filter", "--kernel", "box", str(tmp_path / "a.tif"), "-q"]
    for to in ("tif", "png"):
        out = tmp_path / f"out.{to}"
        assert subprocess.run([*command, "-o", str(out)], check=True).returncode == 0
        stream = subprocess.run([*command, "--to", to], check=True, capture_output=True).stdout
        assert stream == out.read_bytes()


@pytest.fixture
def large_file(tmp_path):
    """Return the path of an image of 16 megapixels, zeros that take no space on the disk."""
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, shape=(4000, 4000), dtype="uint8", metadata=None, photometric="minisblack")
    return path


def test_any_number_of_jobs_gives_the_same_bytes(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", example(shape=(300, 30)), metadata=None)
    monkeypatch.setattr(local, "LARGE_PIXELS", 1)
    monkeypatch.setattr(local, "SHORT_REACH_STRIP_BYTES", 1)
    for jobs in (1, 2, 8):
        out = tmp_path / f"{jobs}.tif"
        assert execute(["gradient", str(tmp_path / "a.tif"), "-o", str(out), "-j", str(jobs)]) == 0
        assert out.read_bytes() == (tmp_path / "1.tif").read_bytes()


def test_more_pixels_than_allowed_are_refused_in_one_line(large_file, tmp_path, imgtool):
    done = imgtool("filter", "--kernel", "box", large_file, "-o", tmp_path / "o.tif", "--max-pixels", "15000000")
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1
    assert b"more than the 15000000 that are allowed; --max-pixels raises the limit" in done.stderr


def test_what_the_format_cannot_hold_is_refused_in_one_line(large_file, tmp_path, imgtool):
    done = imgtool("filter", "--kernel", "box", "--range", "raw", large_file, "-o", tmp_path / "o.pgm")
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1
    assert b"pnm cannot hold" in done.stderr
    assert os.listdir(tmp_path) == ["large.tif"]


def test_an_option_of_another_format_is_wrong_usage(large_file, tmp_path, imgtool):
    done = imgtool("filter", "--kernel", "box", large_file, "-o", tmp_path / "o.tif", "--quality", "5")
    assert done.returncode == 2
    assert b"--quality is for jpeg" in done.stderr
    assert os.listdir(tmp_path) == ["large.tif"]


def test_a_file_that_is_cut_is_refused_or_read_as_far_as_it_goes(tmp_path, imgtool):
    cut = tmp_path / "cut.pgm"
    cut.write_bytes(b"P5 4000 4000 255\n" + bytes(15_000_000))
    done = imgtool("filter", "--kernel", "box", cut, "-o", tmp_path / "o.tif")
    assert done.returncode == 1
    assert b"is cut" in done.stderr
    assert imgtool("filter", "--kernel", "box", cut, "-o", tmp_path / "o.tif", "--allow-truncated").returncode == 0
    assert read(tmp_path / "o.tif").shape == (4000, 4000)


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit on the size of files")
@pytest.mark.parametrize("blocks", [1, 10_000])
def test_a_full_disk_is_one_line_and_the_old_file_stays(large_file, tmp_path, blocks):
    out = tmp_path / "o.tif"
    out.write_bytes(b"old")
    line = f"ulimit -f {blocks}; exec {sys.executable} -m imgtool filter --kernel box {large_file} -o {out} --force"
    done = subprocess.run(["bash", "-c", line], capture_output=True)
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1
    assert b"cannot be written: file too large" in done.stderr
    assert out.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["large.tif", "o.tif"]


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.5])
def test_interruption_leaves_no_partial_file(tmp_path, delay, assert_within):
    large_file = tmp_path / "large.tif"
    tifffile.imwrite(large_file, shape=(10_000, 10_000), dtype="uint8", metadata=None, photometric="minisblack")
    out = tmp_path / "out"
    out.mkdir()
    line = ["filter", "--kernel", "log", "--sigma", "3", "-q", str(large_file)]
    process = subprocess.Popen([*IMGTOOL, *line, "-o", str(out / "o.tif")])
    while not os.listdir(out):  # the first strip is done, the others are under way
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    assert process.wait(timeout=60) == 130
    assert_within(time.monotonic() - begin, 2)
    assert not os.listdir(out)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "filter --kernel gaussian --sigma 5",
        "filter --kernel gaussian --sigma 5 --range stretch",
        "filter --kernel sobel-x",
        "filter --kernel sharpen --range stretch",
        "gradient",
        "gradient --range stretch",
    ],
)
def test_100_megapixels_in_100_megabytes(tmp_path, line, measured):
    """It holds 40 MB more than for a small image, which is 55 MB when the libraries' files have been read before.

    What the system counts of these files differs by 30 MB, more when they were just installed: that much it maps ahead.
    """

    def peak_of(source):
        done, megabytes = measured(*line.split(), "-q", source, "-o", tmp_path / "out.tif", "--force")
        assert done.returncode == 0
        return megabytes

    small, path = tmp_path / "small.tif", tmp_path / "large.tif"
    tifffile.imwrite(small, np.zeros((64, 64), np.uint8))
    before = max(peak_of(small) for _ in range(2))
    tifffile.imwrite(path, shape=(10_000, 10_000), dtype="uint8", metadata=None, photometric="minisblack")
    with path.open("r+b") as file:  # not all black
        file.seek(50_000_000)
        file.write(bytes(range(256)) * 1000)
    assert peak_of(path) <= before + 40
    assert (tmp_path / "out.tif").stat().st_size > 100_000_000


@pytest.mark.parametrize("line", ["filter --kernel bilateral", "filter --kernel gabor --range center --method gemm"])
def test_what_is_not_the_same_bits_in_strips_is_read_whole(both, tmp_path, line):
    (tmp_path / "a.tif").write_bytes(encode(example("float32"), "tiff"))
    whole, large = both(line, tmp_path / "a.tif", ".tif", by_rows=False)
    assert whole == large
