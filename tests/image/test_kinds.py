"""PNG, JPEG and JPEG 2000: kinds that libraries read wrongly or not at all."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from imgtool.errors import ImageError
from imgtool.image import encode, probe, read

PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16),
         (6, 8), (6, 16)]  # fmt: skip
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PALETTE = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)


def png(width, height, depth, color, interlaced, rows, *chunks):
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


def packed(values, depth):
    """Return rows (height, width, samples) as PNG has them, without any filter."""
    single = (values[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = np.packbits(single.reshape(len(values), -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


@pytest.mark.parametrize(("color", "depth"), KINDS)
@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (13, 17)])
def test_every_kind_of_png(color, depth, interlaced, transparent, shape):
    height, width = shape
    values = np.random.default_rng(depth + color).integers(0, 1 << depth, (height, width, SAMPLES[color]))
    top = 65535 if depth == 16 else 255
    expected, chunks = values * top // ((1 << depth) - 1), []
    if color == 3:
        chunks = [(b"PLTE", PALETTE[: 1 << depth].tobytes())]
        expected = PALETTE[values[:, :, 0]]
    if transparent and color == 3:
        opacity = np.full(1 << depth, 255)
        opacity[:2] = 0, 100
        chunks.append((b"tRNS", bytes([0, 100])))
        expected = np.dstack([expected, opacity[values[:, :, 0]]])
    elif transparent and color in (0, 2):
        key = values[height // 2, width // 2]
        chunks.append((b"tRNS", key.astype(">u2").tobytes()))
        expected = np.dstack([expected, np.where((values == key).all(axis=2), 0, top)])
    if interlaced:
        parts = [values[y::down, x::across] for x, y, across, down in PASSES]
        rows = b"".join(packed(part, depth) for part in parts if part.size)
    else:
        rows = packed(values, depth)
    data = png(width, height, depth, color, interlaced, rows, *chunks)
    back = read(data)
    np.testing.assert_array_equal(back.reshape(height, width, -1), expected)
    assert probe(data).channels == expected.shape[2]
    np.testing.assert_array_equal(read(data[:-4], allow_truncated=True), back)


def test_default_image_of_an_animated_png_is_shown():
    first, second = (Image.fromarray(np.full((5, 6, 3), value, np.uint8)) for value in (10, 200))
    for default in (False, True):
        stream = io.BytesIO()
        first.save(stream, "PNG", save_all=True, append_images=[second], default_image=default)
        np.testing.assert_array_equal(read(stream.getvalue()), np.asarray(first))


def test_animation_of_16_bits_is_no_other_image():
    values = np.random.default_rng(2).integers(0, 65536, (5, 6, 4))
    control = struct.pack(">IIIIIHHBB", 0, 6, 5, 0, 0, 1, 10, 0, 0)
    animation = ((b"acTL", struct.pack(">II", 1, 0)), (b"fcTL", control))
    np.testing.assert_array_equal(read(png(6, 5, 16, 6, 0, packed(values, 16), *animation)), values)


SMOOTH = np.kron(PALETTE[:48].reshape(6, 8, 3), np.ones((8, 8, 1), np.uint8))


def test_jpeg_with_stray_bytes_between_its_segments():
    data = encode(SMOOTH, "jpeg")
    second = 4 + int.from_bytes(data[4:6], "big")
    for stray in (b"\0\1\2", b"\xff\xff", b"\xff\0\7"):
        for place in (2, second):
            np.testing.assert_array_equal(read(data[:place] + stray + data[place:]), read(data))


@pytest.mark.parametrize(
    ("marker", "bits", "reason"),
    [(0xC1, 12, "JPEG of 12 bits"), (0xC3, 16, "lossless JPEG of 16 bits"), (0xC5, 8, "hierarchical"),
     (0xCB, 8, "arithmetic lossless"), (0xF7, 8, "JPEG-LS")],
)  # fmt: skip
def test_kinds_of_jpeg_that_are_not_read_are_named(marker, bits, reason):
    data = bytearray(encode(SMOOTH, "jpeg"))
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = marker, bits
    with pytest.raises(ImageError, match=reason):
        read(bytes(data))


@pytest.mark.parametrize("name", ["LA", "RGBA"])
def test_jpeg_2000_with_alpha(name):
    image = np.dstack([SMOOTH, SMOOTH[:, :, 0]])[:, :, : len(name)]
    stream = io.BytesIO()
    Image.fromarray(image, name).save(stream, "JPEG2000")
    np.testing.assert_array_equal(read(stream.getvalue()), image)


def boxed(stream, *boxes):
    """Return a JP2 file of a codestream and these boxes of its header."""
    inner = b"".join(struct.pack(">I4s", 8 + len(body), name) + body for name, body in boxes)
    parts = [(b"jP  ", b"\r\n\x87\n"), (b"ftyp", b"jp2 \0\0\0\0jp2 "), (b"jp2h", inner), (b"jp2c", stream)]
    return b"".join(struct.pack(">I4s", 8 + len(body), name) + body for name, body in parts)


def codestream(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG2000", no_jp2=True)
    return stream.getvalue()


def colors(space):
    return b"colr", b"\1\0\0" + struct.pack(">I", space)


def test_jpeg_2000_with_a_palette():
    indices = np.random.default_rng(1).integers(0, 200, (20, 30), dtype=np.uint8)
    table = struct.pack(">HB", 200, 3) + b"\7\7\7" + PALETTE[:200].tobytes()
    mapping = b"".join(struct.pack(">HBB", 0, 1, column) for column in (2, 0, 1))
    data = boxed(codestream(indices), colors(16), (b"pclr", table), (b"cmap", mapping))
    np.testing.assert_array_equal(read(data), PALETTE[indices][:, :, [2, 0, 1]])
    assert probe(data).channels == 3
    with pytest.raises(ImageError, match="palette"):
        read(boxed(codestream(indices + np.uint8(50)), colors(16), (b"pclr", table), (b"cmap", mapping)))


def test_jpeg_2000_channels_come_in_the_order_of_their_colors():
    order = b"".join(struct.pack(">3H", channel, 0, place) for channel, place in ((0, 2), (1, 3), (2, 1)))
    data = boxed(codestream(SMOOTH), colors(16), (b"cdef", struct.pack(">H", 3) + order))
    np.testing.assert_array_equal(read(data), SMOOTH[:, :, [2, 0, 1]])


def test_jpeg_2000_in_other_color_spaces():
    ycc = np.asarray(Image.fromarray(SMOOTH).convert("YCbCr"))
    assert np.abs(read(boxed(codestream(ycc), colors(18))).astype(int) - SMOOTH).max() <= 3
    inks = np.dstack([SMOOTH, SMOOTH[:, :, 0]])
    light = 255 - inks.astype(int)
    expected = (light[:, :, :3] * light[:, :, 3:] + 127) // 255
    np.testing.assert_array_equal(read(boxed(codestream(inks), colors(12))), expected)
    with pytest.raises(ImageError, match="another color space"):
        read(boxed(codestream(SMOOTH), colors(14)))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_cut_jpeg_2000_is_refused(share):
    for data in (encode(SMOOTH, "jp2"), codestream(SMOOTH), encode(SMOOTH.astype(np.uint16) * 257, "jp2")):
        with pytest.raises(ImageError):
            read(data[: int(len(data) * share)])
