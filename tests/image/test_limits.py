"""How much is read and allocated follows from what a header declares, under a limit of the address space."""

import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest

from imgtool.errors import ImageError
from imgtool.image import encode, read
from locations import ROOT

SMALL = np.zeros((8, 8, 3), np.uint8)
SPARSE_BYTES = 30 << 30
FORMATS = ("png", "jpeg", "webp", "bmp", "jp2", "tif", "ppm", "pam", "npy", "gif", "avif")
# Reads one file under a limit of the address space, and says why not, and what memory and time it took.
CHILD = """
import resource, sys, time
from imgtool.errors import ImgtoolError
from imgtool.image import content, read
import cv2, tifffile, PIL.Image
from imgtool.image.codecs import tiff, jp2, png, gif
room = int(sys.argv[1]) << 20
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
source = sys.stdin.buffer if sys.argv[2] == "-" else sys.argv[2]
begin = time.perf_counter()
try:
    image = read(source)
except ImgtoolError as error:
    print("refused:", error)
else:
    print("read:", image.shape)
print(time.perf_counter() - begin)
"""


def image_of(format):
    if format in ("gif", "avif"):
        from PIL import Image

        stream = io.BytesIO()
        Image.fromarray(SMALL).save(stream, format)
        return stream.getvalue()
    return encode(SMALL, format)


def read_in_child(path, room=300, stdin=None):
    """Read in a process of its own that may take so many MB more than when it began; return what it says."""
    command = [sys.executable, "-c", CHILD, str(room), str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    said, seconds = done.stdout.splitlines()
    assert float(seconds) < 5
    return said


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
@pytest.mark.parametrize("format", FORMATS)
def test_F23_a_file_of_holes_is_refused_by_its_header(format, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(image_of(format))
    os.truncate(path, SPARSE_BYTES)
    assert read_in_child(path).startswith("refused: has 32212254720 bytes or more, but an image of the size")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
@pytest.mark.parametrize("format", ["png", "tif", "ppm"])
def test_F23_a_stream_without_end_is_refused(format, tmp_path):
    (tmp_path / "a").write_bytes(image_of(format))
    with subprocess.Popen(["cat", tmp_path / "a", "/dev/zero"], stdout=subprocess.PIPE) as endless:
        said = read_in_child("-", room=400, stdin=endless.stdout)
        endless.kill()
    assert said.startswith("refused: has 68157440 bytes or more, but an image of the size")


def tiff_of(tags, data=b"", big_endian=False):
    """Return a TIFF of one page: tags as (type, values), data right after the header."""
    order, sizes = (">" if big_endian else "<"), {3: "H", 4: "I"}
    entries, extra, place = b"", b"", 8 + len(data)
    after = place + 2 + 12 * len(tags) + 4
    for tag, (kind, *values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{sizes[kind]}", *values)
        if len(packed) > 4:
            packed, extra = struct.pack(order + "I", after + len(extra)), extra + packed
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    head = (b"MM" if big_endian else b"II") + struct.pack(order + "HI", 42, place)
    return head + data + struct.pack(order + "H", len(tags)) + entries + bytes(4) + extra


def tiled(side, *, width=8, height=8, samples=1, planar=1, compression=8):
    """Return a TIFF with Deflate-compressed zeros as its tiles of that side."""
    packed = zlib.compress(bytes(min(side * side * samples, 1 << 27)), 1)
    count = samples if planar == 2 else 1
    return tiff_of(
        {
            256: (4, width), 257: (4, height), 258: (3, *[8] * samples), 259: (3, compression), 262: (3, 1),
            277: (3, samples), 284: (3, planar), 322: (4, side), 323: (4, side), 324: (4, *[8] * count),
            325: (4, *[len(packed)] * count),
        },
        packed,
    )  # fmt: skip


def jpeg_in_tile(side):
    """Return a TIFF of 8x8 pixels whose tile is a JPEG of other sides."""
    coded = encode(np.zeros((side, side), np.uint8), "jpeg")
    return tiff_of(
        {256: (4, 8), 257: (4, 8), 258: (3, 8), 259: (3, 7), 262: (3, 1), 277: (3, 1), 322: (4, 16), 323: (4, 16),
         324: (4, 8), 325: (4, len(coded))}, coded,
    )  # fmt: skip


HOSTILE = {
    "a tile of 12000x12000": lambda: tiled(12000),
    "a tile of 60000x60000": lambda: tiled(60000),
    "planes of such tiles": lambda: tiled(9000, samples=4, planar=2),
    "65535 samples": lambda: tiled(16, width=4000, height=4000, samples=65535, compression=1),
    "a row a strip": lambda: tiff_of(
        {
            256: (4, 1),
            257: (4, 170_000_000),
            258: (3, 8),
            259: (3, 1),
            262: (3, 1),
            273: (4, 8),
            278: (4, 1),
            279: (4, 1),
        }
    ),
    "tiles of one pixel": lambda: tiled(1, width=13000, height=13000),
    "a JPEG of 9000x9000 as a tile": lambda: jpeg_in_tile(9000),
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
@pytest.mark.parametrize("kind", HOSTILE)
def test_F23_strips_and_tiles_are_computed_before_they_are_unpacked(kind, tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(HOSTILE[kind]())
    assert read_in_child(path, room=300).startswith("refused: ")


def test_F23_tiles_larger_than_a_small_picture_are_read():
    assert read(tiled(512)).shape == (8, 8)
    with pytest.raises(ImageError, match="tile"):
        read(tiled(12000))
