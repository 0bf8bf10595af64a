"""F17: a decoder that dies takes its own file with it and no other."""

import io
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from imgtool.batch import isolated
from imgtool.batch.isolated import IsolatedReader
from imgtool.batch.worker import TYPES
from imgtool.errors import ImageError
from imgtool.image import encode, probe, read
from locations import IMGTOOL, SAMPLES

CAT = (SAMPLES / "cat.jpg").read_bytes()
LIMIT = 178_000_000
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

# What Python runs at its start where PYTHONPATH leads here: workers, and they only, have another decoder of GIF.
DEADLY = """
import sys
if "serve" in sys.orig_argv[-1]:
    import os, signal, time
    import imgtool.batch.isolated, imgtool.image.codecs.gif
    imgtool.image.codecs.gif.decode = lambda data, **_: {deed}
    {more}
"""
SEGFAULT = "os.kill(os.getpid(), signal.SIGSEGV)"


@pytest.fixture
def reader():
    reader = IsolatedReader()
    yield reader
    reader.close()


@pytest.fixture
def deadly(tmp_path, monkeypatch):
    """Give the decoder of GIF, in workers only, something else to do."""

    def arrange(deed, more=""):
        folder = tmp_path / "path"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(DEADLY.format(deed=deed, more=more))
        known = [str(folder), str(Path(isolated.__file__).parents[2]), *sys.path]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(known))

    return arrange


@pytest.fixture
def gif():
    from io import BytesIO

    from PIL import Image

    stream = BytesIO()
    Image.new("L", (4, 3)).save(stream, "GIF")
    return stream.getvalue()


@pytest.mark.parametrize("format", ["png", "tiff", "npy"])
@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3), (1, 1, 4)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_the_same_pixels_come_back(reader, shape, dtype, format):
    if format == "png" and dtype[0] == "f":
        format = "npy"
    data = encode((np.random.default_rng(0).random(shape) * 255).astype(dtype), format)
    here, there = read(data), reader.read(data, max_pixels=LIMIT)
    np.testing.assert_array_equal(here, there)
    assert here.dtype == there.dtype
    assert reader.probe(data) == probe(data)


def test_refusals_and_limits_are_those_of_read(reader):
    with pytest.raises(ImageError, match="is no image that imgtool reads"):
        reader.read(b"no image", max_pixels=LIMIT)
    with pytest.raises(ImageError, match="more than the 10 that are allowed"):
        reader.read(CAT, max_pixels=10)
    with pytest.raises(ImageError, match="cut"):
        reader.read(CAT[:5000], max_pixels=LIMIT)
    assert reader.read(CAT[:5000], max_pixels=LIMIT, allow_truncated=True).shape == read(CAT).shape


def test_one_worker_serves_many_images_and_several_threads_have_several(reader):
    expected = read(CAT)
    with ThreadPoolExecutor(4) as executor:
        for image in executor.map(lambda _: reader.read(CAT, max_pixels=LIMIT), range(20)):
            np.testing.assert_array_equal(image, expected)
    assert 1 <= len(reader._workers._idle) <= 4


@pytest.mark.parametrize(
    ("deed", "reason"),
    [(SEGFAULT, "SIGSEGV"), ("os.abort()", "SIGABRT"), ("os._exit(3)", "exit status 3"), ("sys.exit(4)", "status 4")],
)
def test_F17_death_is_an_error_and_the_next_image_gets_a_new_worker(reader, deadly, gif, deed, reason):
    deadly(deed)
    for _ in range(2):
        with pytest.raises(ImageError, match=rf"the decoder died \(.*{reason}\)"):
            reader.read(gif, max_pixels=LIMIT)
        assert reader.read(CAT, max_pixels=LIMIT).shape == (300, 451, 3)


def test_F17_hanging_is_bounded(deadly, gif, monkeypatch, assert_within):
    deadly("time.sleep(30)")
    monkeypatch.setattr(isolated, "MAX_SECONDS", 1)
    reader = IsolatedReader()
    begin = time.monotonic()
    with pytest.raises(ImageError, match="no answer within 1 seconds"):
        reader.read(gif, max_pixels=LIMIT)
    reader.close()
    assert_within(time.monotonic() - begin, 5)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS")
def test_F17_memory_is_bounded(reader, deadly, gif):
    deadly("bytes(2**31)")
    with pytest.raises(MemoryError):
        reader.read(gif, max_pixels=1000)


def test_answers_that_make_no_sense_are_not_believed(reader, deadly, gif):
    answer = '({"shape": [1], "dtype": "object"}, bytes(8))'
    deadly("None", more=f"imgtool.batch.isolated._answer = lambda *_: {answer}")
    with pytest.raises(ImageError, match="the decoder died"):
        reader.read(gif, max_pixels=LIMIT)


def test_workers_end_when_imgtool_does(tmp_path):
    code = (
        "import os, sys; from imgtool.batch.isolated import IsolatedReader; reader = IsolatedReader();"
        "reader.read(open(sys.argv[1], 'rb').read(), max_pixels=10**9);"
        "print(reader._workers._idle[0]._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(SAMPLES / "cat.jpg")], capture_output=True, check=False)
    worker = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        status = Path(f"/proc/{worker}/stat")
        if status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z":
            return  # it ended; whoever inherited it has not asked yet
        time.sleep(0.1)
    pytest.fail("the worker lives on")


def test_nothing_in_the_current_folder_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("json", "struct", "numpy", "cv2"):
        Path(f"{name}.py").write_text("raise SystemExit('hostile')")
    reader = IsolatedReader()
    assert reader.read(CAT, max_pixels=LIMIT).shape == (300, 451, 3)
    reader.close()


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_F17_with_isolate_a_decoder_that_dies_takes_its_own_file_and_no_other(tmp_path, deadly, gif, jobs):
    deadly(SEGFAULT)
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(20):
        name, data = (f"{index:02}.gif", gif) if index % 7 == 3 else (f"{index:02}.jpg", CAT)
        (folder / name).write_bytes(data)
    command = [*IMGTOOL, "info", "--isolate", "-j", jobs, "in"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["path"] for row in rows if "error" in row] == ["in/03.gif", "in/10.gif", "in/17.gif"]
    assert [row["size"] for row in rows if "error" not in row] == ["451x300"] * 17
    assert done.stderr.decode().splitlines() == [
        f"imgtool: in/{name}.gif: the decoder died (SIGSEGV)" for name in ("03", "10", "17")
    ]
    assert done.returncode == 1


@pytest.mark.parametrize(
    "arguments", [["filter", "--kernel", "box"], ["gradient"], ["convert"], ["hog"], ["gist"], ["sift"]]
)
def test_F17_every_command_decodes_in_the_worker(tmp_path, deadly, gif, arguments):
    deadly(SEGFAULT)
    (tmp_path / "a.gif").write_bytes(gif)
    command = [*IMGTOOL, *arguments, "--isolate", "a.gif"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (1, b"imgtool: a.gif: the decoder died (SIGSEGV)\n")


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_that_is_read_comes_back(dtype):
    array, stream = np.arange(12).reshape(3, 4).astype(dtype), io.BytesIO()
    np.save(stream, array)
    reader = IsolatedReader()
    try:
        found = reader.read(stream.getvalue(), max_pixels=LIMIT)
    finally:
        reader.close()
    np.testing.assert_array_equal(found, array)
    assert found.dtype == dtype
