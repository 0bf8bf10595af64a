"""BMP: every header, depth, palette, bit field and run."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.errors import ImageError
from imgtool.image import probe, read

PALETTE = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
CORE, INFO = 12, 40
PLAIN, RLE8, RLE4, RLE24 = 0, 1, 2, 4


def file(body, width, height, bits, *, size=INFO, compression=PLAIN, colors=0):
    """Return a BMP with a header of so many bytes and, up to 8 bits, a palette."""
    count = (colors or 1 << bits) if bits <= 8 else 0
    entries = PALETTE[:count, ::-1]
    palette = entries.tobytes() if size == CORE else np.pad(entries, ((0, 0), (0, 1))).tobytes()
    if size == CORE:
        info = struct.pack("<IHHHH", size, width, height, 1, bits)
    else:
        numbers = (size, width, height, 1, bits, compression, len(body), 0, 0, colors, 0)
        info = struct.pack("<IiiHHIIiiII", *numbers)[:size].ljust(size, b"\0")
    offset = 14 + size + len(palette)
    return struct.pack("<2sIHHI", b"BM", offset + len(body), 0, 0, offset) + info + palette + body


def packed(values, bits):
    """Return rows, each of a multiple of 4 bytes, the leftmost pixel highest."""
    single = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(single.reshape(len(values), -1).astype(np.uint8), axis=1)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [CORE, 16, INFO, 52, 56, 64, 108, 124])
@pytest.mark.parametrize("width", [1, 7, 8, 13])
def test_palettes_of_every_header(bits, size, width):
    values = np.random.default_rng(bits).integers(0, 1 << bits, (5, width))
    data = file(packed(values, bits)[::-1].tobytes(), width, 5, bits, size=size)
    np.testing.assert_array_equal(read(data), PALETTE[values])
    with pytest.raises(ImageError, match="cut"):
        read(data[:-1])


def test_first_row_is_the_highest_when_the_height_is_negative():
    values = np.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(read(file(packed(values, 8).tobytes(), 2, -3, 8)), PALETTE[values])


def test_index_outside_a_short_palette_is_black():
    data = file(packed(np.array([[0, 2, 3]]), 8).tobytes(), 3, 1, 8, colors=3)
    np.testing.assert_array_equal(read(data), [[PALETTE[0], PALETTE[2], [0, 0, 0]]])


@pytest.mark.parametrize("size", [CORE, INFO, 124])
def test_true_color_and_unused_bytes(size):
    color = np.random.default_rng(1).integers(0, 256, (4, 3, 3), dtype=np.uint8)
    rows = np.pad(color[::-1, :, ::-1].reshape(4, 9), ((0, 0), (0, 3)))
    np.testing.assert_array_equal(read(file(rows.tobytes(), 3, 4, 24, size=size)), color)
    if size != CORE:
        unused = np.dstack([color[::-1, :, ::-1], np.arange(12).reshape(4, 3)]).astype(np.uint8)
        np.testing.assert_array_equal(read(file(unused.tobytes(), 3, 4, 32, size=size)), color)


def runs(rows, bits, choose):
    """Encode rows, lowest first, as runs and as pixels that stand as they are; choose(n) is a number below n."""
    result = b""
    for row in rows[::-1]:
        place = 0
        while place < len(row):
            count = min(len(row) - place, 1 + choose(20))
            part = row[place : place + count]
            if count >= 3 and choose(2):
                body = values_of(part, bits)
                result += bytes([0, count]) + body + bytes(len(body) % 2)
            else:
                count = next((n for n in range(1, count) if not np.array_equal(part[n], part[0])), count)
                value = values_of(part[:1], bits)
                result += bytes([count]) + (bytes([value[0] | value[0] >> 4]) if bits == 4 else value)
            place += count
        result += b"\0\0"
    return result + b"\0\1"


def values_of(part, bits):
    if bits == 24:
        return part[:, ::-1].astype(np.uint8).tobytes()
    if bits == 8:
        return part.astype(np.uint8).tobytes()
    pairs = np.append(part, np.zeros(len(part) % 2, int)).reshape(-1, 2)
    return (pairs[:, 0] << 4 | pairs[:, 1]).astype(np.uint8).tobytes()


@given(st.sampled_from([4, 8, 24]), st.integers(1, 30), st.integers(1, 8), st.integers(0, 2**32))
def test_runs(bits, width, height, seed):
    rng = np.random.default_rng(seed)
    values = np.repeat(rng.integers(0, 1 << min(bits, 8), (height, width)), 3, axis=1)[:, :width]
    rows = PALETTE[values] if bits == 24 else values
    kind, size = {4: (RLE4, INFO), 8: (RLE8, INFO), 24: (RLE24, 64)}[bits]
    body = runs(rows, bits, lambda n: int(rng.integers(n)))
    data = file(body, width, height, bits, size=size, compression=kind)
    np.testing.assert_array_equal(read(data), PALETTE[values])
    with pytest.raises(ImageError):
        read(data[: 1 - len(body)])


def test_pixels_that_runs_leave_out_are_transparent():
    steps = bytes([0, 2, 1, 1, 2, 9, 0, 1])  # one to the right, one up, two pixels, the end
    image = read(file(steps, 4, 3, 8, compression=RLE8))
    expected = np.zeros((3, 4, 4), np.uint8)
    expected[:, :, :3] = PALETTE[0]
    expected[1, 1:3] = [*PALETTE[9], 255]
    np.testing.assert_array_equal(image[..., 3], expected[..., 3])
    np.testing.assert_array_equal(image[image[..., 3] > 0], expected[expected[..., 3] > 0])


def test_run_outside_the_picture_is_refused():
    with pytest.raises(ImageError, match="outside"):
        read(file(bytes([2, 1, 0, 0, 2, 1, 0, 0, 2, 1, 0, 1]), 2, 2, 8, compression=RLE8))


@pytest.mark.parametrize(
    ("bits", "size", "compression", "reason"),
    [(1, 64, 3, "Huffman"), (24, INFO, 4, "JPEG"), (24, INFO, 5, "PNG"), (7, INFO, 0, "7 bits"),
     (8, 41, 99, "compression 99"), (8, 200, 0, "header of 200 bytes")],
)  # fmt: skip
def test_what_is_not_read_is_named(bits, size, compression, reason):
    with pytest.raises(ImageError, match=reason):
        read(file(bytes(64), 4, 4, bits, size=size, compression=compression))


def bmp(pixels, bits, masks, height=None):
    """A BMP with a V4 header and these masks of red, green, blue, alpha; rows lowest first."""
    rows, columns = pixels.shape
    stored = pixels.astype("<u2" if bits == 16 else "<u4")
    stored = np.pad(stored, ((0, 0), (0, columns * bits // 16 % 2 if bits == 16 else 0)))
    body = stored[::-1].tobytes() if height is None else stored.tobytes()
    info = struct.pack("<IiiHHIIiiII4I", 108, columns, height or rows, 1, bits, 3, len(body), 0, 0, 0, 0, *masks)
    info = info.ljust(108, b"\0")
    return b"BM" + struct.pack("<IHHI", 122 + len(body), 0, 0, 122) + info + body


@pytest.mark.parametrize(
    ("bits", "widths"),
    [
        (16, (5, 5, 5, 0)),
        (16, (5, 6, 5, 0)),
        (16, (4, 4, 4, 4)),
        (16, (2, 3, 1, 0)),
        (32, (10, 10, 10, 2)),
        (32, (8, 8, 8, 8)),
    ],
)
@pytest.mark.parametrize("upside_down", [False, True])
def test_bmp_with_bit_fields_of_any_width(bits, widths, upside_down):
    rng = np.random.default_rng(sum(widths))
    shape, place, pixels, masks, channels = (7, 5), 0, np.zeros((7, 5), np.int64), [], []
    for width in widths:
        values = rng.integers(0, 1 << width, shape)
        masks.append(((1 << width) - 1) << place)
        pixels |= values << place
        place += width
        if width:
            channels.append((values * 255 + ((1 << width) - 1) // 2) // ((1 << width) - 1))
    data = bmp(pixels, bits, masks, height=-7 if upside_down else None)
    np.testing.assert_array_equal(read(data), np.stack(channels, axis=2))
    assert probe(data).channels == len(channels)
    with pytest.raises(ImageError, match="cut"):
        read(data[:-1])
    assert read(data[:-1], allow_truncated=True).shape[:2] == shape


def test_bmp_with_masks_that_mean_nothing_or_two_things_is_refused():
    with pytest.raises(ImageError, match="one bit of alpha"):
        read(bmp(np.zeros((2, 2), np.int64), 16, (0x7C00, 0x3E0, 0x1F, 0x8000)))
    for masks in ((0, 0, 0, 0), (1 << 20, 2, 4, 0), (0b101, 2, 8, 0)):
        with pytest.raises(ImageError, match="mask"):
            read(bmp(np.zeros((2, 2), np.int64), 16, masks))
