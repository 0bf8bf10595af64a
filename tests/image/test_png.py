"""PNG: plain files are decoded by OpenCV, which must see every damage that Pillow sees."""

import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest

from imgtool.errors import ImageError
from imgtool.image import encode, read

HEIGHT, WIDTH = 20, 31
CHANNELS = {0: 1, 2: 3, 6: 4}  # color type -> channels


def png(color, stream, *more):
    """A PNG with this compressed stream, check sums right; more: chunks before it."""
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, color, 0, 0, 0)
    chunks = [(b"IHDR", head), *more, (b"IDAT", stream), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def rows(color):
    """Filtered rows, each filter once and again."""
    values = np.random.default_rng(color).integers(0, 256, (HEIGHT, 1 + WIDTH * CHANNELS[color]), dtype=np.uint8)
    values[:, 0] = np.arange(HEIGHT) % 5
    return values.tobytes()


def unfiltered(data, channels):
    """The specification's five filters, byte by byte."""
    length = WIDTH * channels
    before, result = [0] * length, []
    for y in range(HEIGHT):
        kind, *line = data[y * (length + 1) : (y + 1) * (length + 1)]
        for x in range(length):
            a, c = (line[x - channels], before[x - channels]) if x >= channels else (0, 0)
            b = before[x]
            paeth = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            line[x] = (line[x] + (0, a, b, (a + b) // 2, paeth)[kind]) % 256
        result.append(line)
        before = line
    return np.array(result, np.uint8).reshape(HEIGHT, WIDTH, channels).squeeze()


@pytest.mark.parametrize("color", CHANNELS)
def test_plain_file_is_what_the_specification_says(color):
    np.testing.assert_array_equal(
        read(png(color, zlib.compress(rows(color)))), unfiltered(rows(color), CHANNELS[color])
    )


DAMAGES = {
    "stream cut": lambda data: zlib.compress(data)[:-60],
    "no check sum": lambda data: zlib.compress(data)[:-4],
    "wrong check sum": lambda data: zlib.compress(data)[:-4] + b"abcd",
    "half of the rows": lambda data: zlib.compress(data[: len(data) // 2]),
    "a byte short": lambda data: zlib.compress(data[:-1]),
    "no such filter": lambda data: zlib.compress(b"\x09" + data[1:]),
    "nothing": lambda data: b"",
}


@pytest.mark.parametrize("color", CHANNELS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_within_whole_chunks_is_refused(color, damage):
    with pytest.raises(ImageError, match="is cut"):
        read(png(color, DAMAGES[damage](rows(color))))


def test_orientation_in_a_text_is_applied_and_other_texts_are_left_alone():
    stream = zlib.compress(rows(0))
    upright = read(png(0, stream))
    tag = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tag
    profile = b"Raw profile type exif\0\nexif\n%8d\n" % len(exif) + exif.hex().encode() + b"\n"
    np.testing.assert_array_equal(read(png(0, stream, (b"tEXt", profile))), np.rot90(upright, -1))
    bomb = (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000)))
    np.testing.assert_array_equal(read(png(0, stream, bomb)), upright)


def test_plain_file_needs_no_pillow(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(np.zeros((5, 7, 3), np.uint8), "png"))
    code = "import sys; from imgtool.image import read; read(sys.argv[1]); sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=False).returncode == 0
