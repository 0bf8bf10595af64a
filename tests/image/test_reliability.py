"""Promises on broken, cut, oversized and hostile files. Each test's name begins with the number of its promise."""

import io
import os
import re
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from imgtool.cli.main import execute
from imgtool.errors import ImageError
from imgtool.image import encode, read
from locations import SHARED

CORPUS = SHARED / "corpus"
MUTATIONS = Path(__file__).with_name("mutations.py")
READERS = {
    "function": ("--module", "imgtool.image:read"),
    "command": ("--command", f"{sys.executable} -m imgtool convert {{in}} -o {{out}}"),
}
needs_corpus = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of odd files is not beside this checkout")


def measured(reader, kind, *options):
    """Run the corpus' own program; it fails when a promise is broken."""
    command = [sys.executable, CORPUS / "measure.py", *READERS[reader], "-j", "2", "--kinds", kind, *options]
    alone = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # a process with BLAS threads may hang when it forks
    result = subprocess.run(command, env=alone, capture_output=True, text=True, check=False, timeout=1200)
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout


@pytest.mark.slow
@needs_corpus
@pytest.mark.parametrize("reader", READERS)
def test_F1_valid_images_are_read_right_or_refused_in_one_line(reader):
    assert "SILENTLY-WRONG" not in measured(reader, "good", "--min-right", "98")


@pytest.mark.slow
@needs_corpus
@pytest.mark.parametrize("reader", READERS)
def test_F2_broken_images_are_refused_in_one_line(reader):
    counts = re.search(r"must be refused: (\d+) of (\d+)", measured(reader, "bad"))
    assert counts[1] == counts[2]
    assert int(counts[2]) > 0


BLOCKS = np.kron(np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8), np.ones((4, 5, 1), np.uint8))
DEEP = BLOCKS.astype(np.uint16) * 257


def by_pillow(image, name, **options):
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def lzw_tiff():
    return cv2.imencode(".tif", BLOCKS[:, :, ::-1].copy(), [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes()


def deflated_tiff():
    stream = io.BytesIO()
    tifffile.imwrite(stream, BLOCKS, photometric="rgb", compression="zlib", rowsperstrip=16, metadata=None)
    return stream.getvalue()


def interlaced_png():
    """Return a palette PNG in Adam7's seven passes, which Pillow and OpenCV do not write."""
    indices = np.kron(np.arange(64).reshape(8, 8), np.ones((8, 8), int)).astype(np.uint8)
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(
        b"\0" + bytes(row) for top, left, down, across in passes for row in indices[top::down, left::across]
    )
    palette = bytes(np.random.default_rng(4).integers(0, 256, 192, dtype=np.uint8))
    chunks = [(b"PLTE", palette), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return png([(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 3, 0, 0, 1)), *chunks])


def png(chunks):
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


PICTURE = Image.fromarray(BLOCKS)
WHOLE = {
    "png 8": encode(BLOCKS, "png"),
    "png 16": encode(DEEP, "png"),
    "png gray with alpha": encode(DEEP[:, :, :2], "png"),
    "png palette": by_pillow(PICTURE.quantize(32), "PNG"),
    "png interlaced": interlaced_png(),
    "jpeg": encode(BLOCKS, "jpeg"),
    "jpeg progressive": by_pillow(PICTURE, "JPEG", progressive=True),
    "tiff": encode(DEEP, "tiff"),
    "tiff lzw": lzw_tiff(),
    "tiff deflate": deflated_tiff(),
    "tiff group 4": by_pillow(PICTURE.convert("1"), "TIFF", compression="group4"),
    "webp": encode(BLOCKS, "webp"),
    "webp lossless": by_pillow(PICTURE, "WEBP", lossless=True),
    "bmp": encode(BLOCKS, "bmp"),
    "gif": by_pillow(PICTURE.quantize(32), "GIF"),
    "pnm": encode(BLOCKS, "pnm"),
    "pnm text": b"P2 40 40 255 " + b" ".join(b"%d" % (100 + n % 100) for n in range(1600)),
    "pam": encode(np.dstack([DEEP, DEEP[:, :, 0]]), "pam"),
    "pfm": encode(BLOCKS.astype(np.float32), "pfm"),
    "npy": encode(BLOCKS, "npy"),
    "jp2": encode(BLOCKS, "jp2"),
    "jp2 16": encode(DEEP, "jp2"),
}
PLACES = [part / 12 for part in range(1, 12)]
# What shows its first rows when the last quarter is gone; of the others a part may be shown, or none.
SHOWN = ["png 8", "png 16", "png gray with alpha", "png palette", "jpeg", "tiff deflate", "bmp", "pnm", "pnm text",
         "pam", "npy", "gif"]  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_F3_cut_files_are_refused_or_read_with_a_warning_when_allowed(name, tmp_path, capsys):
    data, path = WHOLE[name], tmp_path / "cut"
    whole = read(data)
    for number, length in enumerate([0, *(int(len(data) * place) for place in PLACES)]):
        path.write_bytes(data[:length])
        assert execute(["convert", str(path), "-o", str(tmp_path / "out.npy")]) == 1
        refused = capsys.readouterr().err
        assert refused.startswith(f"imgtool: {path}: "), number
        assert refused.count("\n") == 1
        status = execute(["convert", "--allow-truncated", "--force", str(path), "-o", str(tmp_path / "out.npy")])
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        if status == 0:
            assert said == f"imgtool: {path}: is cut or damaged; what is missing is left blank\n"
            shown = np.load(tmp_path / "out.npy")
            assert shown.shape[:2] == whole.shape[:2]
            assert shown.dtype == whole.dtype
            assert shown.any(), "nothing is shown"


@pytest.mark.parametrize("name", SHOWN)
def test_F3_first_rows_of_a_cut_file_are_shown(name):
    whole, shown = read(WHOLE[name]), read(WHOLE[name][: len(WHOLE[name]) * 3 // 4], allow_truncated=True)
    rows = slice(-8, None) if name == "bmp" else slice(8)  # a BMP begins with its lowest row
    np.testing.assert_array_equal(shown[rows], whole[rows])


def test_F3_png_that_lacks_rows_is_refused_although_its_chunks_are_whole():
    for color, depth, samples in ((0, 8, 1), (2, 8, 3), (2, 16, 3), (0, 16, 1), (0, 1, 1)):
        rows = (b"\0" + b"\x55" * ((64 * samples * depth + 7) // 8)) * 40
        head = (b"IHDR", struct.pack(">IIBBBBB", 64, 64, depth, color, 0, 0, 0))
        data = png([head, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])
        with pytest.raises(ImageError):
            read(data)
        shown = read(data, allow_truncated=True)
        assert shown[:40].all() if depth > 1 else shown[:40].any()
        assert not shown[40:].any()


def test_F3_damaged_png_is_shown_up_to_the_damage():
    data = bytearray(WHOLE["png 8"])
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError, match="check sum"):
        read(bytes(data))
    shown = read(bytes(data), allow_truncated=True)
    np.testing.assert_array_equal(shown[:8], BLOCKS[:8])


HUGE = 100_000


def tiff_header():
    """Return a TIFF of one pixel whose header says 100,000 x 100,000."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((1, 1), np.uint8), metadata=None)
    data = bytearray(stream.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for name in ("ImageWidth", "ImageLength"):
            tag = file.pages[0].tags[name]
            struct.pack_into("<HHII", data, tag.offset, tag.code, 4, 1, HUGE)
    return bytes(data)


def jp2_header():
    """Return a codestream of 64x64 pixels whose header says 100,000 x 100,000 in one tile."""
    data = bytearray(encode(BLOCKS[:64, :64], "jp2"))
    start = data.index(b"\xff\x4f\xff\x51")
    for place in (8, 12, 24, 28):  # the picture's and the tiles' width and height
        struct.pack_into(">I", data, start + place, HUGE)
    return bytes(data)


HEADERS = {
    "png": png([(b"IHDR", struct.pack(">IIBBBBB", HUGE, HUGE, 8, 2, 0, 0, 0)), (b"IDAT", b"")]),
    "jpeg": b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", 65000, 65000)
    + b"\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00" + bytes(64),
    "gif": b"GIF89a" + struct.pack("<HH", 65000, 65000) + b"\xf0\x00\x00" + bytes(6)
    + b"," + struct.pack("<HHHH", 0, 0, 65000, 65000) + b"\x00\x02\x02\x44\x01\x00;",
    "gif frame": b"GIF89a" + struct.pack("<HH", 16, 16) + b"\xf0\x00\x00" + bytes(6)
    + b"," + struct.pack("<HHHH", 60000, 60000, 5000, 5000) + b"\x00\x02\x02\x44\x01\x00;",
    "webp": b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8L" + struct.pack("<IB", 17, 0x2F)
    + struct.pack("<I", 16383 | 16383 << 14) + bytes(13),
    "bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 1000, 0, 0, 54, 40, HUGE, HUGE, 1, 24, 0, 0, 1, 1, 0, 0) + bytes(64),
    "bmp runs": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 999, 0, 0, 58, 40, HUGE, HUGE, 1, 8, 1, 0, 1, 1, 1, 0)
    + bytes(64),
    "pnm": b"P5 100000 100000 255\n" + bytes(64),
    "pnm text": b"P2 100000 100000 255\n 1 2 3",
    "pam": b"P7\nWIDTH 100000\nHEIGHT 100000\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n" + bytes(64),
    "pfm": b"Pf 100000 100000 -1\n" + bytes(64),
    "npy": encode(np.zeros((1, 1), np.uint8), "npy")
    .replace(b"(1, 1), }" + b" " * 14, b"(100000, 100000), }" + b" " * 4),
    "tiff": tiff_header(),
    "jp2": jp2_header(),
}  # fmt: skip

# Prints the seconds and the most megabytes of a command. getrusage would count the process before it became this one.
WATCHED = """
import pathlib, re, sys, time
import numpy, PIL.Image, tifffile
from imgtool.cli.main import execute
begin = time.perf_counter()
status = execute(sys.argv[1:])
seconds, memory = time.perf_counter() - begin, pathlib.Path("/proc/self/status")
if memory.exists():
    megabytes = int(re.search(r"VmHWM:\\s+(\\d+)", memory.read_text())[1]) / 1024
else:
    import resource
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
print(seconds, megabytes)
sys.exit(status)
"""


@pytest.mark.parametrize("name", HEADERS)
def test_F4_header_that_declares_too_much_is_refused_before_pixels_are_allocated(name, tmp_path, assert_within):
    path = tmp_path / "huge"
    path.write_bytes(HEADERS[name])
    command = [sys.executable, "-c", WATCHED, "convert", str(path), "-o", str(tmp_path / "out.png")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    reason = rf"imgtool: {re.escape(str(path))}: has \d+x\d+ pixels, more than the \d+ that are allowed; --max.*\n"
    assert re.fullmatch(reason, result.stderr)
    seconds, megabytes = map(float, result.stdout.split())
    assert_within(seconds, 1)
    assert megabytes < 300


def test_F4_limit_counts_pixels_and_can_be_set(tmp_path, capsys):
    path = tmp_path / "a.webp"
    path.write_bytes(encode(BLOCKS, "webp"))
    pixels = BLOCKS.shape[0] * BLOCKS.shape[1]
    assert execute(["convert", "--max-pixels", str(pixels), str(path), "-o", str(tmp_path / "a.png")]) == 0
    assert execute(["convert", "--max-pixels", str(pixels - 1), str(path), "-o", str(tmp_path / "b.png")]) == 1
    assert "80x64 pixels" in capsys.readouterr().err


def mutation_troubles(first, last):
    """Read files first to last - 1 of mutations.py in a process of its own; return what was wrong."""
    command = [sys.executable, MUTATIONS, str(first), str(last)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if result.returncode:
        return [f"{first} to {last}: the process ended with {result.returncode}"]
    *troubles, counts = result.stdout.splitlines()
    assert sum(map(int, re.findall(r"\d+", counts))) == last - first
    return troubles


def test_F13_mutated_files_neither_crash_nor_hang_nor_go_silent():
    assert mutation_troubles(0, 150) == []


@pytest.mark.slow
def test_F13_all_mutated_files_neither_crash_nor_hang_nor_go_silent():
    with ThreadPoolExecutor(2) as pool:
        shares = [pool.submit(mutation_troubles, first, first + 250) for first in range(0, 10_000, 250)]
        assert [trouble for share in shares for trouble in share.result()] == []


class Hostile:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


def pickled(kind):
    """Return a file in which a pickle that makes a folder stands where numbers should."""
    stream = io.BytesIO()
    objects = np.array([[Hostile()]], dtype=object)
    if kind == "npz":
        np.savez(stream, image=objects)
    elif kind == "bare":
        import pickle

        return pickle.dumps(Hostile())
    elif kind == "behind numbers":
        np.save(stream, np.zeros((2, 2)))
        return stream.getvalue().replace(b"'<f8'", b"'|O'  ") + pickled("bare")
    else:
        np.save(stream, objects, allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["npy", "npz", "bare", "behind numbers"])
def test_F16_pickles_are_refused_and_execute_nothing(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a.npy", "a.npz", "a.png"):
        Path(name).write_bytes(pickled(kind))
        for options in ([], ["--allow-truncated"]):
            assert execute(["convert", *options, name, "-o", "out.png"]) == 1
            said = capsys.readouterr().err
            assert said.count("\n") == 1
            assert "unpickles nothing" in said or kind not in ("npy", "behind numbers")
    assert not Path("executed").exists()
    np.load(io.BytesIO(pickled("npy")), allow_pickle=True)
    assert Path("executed").exists(), "the pickle would have done harm"
